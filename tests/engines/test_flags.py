"""What a user may pass to llama-server, and in what form it arrives there."""

import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stoker.base.errors import InvalidSetting
from stoker.engines import llamacpp_worker
from stoker.engines.flags import ALLOWED, RENAMED, engine_flags


def checked(*flags: str) -> tuple[str, ...]:
    return engine_flags(flags, engine="llama.cpp")


@pytest.mark.parametrize(
    ("flags", "arguments"),
    [
        ((), ()),
        (("--temp", "0.7", "--top-k", "40"), ("--temp", "0.7", "--top-k", "40")),
        (("--ctx-size=-1",), ("--ctx-size", "-1")),
        (("--predict", "-1"), ("--predict", "-1")),
        (("-ngl", "99"), ("-ngl", "99")),
        (("--cache_type_k=q8_0",), ("--cache-type-k", "q8_0")),
        (("-ts", "3,1"), ("-ts", "3,1")),
        (("--no-mmap",), ("--load-mode", "none")),
        (("--mlock",), ("--load-mode", "mlock")),
        (("--draft-max", "8"), ("--spec-draft-n-max", "8")),
        (("--no-webui",), ()),
        (("-fa",), ("-fa", "on")),
        (("-fa", "-c", "512"), ("-fa", "on", "-c", "512")),
        (("-fa", "off"), ("-fa", "off")),
        (("--chat-template-kwargs", '{"a": "b/c"}'), ("--chat-template-kwargs", '{"a": "b/c"}')),
        (("-ot", r"blk\.\d+\.ffn=CPU"), ("-ot", r"blk\.\d+\.ffn=CPU")),
        (("--grammar", 'root ::= "a\\n"'), ("--grammar", 'root ::= "a\\n"')),
    ],
)
def test_allowed(flags: tuple[str, ...], arguments: tuple[str, ...]) -> None:
    assert checked(*flags) == arguments


@pytest.mark.parametrize(
    "flag",
    """
    --host --port --path --api-key --api-key-file --api-prefix --ssl-key-file --ssl-cert-file
    --reuse-port -m --model -mu --model-url -dr --docker-repo -hf -hfr --hf-repo -hff --hf-file
    -hft --hf-token --lora --lora-scaled --control-vector -mm --mmproj -mmu --mmproj-url
    --media-path --slot-save-path --log-file --log-disable --log-prompts-dir --models-dir
    --models-preset --tools --tools-runtime --agent -ag --mcp-servers-config --mcp-servers-json
    --ui-mcp-proxy --webui-mcp-proxy --ui-config-file --rpc --chat-template-file --grammar-file
    -jf --json-schema-file -md --spec-draft-model --spec-draft-hf -hfd --video-ffmpeg-dir
    --embd-gemma-default --fim-qwen-1.5b-default --gpt-oss-20b-default -lcs -lcd --cors-origins
    --alias -a --tags --offline --help -h --version --list-devices --completion-bash
    --cache-list -cl --log-jsonl --hos --model_url --API-KEY -- - ---host
    """.split(),  # noqa: SIM905
)
@pytest.mark.parametrize("form", ["{}", "{}=x", "{} x"])
def test_refused(flag: str, form: str) -> None:
    wanted = re.escape(f'runtime flag "{flag}" is not allowed for backend "llama.cpp"')
    with pytest.raises(InvalidSetting, match=wanted):
        checked("--temp", "1", *form.format(flag).split())


def _help() -> dict[str, str]:
    """Every flag of the wheel's llama.cpp, with the line of its help that names it."""
    command = [sys.executable, "-I", llamacpp_worker.__file__, "--help"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    lines = [line for line in text.splitlines() if line.startswith("-")]
    return {flag: line for line in lines for flag in re.findall(r"(?<!\S)--?[A-Za-z][\w-]*", line)}


def test_what_is_allowed_exists_and_names_no_file() -> None:
    """A new wheel may drop a flag, or let one take a path; this test notices."""
    known = _help()
    assert len(known) > 300
    assert known.keys() >= ALLOWED
    takes_file = re.compile(r"\b(FNAME|FILE|PATH|DIR|HOST|SERVERS|\w*URL|KEY|TOKEN)\b")
    for flag in ALLOWED - {"--override-kv"}:  # its KEY is one of the model's metadata
        assert not takes_file.search(known[flag]), known[flag]


def test_what_is_renamed_becomes_something_allowed() -> None:
    for new in RENAMED.values():
        assert not new or new[0] in ALLOWED
    assert not RENAMED.keys() & ALLOWED


def test_a_refused_flag_cannot_hide_as_a_value() -> None:
    with pytest.raises(InvalidSetting, match="--host"):
        checked("--grammar", "--host", "0.0.0.0")
    with pytest.raises(InvalidSetting, match="value cannot start with '-'"):
        checked("--grammar=--host")


def test_paths_are_refused_where_no_text_is_due() -> None:
    with pytest.raises(
        InvalidSetting, match=r'invalid runtime flag "/etc/passwd": paths are not allowed'
    ):
        checked("--temp", "/etc/passwd")
    with pytest.raises(InvalidSetting, match=r'invalid runtime flag "--temp=a\\b": paths'):
        checked("--temp=a\\b")


def test_a_value_without_a_flag() -> None:
    with pytest.raises(InvalidSetting, match='must begin with a flag, not with "512"'):
        checked("512")


@settings(deadline=None)
@given(st.lists(st.text(alphabet="-=_/ahostmdelr0.9", max_size=12), max_size=5))
def test_whatever_comes_no_forbidden_flag_passes(flags: list[str]) -> None:
    try:
        arguments = checked(*flags)
    except InvalidSetting:
        return
    keys = {argument.replace("_", "-") for argument in arguments if argument.startswith("-")}
    assert not keys & {"--host", "--model", "-m", "-a", "-md", "-h"}
