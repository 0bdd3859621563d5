"""Events as JSON lines on standard output, warnings and errors in words on standard error."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ..events import Event, Notice, RunEnd
from .stream import warn, write_all


class JsonReporter:
    """One event, one line, one write; `run_end` is the last, whatever a worker still has to say."""

    def __init__(self) -> None:
        self._ended = False

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, Notice):
            warn(event.message)
        elif not self._ended:
            self._ended = isinstance(event, RunEnd)
            write_all(encode(event) + b"\n")

    def close(self) -> None:
        """Nothing is left to be said."""


_ENCODER = msgspec.json.Encoder()
_NO_UNICODE = re.compile("[\ud800-\udfff]")


def encode(value: Any) -> bytes:
    """A value as JSON on one line; what is no Unicode in a file name becomes U+FFFD."""
    try:
        return _ENCODER.encode(value)
    except UnicodeEncodeError:
        import json

        text = json.dumps(msgspec.to_builtins(value), ensure_ascii=False, separators=(",", ":"))
        return _NO_UNICODE.sub("\ufffd", text).encode()


def document(value: Any) -> bytes:
    """A value as indented JSON with a final newline."""
    return msgspec.json.format(encode(value), indent=4) + b"\n"
