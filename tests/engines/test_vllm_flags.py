"""What a user may pass to vLLM, against the whole of its help."""

import re

import pytest

from stoker.base.errors import InvalidSetting
from stoker.engines.vllm_flags import ALLOWED, vllm_flags
from tests.engines.vllm_help import RECORDED, flags_of

KNOWN = flags_of(RECORDED.read_text())
PLACES = re.compile(
    r"(?<![A-Z])(PATH|DIR|FILE|URL|HOST|PORT|KEY|TOKEN(?!_THRESHOLD)|CERT|CLS|PLUGIN|CODE)(?![A-Z])"
)


def test_what_is_allowed_exists_and_names_no_place() -> None:
    assert len(KNOWN) > 300
    assert KNOWN.keys() >= ALLOWED
    for flag in ALLOWED - {"--limit-mm-per-prompt"}:
        assert not PLACES.search(KNOWN[flag]), KNOWN[flag]


@pytest.mark.parametrize("flag", sorted(KNOWN.keys() - ALLOWED))
def test_the_rest_is_refused_in_every_form(flag: str) -> None:
    # vLLM reads `_` as `-` behind the first two.
    other = f"--{flag[2:].replace('-', '_')}" if flag.startswith("--") else flag
    for words in ((flag,), (flag, "x"), (f"{flag}=x",), (other,)):
        with pytest.raises(InvalidSetting):
            vllm_flags(("--seed", "1", *words))


@pytest.mark.parametrize("flag", sorted(name for name in ALLOWED if name.startswith("--")))
def test_abbreviations_and_hidden_flags_are_refused(flag: str) -> None:
    # argparse takes any beginning that only one flag has.
    if flag[:-1] not in ALLOWED:
        with pytest.raises(InvalidSetting):
            vllm_flags((flag[:-1], "1"))
    tricks = [(f"{flag}=--host",), (flag, "--config", "x"), (f"{flag}.a=b",)]
    if flag != "--limit-mm-per-prompt":  # takes JSON
        tricks += [(flag, "/etc/passwd"), (f"{flag}=a/b",)]
    for words in tricks:
        with pytest.raises(InvalidSetting):
            vllm_flags(words)


def test_a_file_of_arguments_is_no_argument() -> None:
    for words in (("@flags",), ("--config", "flags.yaml"), ("--config=flags",)):
        with pytest.raises(InvalidSetting):
            vllm_flags(words)


def test_words_of_llama_cpp_that_configure_uses() -> None:
    assert vllm_flags(["--parallel", "3", "--kv-unified"]) == ("--max-num-seqs", "3")


@pytest.mark.parametrize("value", ["x", "auto", "8 k", ""])
def test_a_number_is_a_number(value: str) -> None:
    with pytest.raises(InvalidSetting, match='"-tp" wants a number'):
        vllm_flags(["-tp", value])
    assert vllm_flags(["--max-model-len", "auto", "--max-model-len=8k"])
