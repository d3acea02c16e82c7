"""What a user may pass to llama-server, and in what form it arrives there."""

import re
from contextlib import nullcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stoker.base.errors import InvalidSetting
from stoker.engines.flag_table import Kind, flags_of, recorded
from stoker.engines.flags import RENAMED, TABLE, engine_flags
from stoker.engines.record_flags import llamacpp_help


def checked(*flags: str) -> tuple[str, ...]:
    return engine_flags(flags, engine="llama.cpp")


@pytest.mark.parametrize(
    ("flags", "arguments"),
    [
        ((), ()),
        (("--temp", "0.7", "--top-k", "40"), ("--temp", "0.7", "--top-k", "40")),
        (("--ctx-size=-1",), ("--ctx-size", "0")),
        (("-c", "-1"), ("-c", "0")),
        (("-ngl", "all"), ("-ngl", "all")),
        (("-fit", "true"), ("-fit", "true")),
        (("-fitt", "1024,512"), ("-fitt", "1024,512")),
        (("--no-mmap", "--mlock"), ("--load-mode", "none", "--load-mode", "mlock")),
        (
            ("--draft-min", "1", "--draft-n", "4"),
            ("--spec-draft-n-min", "1", "--spec-draft-n-max", "4"),
        ),
        (("-ngl", "99", "--main-gpu", "0"), ("-ngl", "99", "--main-gpu", "0")),
        (("--temp", "1e-3"), ("--temp", "1e-3")),
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


def test_the_table_is_what_the_engine_itself_says() -> None:
    """A new wheel adds and drops flags, or lets one take a path: look, then record it anew with
    `python -m stoker.engines.record_flags`.
    """
    assert [flag.line() for flag in flags_of(llamacpp_help())] == [
        flag.line() for flag in dict.fromkeys(recorded("llamacpp_flags.txt").values())
    ]


def test_every_flag_of_the_engine_is_allowed_or_refused_for_a_reason() -> None:
    lines = [line for line in llamacpp_help().splitlines() if line.startswith("-")]
    known = {
        flag: line for line in lines for flag in re.findall(r"(?<!\S)--?[A-Za-z][\w.-]*", line)
    }
    assert len(known) > 300
    assert known.keys() >= TABLE.keys()
    takes_place = re.compile(r"\b(FNAME|\w*FILE|PATH|DIR|HOST|SERVERS|\w*URL|TOKEN|repo|PREFIX)\b")
    for flag in TABLE:
        assert not takes_place.search(known[flag]), known[flag]
    for flag in known.keys() - TABLE.keys():
        with pytest.raises(InvalidSetting) if flag not in RENAMED else nullcontext():
            checked(flag, *(["1"] if "draft" in flag else []))


# By these an engine can be made to write, read, fetch or publish files, or to listen elsewhere.
DANGEROUS = (
    "--log-file", "--log-disable", "--log-colors", "--log-prefix", "--log-timestamps", "-m",
    "--model", "-mu", "--model-url", "--host", "--port", "--path", "--api-key-file",
    "--ssl-key-file", "--ssl-cert-file", "--slot-save-path", "--lora", "--lora-scaled",
    "--control-vector", "--control-vector-scaled", "--mmproj", "--mmproj-url", "-hf", "--hf-repo",
    "--grammar-file", "--chat-template-file",
)  # fmt: skip


@pytest.mark.parametrize("flag", DANGEROUS)
def test_what_reaches_files_and_networks_is_refused(flag: str) -> None:
    for words in (
        (flag,),
        (flag, "/x"),
        (f"{flag}=/x",),
        (f"{flag[:-1]}", "x"),
        (flag.upper(), "x"),
    ):
        with pytest.raises(InvalidSetting):
            checked(*words)
    with pytest.raises(InvalidSetting):
        checked("--temp", f"@{flag}/x")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--ctx-size", "many"), "wants a number"),
        (("--ctx-size",), "wants a number"),
        (("--temp", "-c", "5"), "wants a number"),
        (("-ngl", "some"), "a number, or one of: auto, all"),
        (("--pooling", "best"), "one of: none, mean"),
        (("--swa-full", "yes"), "takes no value"),
        (("--temp", "1", "2"), "takes no value, or one less"),
        (("-ts", "a,b"), "numbers with commas"),
        (("--no-mmap", "x"), "takes no value"),
        (("-c", "1" * 5000), "wants a number"),
        (("-c", "\N{ARABIC-INDIC DIGIT THREE}"), "wants a number"),
        (("-np=",), "wants a number"),
        (("--cache-type-k",), "wants a value"),
    ],
)
def test_values_are_of_the_type_that_the_help_says(flags: tuple[str, ...], said: str) -> None:
    with pytest.raises(InvalidSetting, match=re.escape(said)):
        checked(*flags)


@pytest.mark.parametrize("flag", ["--temp", "-ts"])
def test_endless_values_are_refused_at_once(flag: str) -> None:
    """A pattern that tries all ways to cut the digits would be at it for hours."""
    with pytest.raises(InvalidSetting, match="wants") as caught:
        checked(flag, "1" * 1_000_000 + "x")
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("name", sorted(TABLE))
def test_no_flag_takes_a_path_or_hides_another(name: str) -> None:
    flag = TABLE[name]
    if flag.kind is not Kind.TEXT:
        for value in ("/etc/passwd", "a\\b", "..//x"):
            with pytest.raises(InvalidSetting):
                checked(name, value)
            with pytest.raises(InvalidSetting):
                checked(f"{name}={value}")
    with pytest.raises(InvalidSetting):
        checked(name, "--host", "0.0.0.0")  # it is to be refused


def test_what_is_renamed_becomes_something_allowed() -> None:
    for new in RENAMED.values():
        assert not new or new[0] in TABLE
    assert not RENAMED.keys() & TABLE.keys()


def test_a_refused_flag_cannot_hide_as_a_value() -> None:
    with pytest.raises(InvalidSetting, match="--grammar"):
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
