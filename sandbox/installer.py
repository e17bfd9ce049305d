"""Resolves and installs packages with `uv`, from wheels alone: no code of theirs runs here."""

import asyncio
import contextlib
import ctypes
import os
import platform
import resource
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from packaging.requirements import InvalidRequirement, Requirement

from o.errors import ToolFailed

MAX_BYTES = 1024 * 1024 * 1024
"""Of all that one installation writes; a single file has half of it."""
LOOK_EVERY_S = 0.5
COMPILE_S = 60.0
"""How long the sources of one installation may take to compile."""
_COMPILE_BYTES = 2**30
"""Of memory for that; the parser takes a thousand times the size of some sources."""
_PASSED_ON = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


class InstallFailed(ToolFailed):
    """Requirements cannot be had; the text says why, to the model and to who made the tool."""


@dataclass(frozen=True)
class Source:
    """Where packages come from.

    Attributes:
        index_url: A simple index; empty for none.
        find_links: A folder of wheels, or a page that links to some; empty for none.
    """

    index_url: str = "https://pypi.org/simple"
    find_links: str = ""

    def options(self) -> list[str]:
        """The options of uv that say so."""
        index = ["--default-index", self.index_url] if self.index_url else ["--no-index"]
        return index + (["--find-links", self.find_links] if self.find_links else [])


class Installer(Protocol):
    """Resolves requirements and installs them into a folder."""

    async def resolve(self, lines: tuple[str, ...], folder: Path) -> tuple[str, ...]:
        """Versions and hashes of all that `lines` need, as lines of a requirements file."""

    async def install(self, resolved: tuple[str, ...], folder: Path) -> None:
        """Put what was resolved into `folder / "target"`."""


class Uv:
    """`uv` as a process of its own, with a clean environment and bounds.

    Args:
        source: Where packages come from.
        python: The sandbox's Python, as `3.11`.
    """

    def __init__(self, source: Source, python: str) -> None:
        self._source = source
        self._platform = f"{platform.machine()}-manylinux_2_28"
        self._options = [
            *("--no-config", "--no-cache", "--no-progress", "--color", "never"),
            *("--only-binary", ":all:", "--no-python-downloads", "--python", sys.executable),
            *("--python-version", python, "--python-platform", self._platform),
            *source.options(),
        ]

    async def resolve(self, lines: tuple[str, ...], folder: Path) -> tuple[str, ...]:
        """Versions and hashes of all that `lines` need.

        Raises:
            InstallFailed: There are none that fit.
        """
        wanted, pinned = folder / "wanted.txt", folder / "pinned.txt"
        wanted.write_text("\n".join(lines) + "\n")
        only = ("--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url")
        await self._run(["compile", *only, "-o", str(pinned), str(wanted)], folder)
        resolved = tuple(pinned.read_text().replace("\\\n", " ").splitlines())
        if any(not _is_pinned(line) for line in resolved):
            raise InstallFailed("the index answered with what is no version of a package")
        return resolved

    async def install(self, resolved: tuple[str, ...], folder: Path) -> None:
        """Put what was resolved into `folder / "target"`.

        Raises:
            InstallFailed: It cannot be had, or is too large.
        """
        pinned, target = folder / "install.txt", folder / "target"
        target.mkdir()
        pinned.write_text("\n".join(resolved) + "\n")
        only = ("--require-hashes", "--no-deps", "--link-mode", "copy")
        await self._run(["install", *only, "--target", str(target), "-r", str(pinned)], folder)

    async def _run(self, arguments: list[str], folder: Path) -> None:
        from uv import find_uv_bin  # noqa: PLC0415  (only a worker that installs needs it)

        (folder / "tmp").mkdir(exist_ok=True)
        command = (find_uv_bin(), "pip", *arguments, *self._options)
        status, said = await _run_bounded(command, folder)
        if status:
            raise InstallFailed(self._words(said))

    def _words(self, said: bytes) -> str:
        """What uv says went wrong, without the index's password."""
        text = said.decode(errors="replace").replace("\0", "").strip()
        text = text.replace(self._source.index_url, "the index") if self._source.index_url else text
        return text[-2000:] or "uv ended without a word"


