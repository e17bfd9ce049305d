"""The file of encryption keys: changed by one process at a time, and never seen half."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from o.errors import Conflict, Unavailable


@contextmanager
def alone_with(file: Path) -> Iterator[None]:
    """Keep others from changing the file meanwhile. It ends with the process, too.

    Raises:
        Conflict: Another process changes it now.
        Unavailable: Its directory cannot be opened.
    """
    try:
        fd = os.open(file.parent, os.O_RDONLY)
    except OSError as error:
        raise Unavailable(f"{file.parent}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"another process changes {file} now") from None
        yield
    finally:
        os.close(fd)


def replace(file: Path, lines: list[str]) -> None:
    """Put these lines in the place of the file, for its owner only.

    Whoever reads it meanwhile reads the old ones or the new ones.

    Raises:
        Unavailable: It cannot be written; it is as it was.
    """
    new = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    try:
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(fd, "w", encoding="ascii") as opened:
                if os.geteuid() == 0:  # the operator's shell, where the server is somebody else
                    old = file.stat()
                    os.fchown(opened.fileno(), old.st_uid, old.st_gid)
                opened.writelines(f"{line}\n" for line in lines)
                opened.flush()
                os.fsync(opened.fileno())
            new.replace(file)
        finally:
            new.unlink(missing_ok=True)
        sync(file.parent)
    except OSError as error:
        raise Unavailable(f"{file} cannot be written: {error.strerror}") from error


def sync(directory: Path) -> None:
    """Have what was named in a directory outlive a power cut."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
