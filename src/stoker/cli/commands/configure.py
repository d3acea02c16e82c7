"""`configure`: what a model runs with from now on, and `configure show`."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from stoker.base.units import binary_size
from stoker.cli import parser as cli
from stoker.cli.errors import UsageError, doing, printable
from stoker.cli.output import put, put_json, table
from stoker.cli.session import Session
from stoker.wire.config import EffectiveModel
from stoker.wire.manage import Configure, LlamaCppSettings, Speculative, VllmSettings

KV_TYPES: Final = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")
_GPU: Final = {
    "required": ("--gpu-layers", "all"),
    "preferred": (),
    "never": ("--gpu-layers", "0"),
}
MODES: Final = ("completion", "embedding", "reranking")


class Options(cli.Options):
    context_size: int | None
    speculative_draft_model: str
    speculative_num_tokens: int
    speculative_min_acceptance_rate: float
    hf_overrides: str
    gpu_memory_utilization: float | None
    think: bool
    no_think: bool
    mode: str
    keep_alive: str | None
    pin: bool
    parallel: int | None
    kv_type: str
    gpu: str
    trust_remote_code: str | None
    json: bool


def arguments(parser: cli.Parser) -> None:
    flag = parser.flag
    flag(
        "--context-size",
        kind=int,
        value="N",
        help="tokens; -1 for all it was trained for",
    )
    flag("--mode", default="", choices=MODES, value="MODE", help=", ".join(MODES))
    flag("--keep-alive", value="TIME", help="how long it stays loaded: 5m, 1h, 0, -1 (for ever)")
    parser.switch("--pin", help="keep it loaded, whatever else wants the memory")
    flag("--parallel", kind=int, value="N", help="requests answered at once, sharing the context")
    flag(
        "--kv-type",
        default="",
        choices=KV_TYPES,
        value="TYPE",
        help="of keys and values: q8_0 takes half of f16",
    )
    flag("--gpu", default="", choices=tuple(_GPU), value="WHEN", help=", ".join(_GPU))
    parser.switch("--think", help="let the model reason")
    parser.switch("--no-think", help="do not let it (also --think=false)")
    flag(
        "--speculative-draft-model",
        default="",
        value="MODEL",
        help="small model that drafts tokens",
    )
    flag("--speculative-num-tokens", kind=int, default=0, value="N", help="tokens per draft")
    flag(
        "--speculative-min-acceptance-rate",
        kind=float,
        default=0.0,
        value="X",
        help="least share of a draft to accept",
    )
    flag(
        "--hf_overrides",
        default="{}",
        value="JSON",
        help="vLLM: overrides for the model's config.json",
    )
    flag("--gpu-memory-utilization", kind=float, value="X", help="vLLM: share of the GPU, 0 to 1")
    flag(
        "--trust-remote-code",
        value="DIGEST",
        help="let this model's Python run; none: no more",
    )
    parser.switch("--json", help="with show: print what the API says")
    parser.passes_on = True
    parser.epilog = (
        "All settings are replaced; flags after -- go to the engine as they are:\n"
        f"  {parser.program} configure smollm2 --context-size 8192 -- --temp 0.1\n"
        f"  {parser.program} configure show smollm2\n"
        "`show` tells who decided each value and asks the running engine whether it is so;\n"
        "without a model it prints what was configured for all of them.\n"
        "--trust-remote-code goes alone. The code may then do all that you may, until the consent\n"
        "is taken back or the model removed. It is for these bytes, not for a name that moves."
    )


def candidates(words: list[str]) -> list[str]:
    """`show` may stand in a model's place."""
    return [] if words else ["show"]


def run(options: Options, session: Session) -> int:
    if options.words[:1] == ["show"]:
        return _show(options, session)
    count = len(options.words)
    if count != 1:
        got = (
            f" before --, got {count}"
            if options.rest
            else f", got {count}: [{' '.join(options.words)}]"
        )
        raise UsageError(f"Exactly one model must be specified{got}")
    if options.trust_remote_code is not None:
        return _trust(options, session)
    with doing("Failed to configure the model"):
        session.client().configure(settings(options))
    return 0


