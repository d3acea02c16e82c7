"""Settings of the Hugging Face client, from the variables that Hugging Face's own tools use."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from stoker.base.errors import HubError, InvalidSetting
from stoker.base.paths import home_of
from stoker.net.hosts import is_plain_url
from stoker.net.options import NetOptions, net_options_of
from stoker.net.retry import RetryPolicy
from stoker.net.service import Service

DEFAULT_ENDPOINT: Final = "https://huggingface.co"
HUB: Final = Service(
    noun="hub",
    failure=HubError,
    untrusted="name the bundle with its authority in SSL_CERT_FILE or REQUESTS_CA_BUNDLE",
    no_tls="check HF_ENDPOINT, and any proxy in between",
    unknown="check this machine's DNS and network, and HF_ENDPOINT if it is set",
    silent="check the network; behind a firewall set HTTPS_PROXY, or HF_ENDPOINT to a mirror",
)
# The hub counts over five minutes: who is over its limit is told so, rather than kept waiting.
_RETRY: Final = RetryPolicy(attempts=4, total=60.0)
_TRUE: Final = frozenset({"1", "on", "yes", "true"})
# A token is one word of a header; the longest real ones (JSON web tokens) have some 2 KB.
_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")


@dataclass(frozen=True, slots=True)
class Token:
    """A user token. `origin` says where it came from and may be shown; `value` never is."""

    value: str = field(repr=False)
    origin: str

    def __post_init__(self) -> None:
        if not _TOKEN.fullmatch(self.value):
            raise InvalidSetting(
                f"the Hugging Face token of {self.origin} has characters that no token has",
                hint="it is one word that begins with hf_, without quotes or line breaks",
            )


@dataclass(frozen=True, slots=True)
class HubOptions:
    """How to talk to the hub.

    `endpoint` may have a path (mirrors such as Artifactory's do). `token` is used when a request
    brings none. The retries of `net` are for metadata only: the transfer of content has a patience
    of its own.
    """

    endpoint: str = DEFAULT_ENDPOINT
    token: Token | None = None
    net: NetOptions = field(default_factory=lambda: NetOptions(retry=_RETRY))


def options_of(environ: Mapping[str, str] | None = None) -> HubOptions:
    """The options that these environment variables select. Raises InvalidSetting."""
    env = os.environ if environ is None else environ
    return HubOptions(
        endpoint=checked_endpoint(env.get("HF_ENDPOINT", "").strip() or DEFAULT_ENDPOINT),
        token=find_token(env),
        net=replace(net_options_of(env), retry=_RETRY),
    )


def checked_endpoint(text: str) -> str:
    """The endpoint without a trailing slash. Raises InvalidSetting for no http(s) URL."""
    if not is_plain_url(text):
        raise InvalidSetting(
            "HF_ENDPOINT is no plain http or https URL",
            hint=f"unset it for {DEFAULT_ENDPOINT}, or give a mirror like https://hf.example.com",
        )
    return text.rstrip("/")


def find_token(env: Mapping[str, str]) -> Token | None:
    """The user's own token: `HF_TOKEN`, else the file that `hf auth login` writes.

    The order and the places are those of the `huggingface_hub` package. Raises InvalidSetting for a
    token that cannot be one.
    """
    if env.get("HF_HUB_DISABLE_IMPLICIT_TOKEN", "").lower() in _TRUE:
        return None
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if env.get(name, "").strip():
            return Token(env[name].strip(), name)
    path = token_file(env)
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return Token(text, str(path)) if text else None


def token_file(env: Mapping[str, str]) -> Path:
    """Where `hf auth login` keeps the token."""
    if env.get("HF_TOKEN_PATH"):
        return Path(env["HF_TOKEN_PATH"]).expanduser()
    home = home_of(env)
    cache = Path(env.get("XDG_CACHE_HOME") or home / ".cache").expanduser()
    return Path(env.get("HF_HOME") or cache / "huggingface").expanduser() / "token"
