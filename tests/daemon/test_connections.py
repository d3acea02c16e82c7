"""Whom a connection counts for, and how many one client may have."""

import pytest
from aiohttp import web

from stoker.daemon.connections import Connection, ConnectionLimits, Connections, client_of


@pytest.mark.parametrize(
    ("peer", "client"),
    [
        ("", None),
        (b"", None),
        (("127.0.0.1", 1), ""),
        (("127.9.9.9", 1), ""),
        (("::1", 1, 0, 0), ""),
        (("::ffff:127.0.0.1", 1, 0, 0), ""),
        (("::ffff:192.0.2.7", 1, 0, 0), "192.0.2.7"),
        (("192.0.2.7", 1), "192.0.2.7"),
        (("2001:db8::1", 1, 0, 0), "2001:db8::/64"),
        (("2001:db8::ffff:1", 1, 0, 0), "2001:db8::/64"),
        (("fe80::1%eth0", 1, 0, 2), "fe80::/64"),
    ],
)
def test_whom_a_connection_counts_for(peer: object, client: str | None) -> None:
    assert client_of(peer) == client


async def test_row_16_one_machine_cannot_take_all_connections() -> None:
    async def handle(request: web.BaseRequest) -> web.Response:
        raise AssertionError(f"nobody asks anything here: {request}")

    server = web.Server(handle)
    connections = Connections(server, ConnectionLimits(total=5, per_client=2))

    def enter(client: str | None) -> tuple[Connection, bytes]:
        connection = Connection(connections, server)
        return connection, connections.enter(connection, client)

    first, taken = enter("192.0.2.7")
    assert taken == enter("192.0.2.7")[1] == b""
    assert enter("192.0.2.7")[1].startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert enter("192.0.2.8")[1] == b""
    connections.leave(first, "192.0.2.7")
    assert enter("192.0.2.7")[1] == b""
    for _ in range(10):
        assert enter(None)[1] == b""  # the unix socket is not counted
    assert [enter("")[1] for _ in range(2)] == [b"", b""]  # this machine: by the total alone
