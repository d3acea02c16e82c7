"""`inspect`: one model as JSON, from the store or from its registry."""

from stoker.cli import parser as cli
from stoker.cli.errors import UsageError, doing
from stoker.cli.output import put_json
from stoker.cli.session import Session
from stoker.cli.transfer import hub_token


class Options(cli.Options):
    openai: bool
    remote: bool


def arguments(parser: cli.Parser) -> None:
    parser.switch("--openai", help="print what OpenAI clients see")
    parser.switch("-r", "--remote", help="ask the registry, without pulling")


def run(options: Options, session: Session) -> int:
    if options.openai and options.remote:
        raise UsageError("--remote flag cannot be used with --openai flag")
    client, name = session.client(), options.words[0]
    with doing(f"Failed to get model {name}"):
        if options.openai:
            put_json(client.inspect_openai(name))
        else:
            put_json(client.inspect(name, remote=options.remote, token=hub_token(name)))
    return 0
