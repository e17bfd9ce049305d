"""Each provider's wire, over real HTTP: where requests go, and what comes of the replies."""

import asyncio
import json
import threading
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import uvicorn
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from o.domain.llm import ModelRequest, ReplyDelta
from o.errors import ModelError, NotFound
from o.llm.models import Models
from o.llm.providers.catalogue import Catalogue
from o.llm.providers.providers import Providers
from o.llm.tracing import tracing
from o.settings.providers import ProviderSettings
from o.tools.registry import BUILT_IN_TOOLS

Opened = Callable[[Models], Models]
ARGUMENTS = {"label": "human", "new_string": "Ada"}


def _sse(*events: dict[str, Any]) -> StreamingResponse:
    async def frames() -> AsyncIterator[bytes]:
        for event in events:
            yield f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()

    return StreamingResponse(frames(), media_type="text/event-stream")


THOUGHT = [
    {"type": "thinking", "thinking": "hm", "signature": "signed"},
    {"type": "redacted_thinking", "data": "sealed"},
]


def _thought(body: dict[str, Any]) -> Response:
    """A reply of a model that thinks, a part of which Anthropic has encrypted."""
    usage = {"input_tokens": 11, "output_tokens": 7}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "x", "usage": usage}
    if not body.get("stream"):
        content = [*THOUGHT, {"type": "text", "text": "hello"}]
        return JSONResponse(message | {"content": content, "stop_reason": "end_turn"})
    begun = {"type": "thinking", "thinking": "", "signature": ""}
    pieces: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
        (
            begun,
            [
                {"type": "thinking_delta", "thinking": "hm"},
                {"type": "signature_delta", "signature": "signed"},
            ],
        ),
        (THOUGHT[1], []),
        ({"type": "text", "text": ""}, [{"type": "text_delta", "text": "hello"}]),
    ]
    events: list[dict[str, Any]] = [{"type": "message_start", "message": message | {"content": []}}]
    for n, (block, deltas) in enumerate(pieces):
        events.append({"type": "content_block_start", "index": n, "content_block": block})
        events += [{"type": "content_block_delta", "index": n, "delta": d} for d in deltas]
        events.append({"type": "content_block_stop", "index": n})
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}
    return _sse(*events, end, {"type": "message_stop"})


