"""Every error Stoker raises on purpose.

    StokerError                     code, hint
    ├─ UserError                    the request cannot be right
    │  ├─ InvalidReference          a model name that does not parse
    │  ├─ InvalidSetting            a flag, field or variable with an impossible value
    │  ├─ NotFound                  nothing of that name here (or there)
    │  │  └─ ModelNotFound          no such model, or part of one
    │  ├─ AmbiguousName             several models fit; all are named
    │  ├─ Conflict                  right request, wrong moment (several tags, runner busy)
    │  ├─ UnsupportedFormat         an artifact or file of a kind nobody here can read
    │  │  └─ Incomplete             a model that lacks some of its weights
    │  ├─ UnsupportedOperation      no engine here does such a thing
    │  ├─ WrongMethod               the path is known, and something else is done there
    │  ├─ PayloadTooLarge           a body over its limit
    │  ├─ BodyTooSlow               a body that does not come
    │  ├─ Unauthenticated           no API key, or one that is not known
    │  ├─ Forbidden                 a key that may not do this
    │  └─ DoesNotFit                which device lacks how many bytes, and what would fit
    ├─ Busy                         try again later
    │  ├─ QueueFull
    │  ├─ KeyBusy                   an API key has as many requests as it may
    │  ├─ WaitedTooLong             a request's place in the queue has a deadline
    │  ├─ Draining                  the daemon is on its way out
    │  └─ Locked                    another process holds the store or the daemon lock
    ├─ RemoteError                  the far side: `origin` says which
    │  ├─ Unreachable               no connection
    │  │  └─ Broken                 in a way that may pass: worth another try
    │  ├─ AuthRequired  Denied  RateLimited
    │  └─ RegistryError  HubError  DaemonError
    ├─ IntegrityError               bytes are not what their digest says
    │  ├─ DigestMismatch  SizeMismatch
    │  └─ CorruptStore
    ├─ StorageError                 the disk: full, read-only, gone
    ├─ ParseError                   a file or a message is malformed or over a limit; `offset`
    │  └─ Unfamiliar                newer than this program, for all it knows; nothing is wrong
    └─ EngineError                  `engine`, `log_tail`
       ├─ NotInstalled  LaunchFailed  NotReadyInTime  Crashed

A message says what, where and which side; a hint says what next. The HTTP status of each class is
in `api/errors.py`, its exit code in `cli/errors.py`.
"""

from typing import ClassVar

__all__ = [
    "AmbiguousName", "AuthRequired", "BodyTooSlow", "Broken", "Busy", "Conflict",
    "CorruptStore", "Crashed", "DaemonError", "Denied", "DigestMismatch", "DoesNotFit",
    "Draining", "EngineError", "Forbidden", "HubError", "Incomplete", "IntegrityError",
    "InvalidReference", "InvalidSetting", "KeyBusy", "LaunchFailed", "Locked", "ModelNotFound",
    "NotFound", "NotInstalled", "NotReadyInTime", "ParseError", "PayloadTooLarge", "QueueFull",
    "RateLimited", "RegistryError", "RemoteError", "SizeMismatch", "StokerError",
    "StorageError", "Unauthenticated", "Unfamiliar", "Unreachable", "UnsupportedFormat",
    "UnsupportedOperation", "UserError", "WaitedTooLong", "WrongMethod",
]  # fmt: skip


class StokerError(Exception):
    """Base of the tree. `code` is stable and travels on the wire; `hint` is one line of advice."""

    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint

    @property
    def message(self) -> str:
        """The text without the hint."""
        return str(self.args[0])


class UserError(StokerError):
    code = "invalid_request"


class InvalidReference(UserError):
    code = "invalid_reference"


class InvalidSetting(UserError):
    code = "invalid_setting"


class NotFound(UserError):
    code = "not_found"


class ModelNotFound(NotFound):
    code = "model_not_found"


class AmbiguousName(UserError):
    code = "ambiguous_name"


class Conflict(UserError):
    code = "conflict"


class UnsupportedFormat(UserError):
    code = "unsupported_format"


class Incomplete(UnsupportedFormat):
    code = "incomplete_model"


class UnsupportedOperation(UserError):
    code = "unsupported_operation"


class WrongMethod(UserError):
    code = "method_not_allowed"


class PayloadTooLarge(UserError):
    code = "request_too_large"


class BodyTooSlow(UserError):
    code = "request_timeout"


class Unauthenticated(UserError):
    code = "invalid_api_key"


class Forbidden(UserError):
    code = "forbidden"


class DoesNotFit(UserError):
    code = "does_not_fit"


class Busy(StokerError):
    code = "busy"


class QueueFull(Busy):
    code = "queue_full"


class KeyBusy(Busy):
    code = "key_busy"


class WaitedTooLong(Busy):
    code = "waited_too_long"


class Draining(Busy):
    code = "draining"


class Locked(Busy):
    code = "locked"


class RemoteError(StokerError):
    """Something on the far side of a connection. `origin` is a host, never a URL with secrets."""

    code = "remote_error"

    def __init__(
        self, message: str, *, origin: str, hint: str | None = None, status: int | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.origin = origin
        self.status = status


class Unreachable(RemoteError):
    code = "unreachable"


class Broken(Unreachable):
    """A connection that failed in a way that may pass: worth another try."""

    code = "connection_broken"


class AuthRequired(RemoteError):
    code = "auth_required"


class Denied(RemoteError):
    code = "denied"


class RateLimited(RemoteError):
    """`retry_after` in seconds, when the far side said so."""

    code = "rate_limited"

    def __init__(
        self,
        message: str,
        *,
        origin: str,
        retry_after: float | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, origin=origin, hint=hint, status=429)
        self.retry_after = retry_after


class RegistryError(RemoteError):
    code = "registry_error"


class HubError(RemoteError):
    code = "hub_error"


class DaemonError(RemoteError):
    """What the daemon answered, as the client sees it; `remote_code` is the daemon's `code`."""

    code = "daemon_error"

    def __init__(
        self,
        message: str,
        *,
        origin: str,
        status: int,
        remote_code: str = "",
        hint: str | None = None,
    ) -> None:
        super().__init__(message, origin=origin, hint=hint, status=status)
        self.remote_code = remote_code


class IntegrityError(StokerError):
    code = "integrity_error"


class DigestMismatch(IntegrityError):
    code = "digest_mismatch"


class SizeMismatch(IntegrityError):
    code = "size_mismatch"


class CorruptStore(IntegrityError):
    code = "corrupt_store"


class StorageError(StokerError):
    code = "storage_error"


class ParseError(StokerError):
    """`offset` is the byte where reading stopped making sense, when there is one."""

    code = "parse_error"

    def __init__(self, message: str, *, offset: int | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.offset = offset


class Unfamiliar(ParseError):
    code = "unfamiliar"


class EngineError(StokerError):
    """An engine process failed. `log_tail` holds its last lines, oldest first."""

    code = "engine_error"

    def __init__(
        self,
        message: str,
        *,
        engine: str,
        log_tail: tuple[str, ...] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.engine = engine
        self.log_tail = log_tail


class NotInstalled(EngineError):
    code = "engine_not_installed"


class LaunchFailed(EngineError):
    """`reason` is one of the stable words of `engines/spec.Reason`."""

    code = "launch_failed"

    def __init__(
        self,
        message: str,
        *,
        engine: str,
        reason: str = "unknown",
        log_tail: tuple[str, ...] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message, engine=engine, log_tail=log_tail, hint=hint)
        self.reason = reason


class NotReadyInTime(EngineError):
    code = "not_ready_in_time"


class Crashed(EngineError):
    code = "engine_crashed"
