"""What is no file is neither replaced by a backup nor waited for by what reads one."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from o.errors import Conflict
from o.price_file import read_prices
from server.backup.place import place
from tests.support.product import REPOSITORY


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A pipe that nobody else opens."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("kind", ["pipe", "link to a pipe", "directory"])
def test_a_backup_takes_the_place_of_nothing_but_a_file(
    pipe: Path, tmp_path: Path, kind: str, overwrite: bool
) -> None:
    target = tmp_path / "target"
    if kind == "directory":
        target.mkdir()
    else:
        target.symlink_to(pipe) if kind == "link to a pipe" else pipe.rename(target)
    before = target.lstat()
    with (
        pytest.raises(Conflict, match="is no file: name another one, or say - for standard output"),
        place(str(target), overwrite=overwrite),
    ):
        pass
    assert target.lstat() == before
    assert not list(tmp_path.glob(".*.part"))


def test_a_backup_by_a_link_replaces_the_file_and_not_the_link(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_bytes(b"old")
    link.symlink_to(file)
    with place(str(link), overwrite=True) as target:
        target.write(b"new")
    assert (link.readlink(), file.read_bytes()) == (file, b"new")


def test_a_restore_waits_for_no_pipe(pipe: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "server.cli", "restore", "--check", str(pipe)],
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], "O_DATA_DIR": str(tmp_path / "o")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == f"o: {pipe} is no file: a backup is read twice, so put it into one\n"
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_prices_are_read_from_no_pipe(pipe: Path) -> None:
    with pytest.raises(ValueError, match="is no file"):
        read_prices(pipe)
