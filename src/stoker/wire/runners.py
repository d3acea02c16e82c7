"""Messages about installing engines. `backend` and `version` are Docker Model Runner's."""

import msgspec


class InstallBackend(msgspec.Struct, omit_defaults=True):
    """Body of `POST /engines/install-backend`.

    Without `stream` the answer comes when all is done, as Docker Model Runner's clients expect;
    with it, progress lines as of a pull. `fresh`: make it anew, whatever is there. `from` and
    `digest`: take llama.cpp from this archive; only on the daemon's own socket.
    """

    backend: str = ""
    version: str = ""
    gpu: str = "auto"
    fresh: bool = False
    stream: bool = False
    source: str = msgspec.field(default="", name="from")
    digest: str = ""


class Backend(msgspec.Struct, omit_defaults=True):
    """Body of `POST /engines/install-backend/cancel`."""

    backend: str = ""


class UninstallBackend(msgspec.Struct, omit_defaults=True):
    """Body of `POST /engines/uninstall-backend`. With `gpu` only builds for that kind go.

    Files are deleted after the answer; with `wait` before it.
    """

    backend: str = ""
    gpu: str = ""
    wait: bool = False


class Uninstalled(msgspec.Struct):
    """Its answer."""

    builds: int


class EngineBuild(msgspec.Struct, omit_defaults=True):
    """One entry of `GET /engines/builds`. `active`: the one that a model loaded now would get.

    `gpu`: the kind it was made for, empty for what was not made by `install-runner`.
    """

    backend: str
    version: str
    source: str
    active: bool = False
    made: str = ""
    retired: str = ""
    path: str = ""
    gpu: str = ""
