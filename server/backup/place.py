"""Where a backup is written to: a file that is whole or not there, or standard output."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from o.errors import Conflict, Unavailable
from server.streams import why_unread

STDOUT = "-"
_STDOUT_FD = 1


@contextmanager
def place(target: str, *, overwrite: bool) -> Iterator[BinaryIO]:
    """Open what a backup is written into; for nobody but its owner to read.

    A file comes to its name when all of it is on the disk. Until then it is `.<name>.<…>.part`
    beside it, which is removed when the backup fails; one that was killed leaves it behind.

    Args:
        target: A path, or `-`. Of a link, what it leads to.
        overwrite: Whether a file of that name is replaced.

    Raises:
        Conflict: There is a file of that name, or what is none, such as a device; or standard
            output is closed or a terminal.
        Unavailable: It cannot be written.
    """
    try:
        if target == STDOUT:
            if os.isatty(_STDOUT_FD):
                raise Conflict("a backup is not for a terminal: name a file, or send it to one")
            if why_unread() is not None:
                raise Conflict("standard output is closed: name a file, or send it to one")
            with open(_STDOUT_FD, "wb", closefd=False) as file:  # `sys.stdout` outlasts readers
                yield file
            return
        path = Path(target)
        if path.exists() and not path.is_file():  # a device, say, that would be gone
            raise Conflict(f"{path} is no file: name another one, or say - for standard output")
        if not overwrite and path.exists():
            raise Conflict(f"{path} is there already: take another name, or say --overwrite")
        with _new(Path(os.path.realpath(path))) as file:  # a link stays
            yield file
    except OSError as error:
        raise Unavailable(f"the backup cannot be written: {error.strerror or error}") from error


@contextmanager
def _new(path: Path) -> Iterator[BinaryIO]:
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
