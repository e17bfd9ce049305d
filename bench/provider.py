"""`python -m bench.provider`: a model provider on loopback that answers at once, always the same.

Bare sockets: what it costs must not show in what is measured.
"""

import asyncio
import json

from bench.child import until_orphaned

MODEL = "instant"
HANDLE = f"openai/{MODEL}"

_REPLY = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": MODEL,
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "All is well."},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15},
}
_MODELS = {"object": "list", "data": [{"id": MODEL, "object": "model"}]}


def _answer(body: object) -> bytes:
    content = json.dumps(body).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(content)}"
    return head.encode() + b"\r\n\r\n" + content


_ANSWERS = {b"POST": _answer(_REPLY), b"GET ": _answer(_MODELS)}


class _Connection(asyncio.Protocol):
    """Answers each request of a kept-alive connection when its body is complete."""

    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._end_of_request()) is not None:
            method, self._buffer = self._buffer[:4], self._buffer[end:]
            assert self._transport is not None
            self._transport.write(_ANSWERS[method])

    def _end_of_request(self) -> int | None:
        """Where the first request in the buffer ends, None when it is not complete."""
        head, separator, _ = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return None
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        end = len(head) + len(separator) + length
        return end if len(self._buffer) >= end else None


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await until_orphaned(f"http://127.0.0.1:{port}/v1")
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve())
