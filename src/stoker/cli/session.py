"""What a command knows besides its own flags: the program's name and the way to the daemon."""

import os
from typing import NamedTuple

from stoker.cli.errors import say
from stoker.client.client import Client
from stoker.client.endpoint import endpoint_of


class Session(NamedTuple):
    """`program` is what the user typed to get here: `stoker` or `docker model`."""

    program: str
    debug: bool = False

    def client(self, *, start: bool = True) -> Client:
        """A client of the daemon, which is started first when nobody named another one."""
        endpoint = endpoint_of()
        wanted = start and endpoint.may_start and not os.environ.get("MODEL_RUNNER_NO_AUTO_INSTALL")
        if wanted and not endpoint.answers():
            # subprocess costs 10 ms and is needed once a day.
            from stoker.client.service import bring_up  # noqa: PLC0415

            if self.debug:
                say("starting the daemon")
            endpoint = bring_up()
        return Client(endpoint)
