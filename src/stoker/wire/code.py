"""Messages about programs that models bring. Ours alone."""

import msgspec


class CodeFile(msgspec.Struct):
    """A program that a model brings; `size` in bytes."""

    path: str
    digest: str
    size: int


class Consent(msgspec.Struct, omit_defaults=True):
    """Body of `POST /models/{ref}/trust-remote-code`: `sha256:`, 12 to 64 digits of the model's."""

    digest: str = ""
