"""How the processes of one machine show their measures together.

Each listens on a socket in a directory that they share, under a name of its own, and whoever is
asked by Prometheus asks the others. Nothing of this keeps a process from its work: where it does
not go, there is a line in the log, and the process shows itself alone.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

_log = logging.getLogger(__name__)
_MOST_OF_A_KIND = 256
_PATIENCE_S = 1.0
_MOST_BYTES = 8 * 1024 * 1024
_SOCKET = ".sock"
_LOCK = ".lock"

Expose = Callable[[str], Awaitable[str]]
"""Makes the text of this process, which is told its name."""


@asynccontextmanager
async def shown_to_others(directory: Path | None, kind: str, expose: Expose) -> AsyncIterator[str]:
    """Be asked by the other processes while the block lasts.

    Yields:
        The name of this process: `kind` and the first number that is free, so that one which takes
        another's place has its name, and series stay few.

    Args:
        directory: Where they meet; None for nowhere.
        kind: What this process is, such as `worker`.
        expose: Makes its text.
    """
    with contextlib.ExitStack() as held:
        number = 1
        server: asyncio.Server | None = None
        if directory is not None:
            try:
                number = _claim(directory, kind, held)
                server = await _listen(directory, f"{kind}-{number}", expose)
            except OSError as error:
                _log.warning("measures are not shared", extra={"reason": error.strerror})
        try:
            yield f"{kind}-{number}"
        finally:
            if server is not None:
                server.close()


def _claim(directory: Path, kind: str, held: contextlib.ExitStack) -> int:
    """The first number that nobody has; it is free again when this process ends, however."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in range(1, _MOST_OF_A_KIND + 1):
        file = os.open(directory / f"{kind}-{number}{_LOCK}", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            continue
        held.callback(os.close, file)
        return number
    raise OSError(0, f"there are {_MOST_OF_A_KIND} of the kind already")


async def _listen(directory: Path, name: str, expose: Expose) -> asyncio.Server:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(2 * _PATIENCE_S):
                writer.write((await expose(name)).encode())
                await writer.drain()
        writer.close()

    place = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short(directory) as short:
            where = f"{short}/{name}{_SOCKET}"
            with contextlib.suppress(FileNotFoundError):
                os.unlink(where)  # of one that died: the name is ours now
            place.bind(where)
        place.setblocking(False)
        return await asyncio.start_unix_server(answer, sock=place)
    except OSError:
        place.close()
        raise


async def texts_of_others(directory: Path | None, own_name: str) -> dict[str, str]:
    """What the other processes show now, by name; one that is silent for a second is left out."""
    if directory is None:
        return {}
    names = [name for name in _names(directory) if name != own_name]
    texts = await asyncio.gather(*(_ask(directory, name) for name in names))
    return {name: text for name, text in zip(names, texts, strict=True) if text is not None}


def _names(directory: Path) -> list[str]:
    try:
        return sorted(path.name.removesuffix(_SOCKET) for path in directory.glob(f"*{_SOCKET}"))
    except OSError:
        return []


async def _ask(directory: Path, name: str) -> str | None:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            with _short(directory) as short:
                reader, writer = await asyncio.open_unix_connection(f"{short}/{name}{_SOCKET}")
            try:
                return await _read(reader)
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return None


async def _read(reader: asyncio.StreamReader) -> str | None:
    text = bytearray()
    while piece := await reader.read(64 * 1024):
        text += piece
        if len(text) > _MOST_BYTES:
            return None
    return text.decode() or None


@contextlib.contextmanager
def _short(directory: Path) -> Iterator[str]:
    """A spelling of the directory that leaves a socket's address room: it takes 107 bytes."""
    if sys.platform != "linux":
        yield str(directory)
        return
    opened = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{opened}"
    finally:
        os.close(opened)
