"""Files that are whole or not there: written beside their place, and put there when done."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from o.errors import InvalidInput

_UNFINISHED = ".part"


class Place:
    """A directory that files are put into."""

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        """The directory is made when the first file is.

        Args:
            path: Where.
            overwrite: Whether files that are there are written anew.
        """
        self.path = path
        self._overwrite = overwrite

    def below(self, *names: str) -> "Place":
        """A directory in this one."""
        return Place(self.path.joinpath(*names), overwrite=self._overwrite)

    def lacks(self, name: str) -> bool:
        """Whether the file is to be written: it is not there whole, or is written all the same."""
        return self._overwrite or not (self.path / name).is_file()

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """A file that is there, under its name, once all is written; before, nothing is.

        Raises:
            InvalidInput: It cannot be written.
        """
        final = self.path / name
        unfinished = self.path / f"{name}{_UNFINISHED}"
        try:
            _make(self.path)
            with unfinished.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(final)
        except OSError as error:
            raise InvalidInput(f"{final} cannot be written: {error.strerror or error}") from None
        finally:
            with suppress(OSError):
                unfinished.unlink()

    def write(self, name: str, text: str) -> None:
        """Put a text into a file.

        Raises:
            InvalidInput: It cannot be written.
        """
        with self.writing(name) as file:
            file.write(text.encode("utf-8", "replace"))


def _make(directory: Path) -> None:
    """Make a directory and those above it, for nobody else to read: what was said is private."""
    missing = [one for one in (directory, *directory.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)
