"""A disk that a test can fill."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_disk(place: Path, mib: int, *, is_read_only: bool = False) -> Iterator[Path]:
    """A file system of `mib` MiB at `place`; the test is skipped where none can be mounted."""
    place.mkdir()
    options = f"size={mib}m,{'ro' if is_read_only else 'rw'}"
    mount = ["mount", "-t", "tmpfs", "-o", options, "none", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no disk can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(file: Path) -> None:
    """Take all the room that a disk has left."""
    with pytest.raises(OSError, match="No space left"):
        _write_for_ever(file)


def _write_for_ever(file: Path) -> None:
    with file.open("wb", buffering=0) as filler:
        while True:
            filler.write(b"x" * 1024 * 1024)
