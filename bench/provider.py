"""`python -m bench.provider`: a model provider on loopback that answers at once.

Bare sockets, answers made beforehand, and requests searched instead of parsed: what it costs must
not show in what is measured.
"""

import asyncio
import json
from typing import Any

from bench.child import until_orphaned

INSTANT = "instant"
"""The model that answers in words."""
TOOL_USER = "tool-user"
"""The model that changes a memory block first, then answers in words."""
CUSTOM_USER = "custom-caller"
"""The model that calls the custom tool `greet` first, then answers in words."""
SILENT = "silent"
"""The model that never answers."""
EMBEDDING = "instant-embedding"
"""How the names of models begin that embed."""
DIMENSION = 384
"""Numbers of their vectors, which are all the same one."""
REPLY = "All is well."

_NAMES = (INSTANT, TOOL_USER, CUSTOM_USER, SILENT)
_WORDS = [REPLY, *(f" And word {n}." for n in range(9))]
_BETWEEN_WORDS_S = 0.01
_USAGE = {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}
_CALL = {
    "id": "call_1",
    "type": "function",
    "function": {
        "name": "memory_insert",
        "arguments": json.dumps({"label": "human", "new_string": "x"}),
    },
}

_CUSTOM_CALL = _CALL | {"function": {"name": "greet", "arguments": "{}"}}


def _head(kind: str, length: int | None) -> bytes:
    size = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    return f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{size}\r\n\r\n".encode()


def _answer(body: object) -> bytes:
    content = json.dumps(body).encode()
    return _head("application/json", len(content)) + content


def _completion(message: dict[str, Any], finish_reason: str) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant"} | message}
    return _answer(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": INSTANT,
            "choices": [choice | {"finish_reason": finish_reason}],
            "usage": _USAGE,
        }
    )


def _chunk(choices: list[dict[str, Any]], **more: Any) -> bytes:
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": INSTANT,
        "choices": choices,
    }
    return _framed(json.dumps(body | more))


def _framed(data: str) -> bytes:
    event = f"data: {data}\n\n".encode()
    return f"{len(event):x}\r\n".encode() + event + b"\r\n"


def _piece(word: str) -> bytes:
    return _chunk([{"index": 0, "delta": {"content": word}, "finish_reason": None}])


_WHOLE = _completion({"content": REPLY}, "stop")
_TOOL_CALLS = {
    model: _completion({"content": None, "tool_calls": [call]}, "tool_calls")
    for model, call in ((TOOL_USER, _CALL), (CUSTOM_USER, _CUSTOM_CALL))
}
_MODELS = _answer({"object": "list", "data": [{"id": name, "object": "model"} for name in _NAMES]})
_VECTOR = _answer(
    {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [1.0, *[0.01] * (DIMENSION - 1)]}
        ],
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    }
)
_STREAM_HEAD = _head("text/event-stream", None)
_PIECES = [_piece(word) for word in _WORDS]
_STREAM_END = (
    _chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    + _chunk([], usage=_USAGE)
    + _framed("[DONE]")
    + b"0\r\n\r\n"
)


def _is_asked_for_stream(body: bytes) -> bool:
    return b'"stream":true' in body or b'"stream": true' in body


def _tool_call(body: bytes) -> bytes | None:
    """The call of a model with a tool, None where the last message is the tool's return."""
    for model, call in _TOOL_CALLS.items():
        if model.encode() in body:
            last = body.rfind(b'"role"')
            return None if b'"tool"' in body[last : last + 16] else call
    return None


class _Connection(asyncio.Protocol):
    """Answers each request of a kept-alive connection when its body is complete."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._end = 0
        self._body = 0
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._end:
            self._find_end()
        if self._end and len(self._buffer) >= self._end:
            method, body = bytes(self._buffer[:4]), bytes(self._buffer[self._body : self._end])
            del self._buffer[: self._end]
            self._end = 0
            self._reply(method, body)

    def _find_end(self) -> None:
        """Where the request ends, once its head is there. Nobody here sends two at once."""
        at = self._buffer.find(b"\r\n\r\n")
        if at < 0:
            return
        length = 0
        for line in bytes(self._buffer[:at]).lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        self._body = at + 4
        self._end = self._body + length

    def _reply(self, method: bytes, body: bytes) -> None:
        assert self._transport is not None
        if method == b"GET ":
            self._transport.write(_MODELS)
        elif EMBEDDING.encode() in body:
            self._transport.write(_VECTOR)
        elif f'"model":"{SILENT}"'.encode() in body.replace(b'": "', b'":"'):
            return
        elif _is_asked_for_stream(body):
            self._transport.write(_STREAM_HEAD + _PIECES[0])
            self._go_on(1)
        else:
            self._transport.write(_tool_call(body) or _WHOLE)

    def _go_on(self, place: int) -> None:
        """Send the piece at `place` a moment later, and so on to the end."""

        def send() -> None:
            assert self._transport is not None
            if place < len(_PIECES):
                self._transport.write(_PIECES[place])
                self._go_on(place + 1)
            else:
                self._transport.write(_STREAM_END)

        asyncio.get_running_loop().call_later(_BETWEEN_WORDS_S, send)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await until_orphaned(f"http://127.0.0.1:{port}/v1")
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve())
