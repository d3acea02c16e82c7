"""`import`: models that are on this disk already, from files and other programs' stores."""

import asyncio

from stoker.base.errors import StokerError
from stoker.base.units import decimal_size
from stoker.cli import parser as cli
from stoker.cli.errors import UsageError, printable, say
from stoker.cli.filenames import file_path
from stoker.cli.local import open_local
from stoker.cli.meter import meter
from stoker.cli.names import shown
from stoker.cli.output import put, put_json
from stoker.cli.session import Session
from stoker.cli.typed import new_name
from stoker.distribution.artifact import store_artifact
from stoker.distribution.found import Found, Unusable
from stoker.distribution.importing import find_models
from stoker.oci.reference import Reference
from stoker.store import Adoption, Store


class Options(cli.Options):
    copy: bool
    dry_run: bool
    json: bool


def arguments(parser: cli.Parser) -> None:
    parser.switch("--copy", help="copy the files, never share them with the store")
    parser.switch("-n", "--dry-run", help="only say what would be imported")
    parser.switch("--json", help="print the result as JSON")
    parser.epilog = (
        "PATH is a GGUF file (of several shards, the first), a directory with safetensors, or\n"
        "another program's store; all models of a store are imported under their own names:\n"
        f"  {parser.program} import ~/Downloads/model-Q4_K_M.gguf me/model:q4\n"
        f"  {parser.program} import ~/.cache/huggingface/hub/models--org--name\n"
        f"  {parser.program} import ~/.ollama/models\n"
        f"  {parser.program} import ~/.docker/models\n\n"
        "Nothing is copied where the disk can share files; those that the store shares by a hard\n"
        "link become read-only. The other program keeps its models."
    )


def run(options: Options, session: Session) -> int:
    del session
    source, *names = options.words
    found = find_models(file_path(source))
    models = [one for one in found if isinstance(one, Found)]
    reference = new_name(names[0]) if names else None
    if reference and len(models) != 1:
        raise UsageError(
            f"{source} has {len(models)} models, and NAME can be but one of them",
            hint="leave NAME out: they have names; or give one model's directory",
        )
    for one in found:
        if isinstance(one, Unusable):
            say(printable(f"left out {one.where}: {one.why}"))
    results = [(model, reference or model.name) for model in models]
    if not options.dry_run:
        store = open_local("import")
        results = [one for one in results if _import(store, *one, options)]
    if options.json:
        put_json([{"name": str(name), "size": model.size} for model, name in results])
    elif options.dry_run:
        for model, name in results:
            put(f"{shown(str(name))}  {decimal_size(model.size)}\n")
    return 0 if len(results) == len(found) else 1


def _import(store: Store, model: Found, name: Reference, options: Options) -> bool:
    """One model; False when it failed, which does not keep others from being imported."""
    title = shown(str(name))
    for note in model.notes:
        say(printable(f"note: {title}: {note}"))
    try:
        with meter(f"Reading {title}", model.size) as moved:
            artifact = model.build(moved.add)
        ways = asyncio.run(store_artifact(store, artifact, name, share=not options.copy))
        for alias in model.aliases if name == model.name else ():
            store.tag(str(alias.tagged), artifact.descriptor)
    except StokerError as error:
        say(printable(f"error: {title}: {error.message}"))
        if error.hint:
            say(printable(f"hint: {error.hint}"))
        return False
    if not options.json:
        put(f"Imported {title}: {decimal_size(model.size)}, {_how(ways)}\n")
    return True


def _how(ways: frozenset[Adoption]) -> str:
    if Adoption.COPIED in ways or not ways:
        return "copied"
    return "nothing copied; the files are read-only now" if Adoption.LINKED in ways else (
        "nothing copied"
    )  # fmt: skip