class Wires:
    """Speaks the Anthropic and the Ollama wire; keeps what it was asked."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.endless = ""  # the content encoding of answers without end
        routes = [
            Route("/v1/messages", self._anthropic, methods=["POST"]),
            Route("/v1/models", lambda _: JSONResponse({"data": [{"id": "claude-x"}]})),
            Route("/api/chat", self._ollama, methods=["POST"]),
            Route("/api/show", lambda _: JSONResponse({}), methods=["POST"]),
            Route("/api/tags", lambda _: JSONResponse({"models": [{"name": "llama:1b"}]})),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes), host="127.0.0.1", port=0, log_level="warning"
        )
        self.server = uvicorn.Server(config)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.servers[0].sockets[0].getsockname()[1]}"

    async def _keep(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = await request.json()
        self.requests.append((request.url.path, dict(request.headers), body))
        return body

    def _without_end(self, body: dict[str, Any], kind: str) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            pack = zlib.compressobj(1, wbits=31)
            while self.endless:
                piece = b"data: " + bytes(100_000).replace(b"\0", b"x")
                yield pack.compress(piece) if self.endless == "gzip" else piece
                await asyncio.sleep(0)

        return StreamingResponse(
            pieces(),
            media_type=kind if body.get("stream") else "application/json",
            headers={"content-encoding": self.endless},
        )

    async def _anthropic(self, request: Request) -> Response:
        body = await self._keep(request)
        if self.endless:
            return self._without_end(body, "text/event-stream")
        if body["model"] == "claude-thinks":
            return _thought(body)
        if not body.get("stream"):
            return JSONResponse(
                {
                    "id": "msg_1",
                    "type": "message",
                    "role": "assistant",
                    "model": body["model"],
                    "stop_reason": "tool_use",
                    "content": [
                        {"type": "text", "text": "noting"},
                        {
                            "type": "tool_use",
                            "id": "toolu_1",
                            "name": "memory_insert",
                            "input": ARGUMENTS,
                        },
                    ],
                    "usage": {"input_tokens": 11, "output_tokens": 7},
                }
            )
        usage = {"input_tokens": 11, "output_tokens": 1}
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "content": [],
            "model": "x",
            "usage": usage,
        }
        call = {"type": "tool_use", "id": "toolu_1", "name": "memory_insert", "input": {}}
        text = json.dumps(ARGUMENTS)
        return _sse(
            {"type": "message_start", "message": message},
            {
                "type": "content_block_start",
                "index": 0,
                "content_block": {"type": "text", "text": ""},
            },
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": "noting"},
            },
            {"type": "content_block_stop", "index": 0},
            {"type": "content_block_start", "index": 1, "content_block": call},
            {
                "type": "content_block_delta",
                "index": 1,
                "delta": {"type": "input_json_delta", "partial_json": text[:9]},
            },
            {
                "type": "content_block_delta",
                "index": 1,
                "delta": {"type": "input_json_delta", "partial_json": text[9:]},
            },
            {"type": "content_block_stop", "index": 1},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "tool_use"},
                "usage": {"output_tokens": 7},
            },
            {"type": "message_stop"},
        )

    async def _ollama(self, request: Request) -> Response:
        body = await self._keep(request)
        if self.endless:
            return self._without_end(body, "application/x-ndjson")
        message = {
            "role": "assistant",
            "content": "noting",
            "tool_calls": [{"function": {"name": "memory_insert", "arguments": ARGUMENTS}}],
        }
        whole = {
            "model": body["model"],
            "created_at": "2026-01-01T00:00:00Z",
            "message": message,
            "done": True,
            "done_reason": "stop",
            "prompt_eval_count": 11,
            "eval_count": 7,
        }
        if not body.get("stream"):
            return JSONResponse(whole)

        async def lines() -> AsyncIterator[bytes]:
            yield (json.dumps(whole) + "\n").encode()

        return StreamingResponse(lines(), media_type="application/x-ndjson")


@pytest.fixture(scope="module")
def wires() -> Iterator[Wires]:
    wires = Wires()
    thread = threading.Thread(target=wires.server.run, daemon=True)
    thread.start()
    while not wires.server.started:
        thread.join(0.01)
    yield wires
    wires.server.should_exit = True
    thread.join(10)


@pytest.fixture
def settings(wires: Wires) -> ProviderSettings:
    return ProviderSettings(
        anthropic_api_key=SecretStr("sk-ant"),
        anthropic_base_url=wires.url,
        ollama_base_url=wires.url,
    )


def request_to(handle: str) -> ModelRequest:
    prompt = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "I am Ada"},
    ]
    return ModelRequest(
        handle=handle,
        prompt=prompt,
        tools=[BUILT_IN_TOOLS["memory_insert"].spec],
        settings={"temperature": 0.5, "max_output_tokens": 99},
    )


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("handle", "path"), [("anthropic/claude-x", "/v1/messages"), ("ollama/llama:1b", "/api/chat")]
)
async def test_a_call_comes_back_the_same_over_every_wire(
    wires: Wires, settings: ProviderSettings, handle: str, path: str, streams: bool, opened: Opened
) -> None:
    model = opened(Models(Providers(settings), timeout_s=60))
    deltas: list[ReplyDelta] = []

    async def keep(delta: ReplyDelta) -> None:
        deltas.append(delta)

    request = request_to(handle)
    with tracing() as trace:
        reply = await model.complete(request, keep if streams else None)
    assert reply.text == "noting"
    (call,) = reply.tool_calls
    assert call.name == "memory_insert"
    assert json.loads(call.arguments) == ARGUMENTS
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (11, 7)
    asked, headers, body = wires.requests[-1]
    assert asked == path
    assert body["model"] == handle.partition("/")[2]
    (exchange,) = trace.exchanges
    assert json.loads(exchange.request) == body
    assert exchange.status == 200
    assert b"memory_insert" in b"".join(exchange.response.parts())
    if path == "/v1/messages":
        assert headers["x-api-key"] == "sk-ant"
        assert body["max_tokens"] == 99
    if streams:
        written = "".join(delta.text for delta in deltas if delta.kind == "tool_call")
        assert json.loads(written) == ARGUMENTS
        assert [d.name for d in deltas if d.name] == ["memory_insert"]
    assert request == request_to(handle), "the request is not changed"


@pytest.mark.parametrize("streams", [False, True])
async def test_signed_and_encrypted_reasoning_comes_out_and_goes_back_as_it_was(
    wires: Wires, settings: ProviderSettings, streams: bool, opened: Opened
) -> None:
    told: list[str] = []

    async def keep(delta: ReplyDelta) -> None:
        told.append(delta.kind)

    model = opened(Models(Providers(settings), timeout_s=60))
    request = request_to("anthropic/claude-thinks")
    reply = await model.complete(request, keep if streams else None)
    assert told == (["reasoning", "redacted", "text"] if streams else [])
    assert (reply.text, reply.reasoning, reply.reasoning_signature) == ("hello", "hm", "signed")
    assert reply.redacted_reasoning == ["sealed"]
    said = {"role": "assistant", "content": "hello", "thinking_blocks": THOUGHT}
    again = [*request.prompt, said, {"role": "user", "content": "And?"}]
    await model.complete(request.model_copy(update={"prompt": again}))
    assert wires.requests[-1][2]["messages"][1]["content"][:2] == THOUGHT


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("handle", ["anthropic/claude-x", "ollama/llama:1b"])
@pytest.mark.parametrize("packed", [False, True])
async def test_an_answer_without_measure_is_refused_over_every_wire(
    wires: Wires,
    settings: ProviderSettings,
    handle: str,
    streams: bool,
    packed: bool,
    opened: Opened,
) -> None:
    async def nowhere(delta: ReplyDelta) -> None:
        pass

    wires.endless = "gzip" if packed else "identity"
    model = opened(Models(Providers(settings), timeout_s=30))
    with pytest.raises(ModelError) as failure:
        await model.complete(request_to(handle), nowhere if streams else None)
    wires.endless = ""
    assert "larger than 8 MB" in failure.value.message
    assert not failure.value.retryable


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("handle", ["openai/gpt", "anthropic/claude-x", "ollama/llama:1b"])
async def test_a_provider_that_is_away_is_told_in_words_without_its_address(
    handle: str, streams: bool, caplog: pytest.LogCaptureFixture, opened: Opened
) -> None:
    async def nowhere(delta: ReplyDelta) -> None:
        pass

    settings = ProviderSettings(
        openai_base_url="http://user:hush@127.0.0.1:9/v1",
        anthropic_api_key=SecretStr("k"),
        anthropic_base_url="http://127.0.0.1:9",
        ollama_base_url="http://127.0.0.1:9",
    )
    model = opened(Models(Providers(settings), timeout_s=60))
    with pytest.raises(ModelError) as failure:
        await model.complete(request_to(handle), nowhere if streams else None)
    error = failure.value
    name = handle.partition("/")[0]
    assert error.message == f"The provider {name} failed: the connection was refused."
    assert error.detail == "the connection was refused"
    assert (error.kind, error.status, error.retryable) == ("llm_error", 500, True)
    (record,) = [one for one in caplog.records if one.name == "o.llm.failures"]
    assert record.__dict__["address"] == "127.0.0.1:9", "whoever reads the log finds it there"


async def test_a_forced_call_is_forced_in_the_words_of_the_wire(
    wires: Wires, settings: ProviderSettings, opened: Opened
) -> None:
    model = opened(Models(Providers(settings), timeout_s=60))
    request = request_to("anthropic/claude-x")
    alone: dict[str, Any] = {"disable_parallel_tool_use": True}
    await model.complete(request)
    assert wires.requests[-1][2]["tool_choice"] == {"type": "auto"} | alone
    await model.complete(request.model_copy(update={"tool_choice": "required"}))
    assert wires.requests[-1][2]["tool_choice"] == {"type": "any"} | alone
    await model.complete(request.model_copy(update={"parallel_calls": True}))
    assert not wires.requests[-1][2]["tool_choice"]["disable_parallel_tool_use"]


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("handle", "scheme", "reaches_provider"),
    [
        ("anthropic/claude-x", "http", False),
        ("anthropic/claude-x", "https", True),
        ("ollama/llama:1b", "http", False),
        ("ollama/llama:1b", "https", False),
    ],
)
async def test_an_image_by_address_is_fetched_by_the_provider_or_by_nobody(
    wires: Wires,
    settings: ProviderSettings,
    handle: str,
    scheme: str,
    reaches_provider: bool,
    streams: bool,
    opened: Opened,
) -> None:
    came: list[bytes] = []

    async def keep(delta: ReplyDelta) -> None:
        """Read on."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await reader.read(1))
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as listener:
        url = f"{scheme}://127.0.0.1:{listener.sockets[0].getsockname()[1]}/cat.png"
        content = [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": url}},
        ]
        request = request_to(handle)
        prompt = [*request.prompt, {"role": "user", "content": content}]
        model = opened(Models(Providers(settings), timeout_s=60))
        reply = await model.complete(
            request.model_copy(update={"prompt": prompt}), keep if streams else None
        )
    assert reply.text == "noting"
    assert came == []
    sent = json.dumps(wires.requests[-1][2])
    assert url in sent, "the model is told of it"
    assert (f'"url": "{url}"' in sent) is reaches_provider
    assert ("which you cannot be shown" in sent) is not reaches_provider


