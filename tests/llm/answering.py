"""A provider that answers what a test has it say, byte by byte, and how it is asked."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from o.domain.llm import ModelReply, ModelRequest, ReplyDelta
from o.llm.models import Models
from o.llm.providers.providers import Provider, Providers
from o.settings.providers import ProviderSettings
from o.tools.registry import BUILT_IN_TOOLS

KEY = "sk-secret-key"
ARGUMENTS = {"label": "human", "new_string": "Ada"}
REQUEST = ModelRequest(
    handle="openai/x",
    prompt=[
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "I am Ada"},
        {"role": "assistant", "content": "Hm", "thinking_blocks": [{"signature": "s"}]},
    ],
    tools=[BUILT_IN_TOOLS["memory_insert"].spec],
    settings={"temperature": 0.5, "max_output_tokens": 99},
)


@dataclass
class Server:
    """Answers every request with what it is told to, and keeps what it was asked."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=list)
    forever: bytes = b""
    pause_s: float = 0.0
    lingers_s: float = 0.0
    asked: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)
    url: str = ""

    async def answer(self, request: Request) -> Response:
        body = await request.json() if request.method == "POST" else {}
        self.asked.append((dict(request.headers), body))

        async def pieces() -> AsyncIterator[bytes]:
            for piece in self.pieces:
                yield piece
            while self.forever:
                yield self.forever
                await asyncio.sleep(self.pause_s)
            while self.lingers_s > 0:
                await asyncio.sleep(0.05)
                self.lingers_s -= 0.05

        return StreamingResponse(pieces(), self.status, self.headers)

    def says(self, *pieces: str | bytes | dict[str, Any]) -> None:
        """Answer with these, each sent by itself."""
        self.pieces = [
            piece
            if isinstance(piece, bytes)
            else (piece if isinstance(piece, str) else json.dumps(piece)).encode()
            for piece in pieces
        ]

    @property
    def provider(self) -> Provider:
        return Provider("openai", "openai", "openai", self.url, SecretStr(KEY))


async def ask(
    server: Server, deltas: list[ReplyDelta] | None = None, *, timeout_s: float = 5
) -> ModelReply:
    """Ask it for a reply, streamed where there are `deltas` to be filled."""

    async def keep(delta: ReplyDelta) -> None:
        assert deltas is not None
        deltas.append(delta)

    settings = ProviderSettings(openai_api_key=SecretStr(KEY), openai_base_url=server.url)
    models = Models(Providers(settings), timeout_s=timeout_s)
    try:
        return await models.complete(REQUEST, on_delta=None if deltas is None else keep)
    finally:
        await models.close()


def choice(**said: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "finish_reason": "stop", "message": said}]}


def chunk(finish_reason: str | None = None, **delta: Any) -> str:
    body = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"


@contextmanager
def running_server() -> Iterator[Server]:
    server = Server()
    routes = [
        Route("/v1/chat/completions", server.answer, methods=["POST"]),
        Route("/v1/models", server.answer),
    ]
    uvicorn_server = uvicorn.Server(
        uvicorn.Config(Starlette(routes=routes), host="127.0.0.1", port=0, log_level="warning")
    )
    thread = threading.Thread(target=uvicorn_server.run, daemon=True)
    thread.start()
    while not uvicorn_server.started:
        thread.join(0.01)
    port = uvicorn_server.servers[0].sockets[0].getsockname()[1]
    server.url = f"http://127.0.0.1:{port}/v1"
    yield server
    server.forever, server.lingers_s = b"", 0
    uvicorn_server.should_exit = True
    thread.join(10)