async def compile_sources(folder: Path, python: str) -> None:
    """Write the bytecode of what was installed into `folder / "target"`, as far as time allows.

    Sandboxes see the folder read-only, and would compile all that they import at each call. The
    sources are parsed and not run. Where the sandbox has another Python than the worker it is left
    to them, and what cannot be compiled too: nothing depends on it.

    Args:
        folder: What was installed holds no links.
        python: The sandbox's Python, as `3.11`.
    """
    if python != f"{sys.version_info.major}.{sys.version_info.minor}":
        return
    # Nobody changes the sources any more, so nobody need compare them with their bytecode.
    command = (
        sys.executable,
        *["-I", "-S", "-m", "compileall", "-qq", "--invalidation-mode", "unchecked-hash"],
    )
    try:
        async with asyncio.timeout(COMPILE_S):
            await _run_bounded(
                (*command, str(folder / "target")), folder, memory_bytes=_COMPILE_BYTES
            )
    except TimeoutError:
        pass  # what it had no time for is compiled at each call
    except InstallFailed:  # sources that become a thousand times as large
        for caches in list((folder / "target").rglob("__pycache__")):
            await asyncio.to_thread(shutil.rmtree, caches, ignore_errors=True)


async def _run_bounded(
    command: Sequence[str], folder: Path, *, memory_bytes: int | None = None
) -> tuple[int, bytes]:
    """Run a program in a folder with bounds of what it writes; its status, and what it said.

    With `memory_bytes`, it gets no more address space than that.

    Raises:
        InstallFailed: It writes too much.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=_environment(folder),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        preexec_fn=partial(_bounded, memory_bytes),
    )
    try:
        said = await _watched(process, folder)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    return process.returncode or 0, said


def _environment(folder: Path) -> dict[str, str]:
    """Nothing of the worker's but proxies and certificates; what uv leaves behind goes with it."""
    passed_on = {
        name: os.environ[name] for name in _PASSED_ON + _CERTIFICATES if name in os.environ
    }
    own = {"PATH": "/usr/bin:/bin", "HOME": str(folder / "tmp"), "TMPDIR": str(folder / "tmp")}
    bounds = {"UV_HTTP_TIMEOUT": "30", "UV_HTTP_RETRIES": "2", "UV_SYSTEM_CERTS": "1"}
    return passed_on | own | bounds


def _bounded(memory_bytes: int | None) -> None:
    """In the new process: it ends with the worker, and keeps within bounds."""
    ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_BYTES // 2, MAX_BYTES // 2))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory_bytes is not None:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


async def _watched(process: asyncio.subprocess.Process, folder: Path) -> bytes:
    """What the process said, once it has ended; raises when it writes too much."""
    reading = asyncio.create_task(_read(process.stderr))
    try:
        while not reading.done():
            await asyncio.wait([reading], timeout=LOOK_EVERY_S)
            if await asyncio.to_thread(size_of, folder) > MAX_BYTES:
                raise InstallFailed(f"the packages take more than {MAX_BYTES} bytes")
        await process.wait()
        return reading.result()
    finally:
        reading.cancel()


async def _read(stream: asyncio.StreamReader | None) -> bytes:
    """All of it is read, so that the process can write on; the first MiB is kept."""
    kept = b""
    while stream is not None and (piece := await stream.read(65536)):
        kept += piece[: max(0, 1024 * 1024 - len(kept))]
    return kept


def size_of(folder: Path) -> int:
    """Bytes of the files in a folder, which may change meanwhile."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(f"{parent}/{name}").st_size
    return total


def _is_pinned(line: str) -> bool:
    text = line.split("--hash", 1)[0].split("#", 1)[0].strip()
    if not text:
        return True
    try:
        parsed = Requirement(text)
    except InvalidRequirement:
        return False
    return parsed.url is None and [each.operator for each in parsed.specifier] == ["=="]