def _trust(options: Options, session: Session) -> int:
    name, digest = options.words[0], options.trust_remote_code or ""
    if settings(options) != Configure(model=name) or options.mode:
        raise UsageError(
            "--trust-remote-code goes alone", hint="other settings are another `configure`"
        )
    with doing("Failed to configure the model"):
        if digest == "none":
            session.client().distrust_code(name)
        else:
            session.client().trust_code(name, digest)
    return 0


def _show(options: Options, session: Session) -> int:
    with doing("Failed to show the configuration"):
        if not options.words[1:]:
            put_json(session.client().configurations(), indent=2)
            return 0
        shown = session.client().effective(options.words[1], mode=options.mode)
    if options.json:
        put_json(shown, indent=2)
    else:
        put(printable("\n".join(lines(shown))) + "\n")
    return 1 if shown.problem else 0


def lines(shown: EffectiveModel) -> Iterator[str]:
    """Settings with their origins, then the running engine's own word."""
    yield f"{shown.model} on {shown.backend}, mode {shown.mode}"
    if shown.problem:
        yield f"cannot be loaded: {shown.problem}"
        if shown.hint:
            yield f"hint: {shown.hint}"
    rows = [[name, _text(name, one.value), one.origin] for name, one in shown.settings.items()]
    yield table(("SETTING", "VALUE", "ORIGIN"), rows).rstrip("\n")
    running = shown.running
    if running is None:
        yield "not loaded: this is what it would be loaded with"
        return
    pid = f", process {running.pid}" if running.pid else ""
    yield f"{running.state}{pid}, {running.build}"
    for name, value in running.says.items():
        yield f"  its engine says  {name} {value}"
    for problem in (*running.differs, *filter(None, [running.problem])):
        yield f"  but  {problem}"


def _text(name: str, value: object) -> str:
    if name == "keep-alive":
        return "for ever" if value is None else f"{value:g} s"
    if name == "cache-ram" and isinstance(value, int):
        return binary_size(value)
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return msgspec.json.encode(value).decode()
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def settings(options: Options) -> Configure:
    """The body of the request: only what was given."""
    speculative = Speculative(
        draft_model=options.speculative_draft_model,
        num_tokens=options.speculative_num_tokens,
        min_acceptance_rate=options.speculative_min_acceptance_rate,
    )
    vllm = VllmSettings(_overrides(options.hf_overrides), _share(options.gpu_memory_utilization))
    thinks = options.think or options.no_think
    return Configure(
        model=options.words[0],
        mode=options.mode,
        context_size=context_size(options.context_size),
        runtime_flags=[*_engine_flags(options), *options.rest],
        speculative=None if speculative == Speculative() else speculative,
        keep_alive=_keep_alive(options),
        vllm=None if vllm == VllmSettings() else vllm,
        llamacpp=LlamaCppSettings(-1 if options.think else 0) if thinks else None,
    )


def context_size(value: int | None) -> int | None:
    """Raises UsageError for what the API, as Docker Model Runner's, takes for 'not set'."""
    if value is not None and value < -1:
        raise UsageError(
            f"--context-size is a number of tokens, or -1 for all of them, not {value}"
        )
    return value


def _engine_flags(options: Options) -> list[str]:
    """Settings that Docker Model Runner knows as engine flags only; so they travel to any daemon.

    They come before those after `--`, which win.
    """
    flags: list[str] = []
    if options.parallel is not None:
        if options.parallel < 1:
            raise UsageError(f"--parallel must be at least 1, got {options.parallel}")
        # One context for all, as when the number is left to llama.cpp; else each gets its share.
        flags += ["--parallel", str(options.parallel), "--kv-unified"]
    if options.kv_type:
        flags += ["--cache-type-k", options.kv_type, "--cache-type-v", options.kv_type]
    return [*flags, *_GPU.get(options.gpu, ())]


def _keep_alive(options: Options) -> str | None:
    if options.pin and options.keep_alive is not None:
        raise UsageError("--pin and --keep-alive exclude each other")
    return "-1" if options.pin else options.keep_alive


def _overrides(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise UsageError(f"invalid --hf_overrides JSON: {error}") from error


def _share(value: float | None) -> float | None:
    if value is not None and not 0 <= value <= 1:
        raise UsageError(f"--gpu-memory-utilization must be between 0.0 and 1.0, got {value}")
    return value
