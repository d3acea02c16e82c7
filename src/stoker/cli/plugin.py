"""`docker-model`: the same program as a plugin of the docker command line.

Docker runs a plugin with its own command line: `docker --context x model ls` starts
`docker-model --context x model ls`. To find plugins it asks each file `docker-cli-plugin-metadata`.
"""

import os
import sys
from collections.abc import Sequence

from stoker import __version__

PROGRAM = "docker model"
LEVEL = "v1.2.0"
"""The Docker Model Runner whose commands these are; compose keeps flags from those before 1.0.6."""
_WITH_VALUE = frozenset(
    {"--config", "-c", "--context", "-H", "--host", "-l", "--log-level", "--tlscacert", "--tlscert",
     "--tlskey"}
)  # fmt: skip


def main() -> int:
    """Entry point of `docker-model`."""
    argv = sys.argv[1:]
    if argv[:1] == ["docker-cli-plugin-metadata"]:
        print(metadata())
        return 0
    from stoker.cli.main import run  # noqa: PLC0415  # metadata is asked for at every `docker --help`

    return run(own_arguments(argv), PROGRAM)


def metadata() -> str:
    """What Docker wants to know. Its own plugin's description: scripts look for it."""
    return (
        '{"SchemaVersion":"0.1.0","Vendor":"Stoker","Version":"'
        f'{LEVEL}-stoker.{__version__}","ShortDescription":"Docker Model Runner"'
        "}"
    )


def own_arguments(argv: Sequence[str]) -> list[str]:
    """What is meant for us: without Docker's global flags and the word `model`."""
    left = [*argv]
    debug: list[str] = []
    lead: list[str] = []
    while left and left[0] != "model":
        word = left[0]
        if word in {"help", "__complete", "__completeNoDesc"} and left[1:]:
            lead.append(left.pop(0))
        elif not word.startswith("-") or word in {"-h", "--help", "-v", "--version"}:
            return [*debug, *lead, *left]  # started without Docker
        else:
            left.pop(0)
            if word in {"-D", "--debug"}:
                debug = ["--debug"]
            name, equals, value = word.partition("=")
            if name in _WITH_VALUE and not equals and left:
                value = left.pop(0)
            if name == "--config" and value:
                os.environ["DOCKER_CONFIG"] = value
    return [*debug, *lead, *left[1:]]


if __name__ == "__main__":
    sys.exit(main())
