"""How the egress proxy carries bytes: both ways, counted, and no further than their frame says."""

import asyncio
import re

from sandbox.egress.head import Head

_PIECE = 64 * 1024
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")
_STATUS = re.compile(r"HTTP/1\.[01] ([1-9][0-9]{2})(?: [^\r\n]*)?")
_HOPS = ("connection:", "keep-alive:", "proxy-", "upgrade:")


class OverBudget(Exception):
    """The job has carried as many bytes as it may."""


class NotHttp(Exception):
    """What a host answers is not HTTP."""


class Budget:
    """The bytes that a job may still carry, both ways together."""

    def __init__(self, most: int) -> None:
        self._left = most

    def spend(self, count: int) -> None:
        """Raises `OverBudget` where there are not as many."""
        self._left -= count
        if self._left < 0:
            raise OverBudget


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, budget: Budget) -> None:
    """Carry everything, to the end, and tell the other side of the end."""
    while piece := await reader.read(_PIECE):
        budget.spend(len(piece))
        writer.write(piece)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def tunnel(
    near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    far: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    budget: Budget,
) -> None:
    """Carry both ways until both are at their end, or one fails."""
    async with asyncio.TaskGroup() as ways:
        ways.create_task(carry(near[0], far[1], budget))
        ways.create_task(carry(far[0], near[1], budget))


def spell_head(
    head: Head, host: str | None = None, extra: tuple[tuple[str, str], ...] = ()
) -> bytes:
    """A request's head as it goes on to its host: one request, after which the connection ends.

    Args:
        head: What was asked.
        host: The header `Host`, where not that of the request.
        extra: Headers beside its own.
    """
    name = f"[{head.host}]" if ":" in head.host else head.host
    shown = host or (name if head.port == 80 else f"{name}:{head.port}")
    lines = [f"{head.method} {head.path} HTTP/1.1", f"Host: {shown}"]
    lines += [f"{key}: {value}" for key, value in head.headers if key.lower() != "host"]
    lines += [f"{key}: {value}" for key, value in extra]
    if head.body_bytes is None:
        lines.append("Transfer-Encoding: chunked")
    lines.append("Connection: close")
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n"


async def carry_body(
    head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, budget: Budget
) -> None:
    """Carry a request's body, and not a byte of what may stand behind it.

    Raises:
        ValueError: Its chunks are not well formed.
        asyncio.IncompleteReadError: It is shorter than was said.
    """
    if head.body_bytes is not None:
        await _carry_exactly(head.body_bytes, reader, writer, budget)
        return
    while True:
        found = _CHUNK_LINE.fullmatch(await reader.readuntil(b"\n"))
        if found is None:
            raise ValueError("no chunk begins so")
        size = int(found[1], 16)
        writer.write(b"%x\r\n" % size)
        await _carry_exactly(size, reader, writer, budget)
        if await reader.readexactly(2) != b"\r\n":  # trailers are not taken either
            raise ValueError("no chunk ends so")
        writer.write(b"\r\n")
        await writer.drain()
        if size == 0:
            return


async def _carry_exactly(
    count: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, budget: Budget
) -> None:
    while count > 0:
        piece = await reader.read(min(count, _PIECE))
        if not piece:
            raise asyncio.IncompleteReadError(b"", count)
        budget.spend(len(piece))
        count -= len(piece)
        writer.write(piece)
        await writer.drain()


async def carry_answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, budget: Budget
) -> None:
    """Carry an answer to its end, and say in its head that no other will follow.

    Raises:
        NotHttp: It does not begin like one.
    """
    while True:
        try:
            raw = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.LimitOverrunError, asyncio.IncompleteReadError):
            raise NotHttp from None
        budget.spend(len(raw))
        first, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        found = _STATUS.fullmatch(first)
        if found is None:
            raise NotHttp
        is_last = not found[1].startswith("1")
        kept = [line for line in lines if not line.lower().startswith(_HOPS)]
        said = [first, *kept, *(["Connection: close"] if is_last else [])]
        writer.write("".join(f"{line}\r\n" for line in said).encode("latin-1") + b"\r\n")
        await writer.drain()
        if is_last:
            await carry(reader, writer, budget)
            return
