"""`push`: upload a model to the registry its name says."""

from stoker.cli import parser as cli
from stoker.cli import transfer
from stoker.cli.output import put
from stoker.cli.session import Session


class Options(cli.Options):
    pass


def arguments(parser: cli.Parser) -> None:
    parser.epilog = (
        "Give the model a name in your registry first:\n"
        f"  {parser.program} tag smollm2 registry.example.com/team/smollm2:v1"
    )


def run(options: Options, session: Session) -> int:
    put(transfer.push(session.client(), options.words[0]) + "\n")
    return 0
