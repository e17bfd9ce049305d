"""A provider that says one word, on loopback and for a moment: what the client warms up with."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def one_word_provider() -> AsyncIterator[str]:
    """Its address, as a base URL of the Anthropic wire."""
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.split("content-length:")[1].split("\r\n")[0])
    streams = json.loads(await reader.readexactly(length)).get("stream", False)
    text, kind = (_STREAM, "text/event-stream") if streams else (_WHOLE, "application/json")
    writer.write(
        f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(text)}\r\n"
        f"connection: close\r\n\r\n{text}".encode()
    )
    await writer.drain()
    writer.close()


_MESSAGE: dict[str, Any] = {"id": "x", "type": "message", "role": "assistant", "model": "x"}
_USAGE = {"input_tokens": 1, "output_tokens": 1}
_TEXT = {"type": "text", "text": "hello"}
_THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "x"}  # its tokens are counted here
_CONTENT = [_THOUGHT, _TEXT]
_WHOLE = json.dumps(_MESSAGE | {"content": _CONTENT, "stop_reason": "end_turn", "usage": _USAGE})
_STREAM = "".join(
    f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
    for event in (
        {"type": "message_start", "message": _MESSAGE | {"content": [], "usage": _USAGE}},
        {"type": "content_block_start", "index": 0, "content_block": _THOUGHT | {"thinking": ""}},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "thinking_delta", "thinking": "hm"},
        },
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": _TEXT | {"text": ""}},
        {
            "type": "content_block_delta",
            "index": 1,
            "delta": {"type": "text_delta", "text": "hello"},
        },
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": _USAGE},
        {"type": "message_stop"},
    )
)
