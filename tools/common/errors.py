"""What can go wrong, grouped by who has to act, each error with fields and a stable reason code."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum


class Reason(str, Enum):
    """Why something failed: the fixed list that events, reports and errors share."""

    NOT_FOUND = "not_found"
    ACCESS_DENIED = "access_denied"
    CHECKSUM_MISMATCH = "checksum_mismatch"
    SIZE_MISMATCH = "size_mismatch"
    WRONG_CONTENT = "wrong_content"
    QUOTA_EXCEEDED = "quota_exceeded"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    NETWORK = "network"
    CERTIFICATE = "certificate"
    OFFLINE = "offline"
    NO_SPACE = "no_space"
    DISK_ERROR = "disk_error"
    UNSAFE_PATH = "unsafe_path"
    POSTPROCESSING_FAILED = "postprocessing_failed"
    INVALID_CATALOG = "invalid_catalog"
    INVALID_REQUEST = "invalid_request"
    ALREADY_PUBLISHED = "already_published"
    CONSENT_REQUIRED = "consent_required"
    INTERRUPTED = "interrupted"

    def __str__(self) -> str:
        return self.value


class ModelZooError(Exception):
    """Everything that this package raises on purpose; `reason` says what, the text says the rest."""

    def __init__(self, message: str, reason: Reason = Reason.INVALID_REQUEST) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason


class UsageError(ModelZooError):
    """The caller asked for something that makes no sense: exit status 2."""


class InvalidValueError(UsageError, ValueError):
    """A value that can be none of what is asked for; a ValueError for those who call us as audmodel."""


class SelectionError(ModelZooError):
    """No model, source or precision of that name; `near` holds names that the caller may have meant."""

    def __init__(self, message: str, near: Sequence[str] = ()) -> None:
        hint = f" Did you mean {', '.join(near)}?" if near else ""
        super().__init__(message + hint, Reason.NOT_FOUND)
        self.near = tuple(near)


class MissingFolderError(UsageError, FileNotFoundError):
    """What should be published is no folder."""


class AlreadyPublishedError(ModelZooError, RuntimeError):
    """The repository has this very model, or somebody is publishing it; `uid` names it."""

    def __init__(self, uid: str, problem: str) -> None:
        super().__init__(f"{uid}: {problem}", Reason.ALREADY_PUBLISHED)
        self.uid = uid


class UnknownModelError(SelectionError, RuntimeError):
    """No repository has it; a RuntimeError for those who call us as audmodel."""


class CatalogError(ModelZooError):
    """Whoever keeps the catalog has to mend it: `file`, `model` and `key` lead to the place."""

    def __init__(self, problem: str, *, file: str = "", model: str = "", key: str = "") -> None:
        where = [file, f'model "{model}"' if model else "", f'"{key}"' if key else ""]
        super().__init__(": ".join([*filter(None, where), problem]), Reason.INVALID_CATALOG)
        self.problem, self.file, self.model, self.key = problem, file, model, key


class UnsafePathError(ModelZooError):
    """A name from outside that must not become a path here."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"unsafe name {name!r}: {problem}", Reason.UNSAFE_PATH)
        self.name, self.problem = name, problem


class TransferError(ModelZooError):
    """The bytes did not come: the server, the network or the source's keeper has to act.

    `url` is masked already. `transient` says that trying again can help; `retry_after` (seconds) is
    the server's own wish; `busy` that its host wants to be left alone meanwhile; `credential` names
    the secret that was refused.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        url: str = "",
        transient: bool = False,
        busy: bool = False,
        retry_after: float | None = None,
        credential: str | None = None,
    ) -> None:
        super().__init__(f"{url}: {message}" if url else message, reason)
        self.url, self.transient, self.busy = url, transient, busy
        self.retry_after, self.credential = retry_after, credential


class StorageError(ModelZooError):
    """The disk of whoever runs the tool is full or refuses."""

    def __init__(self, message: str, reason: Reason = Reason.DISK_ERROR) -> None:
        super().__init__(message, reason)


class PostprocessingError(ModelZooError):
    """The files came, but what the catalog wants done with them failed."""

    def __init__(self, message: str, reason: Reason = Reason.POSTPROCESSING_FAILED) -> None:
        super().__init__(message, reason)


class ConsentRequired(ModelZooError):
    """Somebody has to look at the code of a source before it may run; `folder` is where it is."""

    def __init__(self, source: str, folder: str, file: str, problem: str) -> None:
        super().__init__(
            f'{file}: this code of the source "{source}" {problem}; read it, and allow it with '
            "--trust_remote_code (trust_remote_code=True)",
            Reason.CONSENT_REQUIRED,
        )
        self.source, self.folder, self.file = source, folder, file


class Interrupted(ModelZooError):
    """The run was stopped from outside; what had come stays and can be resumed."""

    def __init__(self) -> None:
        super().__init__("interrupted; run again to go on where it stopped", Reason.INTERRUPTED)
