"""Requirements that nobody needs any more go; those in use, or asked for meanwhile, stay."""

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest

from sandbox.installer import Source
from sandbox.old_packages import _alone, remove_old
from sandbox.packages import Packages
from tests.sandbox.wheels import make_wheel

_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_DAY_S = 24 * 3600


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "tool-packages"


@pytest.fixture
def packages(root: Path, tmp_path: Path) -> Packages:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name in ("alpha", "beta"):
        make_wheel(wheels, name)
    return Packages(root, Source("", str(wheels)), python=_PYTHON)


async def installed(packages: Packages, name: str) -> Path:
    folder = await packages.prepared([{"name": name}])
    assert folder is not None
    return folder


def make_old(folder: Path, *, days: float) -> None:
    then = time.time() - days * _DAY_S
    os.utime(folder, (then, then))


def make_all_old(root: Path, *, days: float) -> None:
    for file in (root / "wanted").iterdir():
        make_old(file, days=days)


async def test_what_was_not_used_for_long_goes_and_is_installed_again(
    packages: Packages, root: Path
) -> None:
    unused, used = await installed(packages, "alpha"), await installed(packages, "beta")
    make_all_old(root, days=31)
    assert await installed(packages, "beta") == used, "which is a use"
    assert remove_old(root, kept_s=30 * _DAY_S) == 0
    assert unused.is_dir(), "somebody may be running with it"
    make_old(unused, days=2)
    assert remove_old(root, kept_s=30 * _DAY_S) == 1
    assert not unused.exists()
    assert used.is_dir()
    assert remove_old(root, kept_s=30 * _DAY_S) == 0
    assert await installed(packages, "alpha") == unused
    assert (unused / "alpha.py").exists()


async def test_what_is_asked_for_in_its_time_of_grace_stays(packages: Packages, root: Path) -> None:
    folder = await installed(packages, "alpha")
    make_all_old(root, days=31)
    remove_old(root, kept_s=30 * _DAY_S)
    assert await installed(packages, "alpha") == folder
    make_old(folder, days=100)
    assert remove_old(root, kept_s=30 * _DAY_S) == 0
    assert folder.is_dir()


async def test_what_a_dead_worker_left_goes_and_what_is_being_made_stays(
    packages: Packages, root: Path
) -> None:
    folder = await installed(packages, "alpha")
    for name in ("making-dead", "making-busy", "gone-half"):
        (root / name).mkdir()
        make_old(root / name, days=2)
    async with packages._alone("busy"):
        remove_old(root, kept_s=30 * _DAY_S)
        assert (root / "making-busy").is_dir()
    left = {path.name for path in root.iterdir()} - {"wanted", "failed", "locks"}
    assert left == {folder.name, "making-busy"}


async def test_callers_and_removers_together_never_get_a_folder_that_is_not_there(
    packages: Packages, root: Path
) -> None:
    await installed(packages, "alpha")

    async def remove() -> None:
        for _ in range(20):
            await asyncio.to_thread(remove_old, root, kept_s=-1, grace_s=3600)

    async def call() -> None:
        for _ in range(20):
            folder = await installed(packages, "alpha")
            assert (folder / "alpha.py").exists()

    await asyncio.gather(remove(), call(), call())


def test_a_lock_lets_through_what_goes_wrong_under_it(root: Path) -> None:
    (root / "locks").mkdir(parents=True)
    with pytest.raises(FileNotFoundError), _alone(root, "alpha"):
        (root / "not there").unlink()
    with _alone(root, "alpha") as is_ours, _alone(root, "alpha") as is_again_ours:
        assert (is_ours, is_again_ours) == (True, False)


def test_a_folder_that_is_not_there_is_nothing_to_do(root: Path) -> None:
    assert remove_old(root, kept_s=0) == 0