async def test_an_image_in_the_message_itself_reaches_every_provider(
    wires: Wires, settings: ProviderSettings, opened: Opened
) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}}
    for handle in ("anthropic/claude-x", "ollama/llama:1b"):
        request = request_to(handle)
        prompt = [*request.prompt, {"role": "user", "content": [image]}]
        model = opened(Models(Providers(settings), timeout_s=60))
        await model.complete(request.model_copy(update={"prompt": prompt}))
        assert "aGVsbG8=" in json.dumps(wires.requests[-1][2])


async def test_the_catalogue_lists_what_each_provider_offers(settings: ProviderSettings) -> None:
    catalogue = Catalogue(Providers(settings))
    handles = [entry.handle for entry in await catalogue.list_models()]
    assert handles == ["anthropic/claude-x", "ollama/llama:1b"]
    with pytest.raises(NotFound):
        await catalogue.get("anthropic/unheard-of")


async def test_a_provider_that_is_down_lists_nothing_and_is_trusted(opened: Opened) -> None:
    settings = ProviderSettings(ollama_base_url="http://127.0.0.1:9")
    catalogue = Catalogue(Providers(settings))
    assert await catalogue.list_models() == []
    assert (await catalogue.get("ollama/anything")).model == "anything"
    model = opened(Models(Providers(settings), timeout_s=5))
    with pytest.raises(ModelError) as failure:
        await model.complete(request_to("ollama/anything"))
    assert failure.value.retryable


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("kind", ["json_schema", "json_object"])
@pytest.mark.parametrize("handle", ["anthropic/claude-x", "ollama/llama:1b"])
async def test_a_response_format_reaches_the_provider_and_leaves_calls_as_they_are(
    wires: Wires, settings: ProviderSettings, handle: str, kind: str, streams: bool, opened: Opened
) -> None:
    schema = {"type": "object", "properties": {"words": {"type": "string"}}}
    wanted = {"type": kind} | ({"json_schema": {"schema": schema}} if kind == "json_schema" else {})
    request = request_to(handle)
    request = request.model_copy(
        update={"settings": request.settings | {"response_format": wanted}}
    )

    async def keep(delta: ReplyDelta) -> None:
        pass

    reply = await opened(Models(Providers(settings), timeout_s=60)).complete(
        request, keep if streams else None
    )
    (call,) = reply.tool_calls
    assert (call.name, json.loads(call.arguments)) == ("memory_insert", ARGUMENTS)
    assert reply.text == "noting"
    body = wires.requests[-1][2]
    if kind == "json_schema":
        assert '"words"' in json.dumps(body)
