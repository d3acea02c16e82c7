"""`package`: make an artifact of model files, in the store or in a registry."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stoker.base.errors import InvalidReference, UnsupportedFormat, UserError
from stoker.base.units import decimal_size
from stoker.cli import parser as cli
from stoker.cli.errors import UsageError, doing, printable, say
from stoker.cli.filenames import file_path
from stoker.cli.local import local_root
from stoker.cli.meter import meter
from stoker.cli.names import shown
from stoker.cli.output import put, put_json, short_id
from stoker.cli.packing import Delivery, deliver
from stoker.cli.quantizing import quantized
from stoker.cli.session import Session
from stoker.cli.typed import new_name
from stoker.cli.variants import quantized_variant, variant
from stoker.distribution.artifact import Artifact
from stoker.distribution.layers import created_of
from stoker.distribution.package import Extras, Plan, build, with_extras
from stoker.distribution.package_directory import plan_directory
from stoker.distribution.package_gguf import plan_dduf, plan_gguf
from stoker.oci.modelconfig import config_wire, parse_config
from stoker.oci.reference import Reference


class Options(cli.Options):
    gguf: str | None
    safetensors: str | None
    dduf: str | None
    source: str | None
    mmproj: str | None
    chat_template: str | None
    license: list[str]
    context_size: int | None
    quantize: str | None
    format: str
    allow_code: bool
    copy: bool
    push: bool
    keep: bool
    json: bool


def arguments(parser: cli.Parser) -> None:
    parser.flag("--gguf", value="FILE", help="a GGUF file; of several shards, the first one")
    parser.flag(
        "--safetensors", "--safetensors-dir", value="DIR", help="a directory with safetensors"
    )
    parser.flag("--dduf", value="FILE", help="a diffusion model as one DDUF file")
    parser.flag("--from", value="MODEL", help="a model that is here already", into="source")
    parser.flag("--mmproj", value="FILE", help="projector of a multimodal model")
    parser.flag("--chat-template", value="FILE", help="Jinja template to use instead of its own")
    parser.many("-l", "--license", value="FILE", help="licence text; may be given several times")
    parser.flag("--context-size", value="N", help="tokens to run it with", kind=int)
    parser.flag("--quantize", value="LEVEL", help="make it smaller first: Q4_K_M, Q8_0, ...")
    parser.flag("--format", value="docker|cncf", help="kind of artifact (default docker)")
    parser.switch("--allow-code", help="take Python files along; none runs without your consent")
    parser.switch("--copy", help="copy the files, never share them with the store")
    parser.switch("--push", help="upload it; it does not stay here without --keep")
    parser.switch("--keep", help="with --push: keep it here too")
    parser.switch("--json", help="print the result as JSON")
    parser.epilog = (
        "For example:\n"
        f"  {parser.program} package --gguf model-Q4_K_M.gguf --license LICENSE me/model:q4\n"
        f"  {parser.program} package --safetensors ./checkout --push registry.example.com/me/m:v1\n"
        f"  {parser.program} package --from smollm2 --context-size 4096 me/smollm2:4k\n"
        f"  {parser.program} package --gguf model-F16.gguf --quantize Q4_K_M me/model:q4\n\n"
        "Files are not copied where the disk can share them; one that the store shares by a hard\n"
        "link becomes read-only. Equal files give an equal artifact: its date is that of the\n"
        "newest file, or SOURCE_DATE_EPOCH."
    )


def run(options: Options, session: Session) -> int:
    reference = _target(options)
    root = local_root()
    if options.source is not None and root is None:
        return _variant_elsewhere(options, session, reference)
    keep = options.keep or not options.push
    # A quantized file is ours: nobody need be told that it becomes read-only.
    told = options.quantize is None
    delivery = Delivery(reference, not options.copy, push=options.push, keep=keep, told=told)
    with _made(options, session, root) as artifact:
        deliver(session, root, artifact, delivery)
    if options.json:
        put_json(_result(artifact, reference))
    else:
        name, size = shown(str(reference)), decimal_size(artifact.manifest.size)
        put(f"Packaged {name}: {short_id(artifact.descriptor.digest)}, {size}\n")
    return 0


@contextmanager
def _made(options: Options, session: Session, root: Path | None) -> Iterator[Artifact]:
    """The artifact; a quantized file of it is there until the block ends."""
    source, level, modelpack = options.source, options.quantize, options.format == "cncf"
    if source and root and level:
        extras = _extras(options)
        with quantized_variant(root, source, level, extras, session, modelpack=modelpack) as made:
            yield made
    elif source and root:
        yield variant(root, source, _extras(options), modelpack=modelpack)
    elif level:
        with quantized(file_path(options.gguf or ""), level, session) as smaller:
            yield _packaged(options, plan_gguf(smaller))
    else:
        yield _packaged(options, _plan(options))


def _target(options: Options) -> Reference:
    """The name to give, once the flags make sense. Raises UsageError, InvalidReference."""
    sources = [options.gguf, options.safetensors, options.dduf, options.source]
    if sum(source is not None for source in sources) != 1 or "" in sources:
        raise UsageError(
            "exactly one of --gguf, --safetensors, --dduf or --from must be given",
            hint="for example: stoker package --gguf model.gguf me/model",
        )
    if options.format not in {None, "docker", "cncf"}:
        raise UsageError(f'invalid --format value "{options.format}": must be "docker" or "cncf"')
    if options.allow_code and options.safetensors is None:
        raise UsageError("--allow-code makes sense only with --safetensors")
    if options.quantize is not None:
        _check_quantize(options)
    if options.keep and not options.push:
        raise UsageError("--keep makes sense only with --push")
    if options.context_size is not None and options.format == "cncf":
        raise UsageError("--context-size cannot be used with --format cncf: it has no place there")
    reference = new_name(options.words[0])
    if reference.is_hub:
        raise InvalidReference("models cannot be pushed to huggingface.co", hint="use another name")
    return reference


def _check_quantize(options: Options) -> None:
    """Raises UsageError, UnsupportedFormat."""
    if not options.quantize:
        raise UsageError("--quantize needs a level", hint="for example: --quantize Q4_K_M")
    if options.safetensors is not None:
        raise UnsupportedFormat(
            "--quantize reads GGUF files, and these are safetensors",
            hint="make one F16 GGUF file of them with llama.cpp's convert_hf_to_gguf.py,"
            " then: package --gguf FILE --quantize LEVEL",
        )
    if options.dduf is not None:
        raise UnsupportedFormat("--quantize reads GGUF files, not DDUF")


def _extras(options: Options) -> Extras:
    return Extras(
        licenses=tuple(map(file_path, options.license)),
        mmproj=file_path(options.mmproj) if options.mmproj else None,
        chat_template=file_path(options.chat_template) if options.chat_template else None,
        context_size=options.context_size,
    )


def _packaged(options: Options, files: Plan) -> Artifact:
    plan = with_extras(files, _extras(options))
    for note in plan.notes:
        say(printable(f"note: {note}"))
    created = created_of(plan.paths)
    with meter("Reading", plan.size) as shown_:
        return build(plan, created=created, modelpack=options.format == "cncf", hashed=shown_.add)


def _plan(options: Options) -> Plan:
    if options.gguf is not None:
        return plan_gguf(file_path(options.gguf))
    if options.dduf is not None:
        return plan_dduf(file_path(options.dduf))
    folder = file_path(options.safetensors or "")
    if folder.is_file():
        raise UserError(f"{folder} is a file", hint="--safetensors wants the directory it is in")
    return plan_directory(folder, code=options.allow_code)


def _variant_elsewhere(options: Options, session: Session, reference: Reference) -> int:
    """`--from` by the service itself, which can change the context size and nothing else."""
    extras = _extras(options)
    if extras.wanted or options.format or options.push or options.json or options.quantize:
        raise UserError(
            "the service is on another machine: there --from goes only with --context-size",
            hint="run this on that machine, or save the model there and load it here",
        )
    with doing("Failed to package model"):
        session.client().repackage(options.source or "", str(reference), extras.context_size)
    put(f"Packaged {shown(str(reference))}\n")
    return 0


def _result(artifact: Artifact, reference: Reference) -> dict[str, Any]:
    manifest = artifact.manifest
    config = parse_config(artifact.config, manifest.config.media_type)
    return {
        "id": artifact.descriptor.digest,
        "name": str(reference),
        "size": manifest.size,
        "created": config.created,
        "config": config_wire(config),
        "layers": [
            {
                "mediaType": layer.media_type,
                "digest": layer.digest,
                "size": layer.size,
                "annotations": dict(layer.annotations),
            }
            for layer in manifest.layers
        ],
    }
