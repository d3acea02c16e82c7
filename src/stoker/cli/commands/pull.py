"""`pull`: download a model into the store."""

from stoker.cli import parser as cli
from stoker.cli import transfer
from stoker.cli.errors import doing
from stoker.cli.output import put, put_json_line
from stoker.cli.session import Session


class Options(cli.Options):
    json: bool


def arguments(parser: cli.Parser) -> None:
    parser.switch("--json", help="print progress as JSON lines")
    parser.epilog = (
        "MODEL is a name of Docker Hub's ai/ namespace, any registry's repository, or a\n"
        "Hugging Face repository (needs HF_TOKEN in the environment when it is gated):\n"
        f"  {parser.program} pull smollm2\n"
        f"  {parser.program} pull registry.example.com/team/model:tag\n"
        f"  {parser.program} pull hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M"
    )


def run(options: Options, session: Session) -> int:
    client, name = session.client(), options.words[0]
    if options.json:
        with doing("Failed to pull model"):
            for record in client.pull(name, bearer_token=transfer.hub_token(name)):
                put_json_line(record)
        return 0
    put(transfer.pull(client, name) + "\n")
    return 0
