"""Files as text, each by a process of its own with limits of memory and time."""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterable
from contextlib import suppress
from math import ceil

from o.domain.files.kinds import FileKind
from o.domain.files.reading import Chunks, FileRefused, FileText
from o.domain.text import storable

_log = logging.getLogger(__name__)
_MB = 1024 * 1024
_CHILD = (sys.executable, "-I", "-m", "o.files.child")
_ALONE_S = 1_800
"""After so long a process ends that nobody waits for any more: its worker has died."""

_MOST_BYTES_A_CHAR = 6
"""Of text, and of where its chunks begin and end."""

_MOST_REASON_CHARS = 1_000
_MOST_HEADER_CHARS = 16_000


class FileProcesses:
    """Reads files; whoever asks sees to it that they are few at a time."""

    def __init__(self, *, timeout_s: float, memory_mb: int, most_chars: int) -> None:
        """Nothing is started yet.

        Args:
            timeout_s: Seconds of a core that one file may take, and by the clock without any.
            memory_mb: What its process may take of the address space.
            most_chars: Of a file's text; one with more is refused.
        """
        self._timeout_s = timeout_s
        self._memory_mb = memory_mb
        self._most_chars = most_chars

    async def read(
        self, kind: FileKind, pieces: AsyncIterable[bytes], *, chunk_tokens: int
    ) -> FileText:
        """Read a file; see `o.domain.files.reading.FileReader`."""
        asked = {
            "kind": kind,
            "chunk_tokens": chunk_tokens,
            "most_chars": self._most_chars,
            "memory": self._memory_mb * _MB,
            "cpu_s": ceil(self._timeout_s),
            "wall_s": ceil(self._timeout_s) + _ALONE_S,
        }
        status, out = await self._run(json.dumps(asked).encode() + b"\n", pieces)
        try:
            return await asyncio.to_thread(_text_of, out)
        except FileRefused:
            raise
        # Not even its answer is trusted: whoever has taken the process over may write anything.
        except (ValueError, LookupError, TypeError):
            raise self._died(kind, status) from None

    async def _run(self, head: bytes, pieces: AsyncIterable[bytes]) -> tuple[int | None, bytes]:
        """The process's end and what it wrote; None for one that was ended for its time."""
        process = await asyncio.create_subprocess_exec(
            *_CHILD,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PATH": os.defpath},
            start_new_session=True,
        )
        answering = asyncio.create_task(self._answer(process))
        feeding = asyncio.create_task(_feed(process, head, pieces))
        both = asyncio.gather(answering, feeding)
        try:
            used_s = 0.0
            while not (await asyncio.wait([both], timeout=self._timeout_s / 2))[0]:
                before_s, used_s = used_s, _used_s(process.pid)
                if used_s == before_s:
                    return None, b""
            return both.result()[0]
        finally:
            # Each of them: where one fails, the other goes on, and may read what the caller closes.
            answering.cancel()
            feeding.cancel()
            # Its group, whatever it may have started; it is there until it is waited for.
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
            await asyncio.gather(answering, feeding, both, return_exceptions=True)

    async def _answer(self, process: asyncio.subprocess.Process) -> tuple[int, bytes]:
        """A process's end and all that it wrote, unless that is more than the answer may be."""
        assert process.stdout is not None  # noqa: S101
        parts: list[bytes] = []
        left = _MOST_BYTES_A_CHAR * self._most_chars + _MB
        while part := await process.stdout.read(_MB):
            parts.append(part)
            left -= len(part)
            if left < 0:
                raise FileRefused("It has more text than may be.")
        return await process.wait(), b"".join(parts)

    def _too_large(self) -> FileRefused:
        return FileRefused(
            f"Reading it takes more than the {self._memory_mb:,} MB of memory that a file may."
        )

    def _died(self, kind: FileKind, status: int | None) -> FileRefused:
        _log.warning("a file could not be read", extra={"kind": kind, "status": status})
        if status is None or status in {-signal.SIGXCPU, -signal.SIGALRM}:
            return FileRefused(f"Reading it takes longer than the {self._timeout_s:g} s it may.")
        if status == -signal.SIGKILL:
            return self._too_large()
        return FileRefused(
            "Its reader crashed: it is damaged, or takes more than the "
            f"{self._memory_mb:,} MB of memory that a file may."
        )


def _used_s(pid: int) -> float:
    """What a process has had of the machine's cores, in seconds; its limit of that ends it."""
    import psutil  # noqa: PLC0415 - nothing else in a worker needs it, and few files do

    with suppress(psutil.Error):
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)
    return 0.0


async def _feed(
    process: asyncio.subprocess.Process, head: bytes, pieces: AsyncIterable[bytes]
) -> None:
    """Give a process a file. One that wants no more of it has its reasons, which it tells."""
    assert process.stdin is not None  # noqa: S101
    with suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(head)
        async for piece in pieces:
            process.stdin.write(piece)
            await process.stdin.drain()
        process.stdin.close()


def _text_of(out: bytes) -> FileText:
    """What a process answers.

    Raises:
        FileRefused: It says why there is no text.
        ValueError, LookupError, TypeError: It is no answer.
    """
    head, _, body = out.partition(b"\n")
    answer = json.loads(head)
    if "reason" in answer:
        raise FileRefused(str(answer["reason"])[:_MOST_REASON_CHARS])
    text = storable(body.decode())
    spans = [(int(start), int(end)) for start, end in answer["spans"]]
    header = str(answer["header"])
    if len(spans) > len(text) or len(header) > _MOST_HEADER_CHARS:
        raise ValueError
    return FileText(text, list(Chunks(spans, header).texts(text)))
