"""Standard output and error that are closed, or whose reader leaves: the work goes on without.

`o ingest … | head -1` uploads all files, `o migrate >&-` migrates. Else the first line that nobody
takes would end a command in the midst of its work, with a traceback.
"""

import errno
import io
import os
import sys
from contextlib import suppress
from typing import Any, TextIO

_READER_HAS_LEFT = (errno.EPIPE, errno.EIO)
"""Of a pipe, of a terminal."""
_OUTPUT = 1
_lost: list[int] = []
"""Why standard output could not be written, as the system numbers it."""


def outlast_readers() -> None:
    """Have what cannot be written to standard output and error be lost, and nothing else.

    What is closed is led nowhere: else the next file that is opened would be standard output.
    """
    _lost.clear()
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free, which is this one
            if fd == _OUTPUT:
                _lost.append(errno.EPIPE)
    sys.stdout = _text(_OUTPUT, sys.stdout, errors="strict")
    sys.stderr = _text(2, sys.stderr, errors="backslashreplace")


def why_unread() -> str | None:
    """Why what was printed until now has not reached anybody; None where it has, perhaps."""
    with suppress(ValueError):
        sys.stdout.flush()
    return os.strerror(_lost[0]) if _lost else None


def exit_status(status: int) -> int:
    """The exit status of a command: 1 where its output was to be kept, and could not be."""
    unread = why_unread()
    if status or unread is None or _lost[0] in _READER_HAS_LEFT:
        return status
    print(f"o: standard output cannot be written: {unread}", file=sys.stderr)  # noqa: T201
    return 1


class _Outlasting(io.FileIO):
    """Whatever is written to it is taken."""

    def write(self, content: Any, /) -> int:
        try:
            return super().write(content)
        except BlockingIOError:
            raise
        except OSError as error:
            if self.fileno() == _OUTPUT and not _lost:
                _lost.append(error.errno or errno.EIO)
            return len(content)


def _text(fd: int, as_before: TextIO | None, *, errors: str) -> TextIO:
    raw = _Outlasting(fd, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding="utf-8" if as_before is None else as_before.encoding,
        errors=errors if as_before is None else as_before.errors,
        line_buffering=fd != _OUTPUT or raw.isatty(),
    )
