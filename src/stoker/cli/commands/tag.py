"""`tag`: one more name for a model."""

from stoker.base.errors import InvalidReference
from stoker.cli import parser as cli
from stoker.cli.errors import doing
from stoker.cli.output import put
from stoker.cli.session import Session
from stoker.cli.typed import target


class Options(cli.Options):
    pass


def arguments(parser: cli.Parser) -> None:
    parser.epilog = f"For example:\n  {parser.program} tag smollm2 registry.example.com/me/small:v1"


def run(options: Options, session: Session) -> int:
    source, new = options.words
    try:
        reference = target(new)
    except InvalidReference as error:
        raise InvalidReference(f"invalid tag: {error.message}", hint=error.hint) from error
    if reference.digest is not None:
        raise InvalidReference(f"invalid tag: {new!r} names a digest")
    with doing("Failed to tag model"):
        session.client().tag(source, reference.name, reference.tag)
    put(f'Model "{source}" tagged successfully with "{new}"\n')
    return 0
