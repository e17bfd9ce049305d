"""Folders of installed requirements, made once and mounted read-only into sandboxes."""

import asyncio
import contextlib
import fcntl
import hashlib
import json
import logging
import os
import platform
import shutil
import stat
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from o.errors import InvalidArgument
from sandbox.installer import Installer, InstallFailed, Source, Uv, compile_sources
from sandbox.requirements import check

logger = logging.getLogger(__name__)

TIMEOUT_S = 300.0
FAILURE_LASTS_S = 180.0
"""How long a failure is answered again without another try."""
_OWN_MODULES = frozenset(sys.stdlib_module_names) | {"guest"}


class Packages:
    """The folders of one machine, for all its workers.

    Args:
        root: Where they are, such as `<data directory>/tool-packages`.
        source: Where packages come from.
        python: The sandbox's Python, as `3.11`.
        installer: What installs; uv where it is None.
    """

    def __init__(
        self,
        root: Path,
        source: Source,
        *,
        python: str = "3.11",
        installer: Installer | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._root = root.absolute()
        self._source = source
        self._python = python
        self._build = f"{python} {platform.machine()}"
        self._installer = installer or Uv(source, python)
        self._timeout_s = timeout_s

    async def prepared(self, requirements: Sequence[Mapping[str, Any]] | None) -> Path | None:
        """The folder that has them, made where it is missing, by one caller at a time.

        A repeat is cheap: what was resolved once stays, also where newer versions come out, and a
        failure is answered again for three minutes. None where nothing is required.

        Raises:
            InstallFailed: They are no packages, or cannot be had, and why.
        """
        try:
            lines = check(requirements)
        except InvalidArgument as refused:
            raise _told(refused.message) from None
        if not lines:
            return None
        wanted = _digest([*lines, self._build, self._source.index_url, self._source.find_links])
        if (folder := self._made(wanted)) is not None:
            return folder
        try:
            async with self._alone(wanted):
                self._raise_again(wanted)
                return self._made(wanted) or await self._make(lines, wanted)
        except TimeoutError:
            reason = f"installing took more than {self._timeout_s:.0f} s"
            self._keep_failure(wanted, reason)
            raise _told(reason) from None

    def _made(self, wanted: str) -> Path | None:
        """The finished folder; it gets its name when all of it is there."""
        mark = self._root / "wanted" / wanted
        try:
            os.utime(mark)  # what is not used for long is removed (`sandbox.old_packages`)
            folder = self._root / mark.read_text()
        except OSError:
            return None
        return folder if folder.is_dir() and folder.parent == self._root else None

    async def _make(self, lines: tuple[str, ...], wanted: str) -> Path:
        work = self._root / f"making-{wanted}"
        await asyncio.to_thread(remove_folder, work)  # what a dead worker left; the lock is ours
        work.mkdir()
        logger.info("installing requirements of a tool", extra={"requirements": list(lines)})
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout_s):
                resolved = await self._installer.resolve(lines, work)
            left_s = self._timeout_s - (time.monotonic() - began)
            folder = self._root / _digest([*resolved, self._build])
            async with self._alone(folder.name):  # nobody removes it meanwhile
                if not folder.is_dir():
                    async with asyncio.timeout(left_s):
                        await self._installer.install(resolved, work)
                        await asyncio.to_thread(_look_through, work)
                    await compile_sources(work, self._python)  # within a time of its own
                    await asyncio.to_thread(_finish, work, folder)
                _write(self._root / "wanted" / wanted, folder.name)
            return folder
        except InstallFailed as failure:
            self._keep_failure(wanted, failure.message)
            raise InstallFailed(
                f"Its requirements cannot be installed: {failure.message}"
            ) from None
        finally:
            await asyncio.shield(asyncio.to_thread(remove_folder, work))

    @contextlib.asynccontextmanager
    async def _alone(self, wanted: str) -> AsyncIterator[None]:
        """Hold the lock of one set of requirements, against other processes too.

        Raises:
            TimeoutError: Who holds it takes longer than an installation and its compiling may.
        """
        for name in ("", "wanted", "failed", "locks"):
            (self._root / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._root / "locks" / wanted).open("a") as lock:
            async with asyncio.timeout(2 * self._timeout_s):
                while not _locks(lock):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)  # a file's lock tells nobody when it is free
            yield

    def _raise_again(self, wanted: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            failed = json.loads((self._root / "failed" / wanted).read_text())
            if 0 <= time.time() - failed["at"] < FAILURE_LASTS_S:
                raise _told(failed["reason"])

    def _keep_failure(self, wanted: str, reason: str) -> None:
        logger.warning("requirements of a tool cannot be installed")
        with contextlib.suppress(OSError):
            text = json.dumps({"at": time.time(), "reason": reason})
            _write(self._root / "failed" / wanted, text)


def _locks(file: IO[str]) -> bool:
    """Lock a file, unless somebody else has."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _told(reason: str) -> InstallFailed:
    return InstallFailed(f"The tool's requirements cannot be installed: {reason}")


def _look_through(work: Path) -> None:
    """See that what was installed is in its folder, holds no links, and hides nothing of Python's.

    Raises:
        InstallFailed: It is not so.
    """
    target = work / "target"
    beside = {path.name for path in work.iterdir()}
    if beside - {"target", "tmp", "wanted.txt", "pinned.txt", "install.txt"}:
        raise InstallFailed("a package has files outside of its folder")
    for path in target.iterdir():
        module = path.name.split(".", 1)[0]
        if module in _OWN_MODULES and (path.is_dir() or path.suffix in {".py", ".so", ".pyc"}):
            raise InstallFailed(f"a package would take the place of Python's own {module!r}")
    for parent, folders, files in os.walk(target):
        for name in folders + files:
            mode = Path(parent, name).lstat().st_mode
            if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
                raise InstallFailed("a package has links or devices")


def _finish(work: Path, folder: Path) -> None:
    """Make what was installed read-only, and give it its name."""
    target = work / "target"
    for parent, folders, files in os.walk(target):
        for name in folders + files:
            path = Path(parent, name)
            mode = path.lstat().st_mode
            path.chmod(0o555 if stat.S_ISDIR(mode) or mode & 0o100 else 0o444)
    target.rename(folder)
    folder.chmod(0o555)


def remove_folder(folder: Path) -> None:
    """Delete a folder, also what is read-only in it; a folder that is not there is fine."""
    for parent, folders, _ in os.walk(folder):
        for name in folders:
            with contextlib.suppress(OSError):
                path = Path(parent, name)
                if not path.is_symlink():
                    path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _write(path: Path, text: str) -> None:
    """Write all of it or nothing."""
    new = path.with_name(f"{path.name}.{os.getpid()}")
    new.write_text(text)
    new.rename(path)


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
