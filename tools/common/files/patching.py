"""Regular expressions from a catalog, applied to text in a process of their own.

A pattern can take forever, and Python's `re` lets no other thread run meanwhile: only a process can be
ended then. This file is what that process runs, so as a script it needs nothing of the package.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import re
import signal
import sys

if __name__ != "__main__":  # what only the parent needs
    import subprocess
    from pathlib import Path

    from ..cancel import Cancel
    from ..errors import PostprocessingError
    from ..model import RegexReplace

TIMEOUT = 300.0
"""Seconds that one replacement may take."""

MAX_TEXT = 256 << 20
"""Bytes that a text may have, before and after."""

_NEEDED = ("SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""The variables without which Python may not start; the others are nobody's business."""


def patch(source: Path, target: Path, step: RegexReplace, cancel: Cancel) -> None:
    """Write the text of `source`, changed, to `target`; raises PostprocessingError and OSError.

    Too few occurrences mean that the catalog is about another file.
    """
    request = json.dumps([step.pattern, step.replacement, step.count, MAX_TEXT, TIMEOUT + 5])
    with source.open("rb") as text, target.open("wb") as result:
        answer = _ask(request, text.fileno(), result.fileno(), cancel)
    if problem := answer.get("problem"):
        raise PostprocessingError(str(problem))
    if number := answer.get("errno"):
        raise OSError(number, os.strerror(int(number)))
    count = int(answer["count"])
    if count == 0 or count < step.count:
        expected = step.count or "one or more"
        problem = f"expected {expected} occurrences of {step.pattern!r}, found {count}"
        raise PostprocessingError(problem)


def _ask(request: str, text: int, result: int, cancel: Cancel) -> dict[str, str | int]:
    """Run the child; the answer has one member: `count`, `problem` or `errno`."""
    try:
        child = subprocess.Popen(  # noqa: S603 - Python itself, with this file
            [sys.executable, "-I", "-S", "-W", "ignore", __file__, request],
            stdin=text,
            stdout=result,
            stderr=subprocess.PIPE,
            env={name: os.environ[name] for name in _NEEDED if name in os.environ},
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        raise PostprocessingError(f"no process to patch with: {error.strerror}") from None
    with child:
        try:
            with cancel.waking(child.kill):
                child.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            problem = f"took longer than {TIMEOUT:g} s: a runaway pattern?"
            raise PostprocessingError(problem) from None
        finally:
            child.kill()
        cancel.check()
        assert child.stderr is not None, "it was asked for"
        said = child.stderr.readline()
    try:
        answer: dict[str, str | int] = json.loads(said)
    except ValueError:
        if child.returncode == -signal.SIGINT:
            cancel.sleep(3)  # a Ctrl-C before the child ignored it: it is about to be known here too
        problem = f"the process that patches ended with status {child.returncode}"
        raise PostprocessingError(problem) from None
    return answer


class _TooLargeError(Exception):
    """The text, or what would become of it."""


def _replaced(text: str, pattern: str, replacement: str, count: int, limit: int) -> tuple[str, int]:
    """What `re.subn` gives, as long as the result stays within `limit` characters."""
    left = limit - len(text)

    def expand(match: re.Match[str]) -> str:
        nonlocal left
        largest = max(match.end(i) - match.start(i) for i in range(match.re.groups + 1))
        # Before it is made: a short replacement can name a large group many times.
        if len(replacement) + replacement.count("\\") * largest > limit:
            raise _TooLargeError
        piece = match.expand(replacement)
        left -= len(piece) - len(match[0])
        if left < 0:
            raise _TooLargeError
        return piece

    return re.subn(pattern, expand, text, count=count)


def _answer(request: str) -> dict[str, str | int]:
    pattern, replacement, count, limit, timeout = json.loads(request)
    # Should the process that waits for this one be killed, then nobody else would end it.
    faulthandler.dump_traceback_later(timeout, exit=True, file=sys.__stderr__ or sys.stderr)
    try:
        data = sys.stdin.buffer.read(limit + 1)
        if len(data) > limit:
            raise _TooLargeError
        text, found = _replaced(data.decode("utf-8"), pattern, replacement, count, limit)
        rest = memoryview(text.encode("utf-8"))
        if len(rest) > limit:
            raise _TooLargeError
        while rest:
            rest = rest[os.write(1, rest) :]
    except UnicodeDecodeError:
        return {"problem": "cannot patch what is not UTF-8 text"}
    except (re.error, IndexError, OverflowError, RecursionError, UnicodeEncodeError) as error:
        return {"problem": f"bad pattern or replacement: {error}"[:500]}
    except (_TooLargeError, MemoryError):
        return {"problem": f"cannot patch a text that has or gets more than {limit} bytes"}
    except OSError as error:
        return {"errno": error.errno or 0}
    return {"count": found}


def _main() -> None:
    """The child: text on stdin, result on stdout, the answer on stderr; Ctrl-C is its parent's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answer = json.dumps(_answer(sys.argv[1])).encode() + b"\n"
    with contextlib.suppress(OSError):
        os.write(2, answer)


if __name__ == "__main__":
    _main()
