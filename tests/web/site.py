"""A site on loopback whose pages are as bad as pages can be."""

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable
from types import TracebackType
from typing import Self

Answer = Callable[["Asked"], bytes | list[bytes]]


class Asked:
    """A request: its path, and its headers in lower case."""

    def __init__(self, head: str) -> None:
        first, *lines = head.split("\r\n")
        self.method, self.path, _ = first.split(" ", 2)
        pairs = (line.split(":", 1) for line in lines if ":" in line)
        self.headers = {name.lower(): value.strip() for name, value in pairs}


def page(
    body: bytes | str,
    kind: str | None = "text/html; charset=utf-8",
    status: str = "200 OK",
    **headers: str,
) -> bytes:
    """A whole answer."""
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(data)}", "Connection: close"]
    if kind is not None:
        lines.append(f"Content-Type: {kind}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + data


def to(place: str, status: str = "302 Found", **headers: str) -> bytes:
    """A redirect."""
    return page("", status=status, Location=place, **headers)


class Site:
    """Serves `pages` by path on a port of its own."""

    def __init__(self, pages: dict[str, Answer | bytes]) -> None:
        self.pages = pages
        self.asked: list[Asked] = []
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = Asked((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"))
            self.asked.append(asked)
            made = self.pages[asked.path.partition("?")[0]]
            answer = made if isinstance(made, bytes) else made(asked)
            for piece in [answer] if isinstance(answer, bytes) else answer:
                writer.write(piece)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def endless(asked: Asked) -> list[bytes]:
    """A body that says no length and goes on; 64 MiB stand for ever."""
    return [b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n", *[b"x" * 65_536] * 1_024]


def bomb(asked: Asked) -> bytes:
    """200 MiB in 200 kB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    data = b"".join(packer.compress(b"\0 " * 524_288) for _ in range(200)) + packer.flush()
    return page(data, "text/plain", Content_Encoding="gzip")


def cookie_wall(asked: Asked) -> bytes:
    """The page comes only to who brings the cookie that the redirect sets."""
    if asked.headers.get("cookie", "").startswith("seen="):
        return page("<p>Behind the wall.</p>")
    return to("/wall", Set_Cookie="seen=1")


def packed(text: str) -> bytes:
    return page(gzip.compress(text.encode()), "text/plain", Content_Encoding="gzip")


def bare_deflate(text: str) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    data = packer.compress(text.encode()) + packer.flush()
    return page(data, "text/plain", Content_Encoding="deflate")


def as_json(**fields: object) -> bytes:
    return page(json.dumps(fields), "application/json")
