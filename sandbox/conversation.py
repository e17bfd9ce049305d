"""A worker's talk with one guest, over whatever carries its bytes; every backend has the same."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from sandbox.frames import (
    FrameRefused,
    Inside,
    encode_job,
    max_reply,
    not_understood,
    parse,
    read_reply,
    timed_out,
    too_long,
)
from sandbox.protocol import Job, JobResult, SandboxUnavailable

_HELLO_BYTES = 4 * 1024
_HELLO_S = 30.0
_PART = 64 * 1024
_GRACE_S = 1.0
"""The guest stops the tool at its time and tells what was printed; who is later is not heard."""


class GuestEnded(Exception):
    """The guest is gone and has not replied."""


class Line(Protocol):
    """Bytes to the stdin of a guest, and from its stdout."""

    async def send(self, data: bytes) -> None:
        """Send all of it; OSError when nobody is there."""

    async def receive(self) -> bytes:
        """Some bytes, or none at the end."""


class Streams:
    """A line over the pipes of a process, or a socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        self._writer.write(data)
        await self._writer.drain()

    async def receive(self) -> bytes:
        """What has come, or none at the end."""
        return await self._reader.read(_PART)


class Guest:
    """One guest, from its start to its only reply.

    Attributes:
        python: Which one it says that it has, as `3.11`, once it is ready.
    """

    def __init__(self, line: Line) -> None:
        self.python = ""
        self._line = line
        self._buffer = bytearray()

    async def ready(self, within_s: float = _HELLO_S) -> None:
        """Wait for its hello.

        Raises:
            SandboxUnavailable: It did not come.
        """
        try:
            async with asyncio.timeout(within_s):
                hello = parse(await self._frame(_HELLO_BYTES))
        except (TimeoutError, GuestEnded, FrameRefused) as error:
            raise SandboxUnavailable("a sandbox was started and did not answer") from error
        if "hello" not in hello:
            raise SandboxUnavailable("a sandbox was started and answered with something else")
        self.python = str(hello.get("python", ""))[:8]

    async def call(
        self, job: Job, inside: Inside, before_sending: Callable[[], Awaitable[None]]
    ) -> JobResult:
        """Send a job and wait for its end; the sandbox is good for nothing afterwards.

        Raises:
            GuestEnded: It ended without a reply; the job may have run.
        """
        try:
            frame = encode_job(job, inside)
        except FrameRefused as error:
            return JobResult(failure=too_long(job, str(error)))
        await before_sending()
        try:
            async with asyncio.timeout(job.limits.timeout_s + _GRACE_S):
                await self._send(frame)
                return read_reply(await self._frame(max_reply(job.limits)), job)
        except TimeoutError:
            return JobResult(failure=timed_out(job))
        except FrameRefused:
            return JobResult(failure=not_understood(job))

    async def _send(self, frame: bytes) -> None:
        try:
            await self._line.send(frame)
        except OSError as error:
            raise GuestEnded from error

    async def _frame(self, limit: int) -> bytes:
        await self._fill(4)
        size = int.from_bytes(self._buffer[:4], "big")
        if size > limit:
            raise FrameRefused("it is too long")
        await self._fill(4 + size)
        body = bytes(self._buffer[4 : 4 + size])
        del self._buffer[: 4 + size]
        return body

    async def _fill(self, size: int) -> None:
        while len(self._buffer) < size:
            try:
                data = await self._line.receive()
            except OSError as error:
                raise GuestEnded from error
            if not data:
                raise GuestEnded
            self._buffer += data
