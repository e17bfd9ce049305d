"""A provider that says one word, on loopback and for a moment: what the client warms up with."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def stand_in() -> AsyncIterator[str]:
    """Its address, as an OpenAI base URL."""
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}/v1"


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.split("content-length:")[1].split("\r\n")[0])
    streams = json.loads(await reader.readexactly(length)).get("stream", False)
    text, kind = _reply(streams)
    writer.write(
        f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(text)}\r\n"
        f"connection: close\r\n\r\n{text}".encode()
    )
    await writer.drain()
    writer.close()


def _reply(streams: bool) -> tuple[str, str]:
    said = {"role": "assistant", "content": "hello"}
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
    body = {"id": "x", "created": 1, "model": "x", "choices": [choice]}
    if not streams:
        choice["message"] = said
        return json.dumps(body | {"object": "chat.completion"}), "application/json"
    choice["delta"] = said
    chunk = json.dumps(body | {"object": "chat.completion.chunk"})
    return f"data: {chunk}\n\ndata: [DONE]\n\n", "text/event-stream"
