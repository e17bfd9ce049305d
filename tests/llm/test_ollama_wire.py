"""Ollama's own wire, over HTTP: what it is told, and what becomes of its lines."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from o.domain.llm import ModelReply, ModelRequest, ReplyDelta
from o.errors import ModelError
from o.llm.providers.providers import Provider
from o.llm.wires.ollama import OllamaWire
from tests.llm.conformance.bench import PNG, TOOLS
from tests.llm.fakes.ollama import Ollama
from tests.llm.fakes.provider import Call, Say
from tests.llm.fakes.server import serving

CALL = {
    "id": "c",
    "type": "function",
    "function": {"name": "memory_insert", "arguments": '{"label": "human"}'},
}


class Asking:
    """The wire, and the server that it asks."""

    def __init__(self, fake: Ollama, url: str) -> None:
        self.fake = fake
        self.url = f"{url}/ollama"
        self.wire = OllamaWire()

    @property
    def told(self) -> dict[str, Any]:
        return self.fake.asked[-1].body

    async def ask(self, *more: Any, streams: bool = False, **fields: Any) -> ModelReply:
        said = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "I am Ada"}]
        request = {"handle": "ollama/x", "prompt": [*said, *more], "context_window": 12_000}
        request |= {"tools": [tool.model_dump() for tool in TOOLS]} | fields
        provider = Provider("ollama", "ollama", "ollama", self.url)

        async def drop(delta: ReplyDelta) -> None:
            """Read on."""

        return await self.wire.complete(
            provider,
            self.fake.model,
            ModelRequest.model_validate(request),
            drop if streams else None,
        )


@pytest.fixture(scope="module")
def server() -> Iterator[Asking]:
    fake = Ollama()
    with serving(fake) as url:
        yield Asking(fake, url)


@pytest.fixture
async def ollama(server: Asking) -> Any:
    server.fake.reset()
    yield server
    await server.wire.close()


@pytest.mark.parametrize("streams", [False, True])
async def test_it_is_told_the_context_window_and_the_settings_and_asked_nothing_else(
    ollama: Asking, streams: bool
) -> None:
    settings = {"temperature": 0.5, "top_p": 0.9, "max_output_tokens": 99}
    await ollama.ask(streams=streams, settings=settings)
    options = {"num_ctx": 12_000, "temperature": 0.5, "top_p": 0.9, "num_predict": 99}
    assert ollama.told["options"] == options
    assert ollama.told["stream"] is streams
    assert ollama.fake.shown == 0, "that question takes seconds"
    assert "authorization" not in ollama.fake.asked[0].headers, "nobody gave a key"


async def test_returns_name_their_tool(ollama: Asking) -> None:
    other = CALL | {"id": "d", "function": CALL["function"] | {"name": "conversation_search"}}  # type: ignore[operator]
    await ollama.ask(
        {"role": "assistant", "content": None, "tool_calls": [CALL, other]},
        {"role": "tool", "tool_call_id": "c", "content": "noted"},
        {"role": "tool", "tool_call_id": "d", "content": "nothing"},
    )
    names = [one.get("tool_name") for one in ollama.told["messages"] if one["role"] == "tool"]
    assert names == ["memory_insert", "conversation_search"]


async def test_images_go_beside_the_text_also_those_of_tools(ollama: Asking) -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    shown = [{"type": "text", "text": "This?"}, image]
    await ollama.ask(
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c", "content": shown},
    )
    assert ollama.told["messages"][-1]["images"] == [PNG]
    assert ollama.told["messages"][-1]["content"] == "This?"


async def test_an_address_with_the_path_of_its_openai_face_is_its_own(ollama: Asking) -> None:
    provider = Provider("ollama", "ollama", "ollama", f"{ollama.url}/v1")
    assert ollama.wire.address(provider, "x") == f"{ollama.url}/api/chat"


@pytest.mark.parametrize("kind", ["json_object", "json_schema"])
async def test_a_form_of_reply_is_asked_for(ollama: Asking, kind: str) -> None:
    wanted: dict[str, Any] = {"type": kind}
    if kind == "json_schema":
        wanted["json_schema"] = {"schema": {"type": "object"}}
    await ollama.ask(settings={"response_format": wanted})
    assert ollama.told["format"] == ("json" if kind == "json_object" else {"type": "object"})


async def test_calls_in_several_lines_are_several(ollama: Asking) -> None:
    ollama.fake.says = [Say(calls=(Call("a", {"x": 1}), Call("a", {"x": 1}), Call("b", {})))]
    for streams in (False, True):
        reply = await ollama.ask(streams=streams)
        made = [(call.name, json.loads(call.arguments)) for call in reply.tool_calls]
        assert made == [("a", {"x": 1}), ("a", {"x": 1}), ("b", {})]
        assert reply.finish_reason == "tool_calls"


@pytest.mark.parametrize("fault", ["ends early", "drops"])
async def test_half_a_stream_is_no_reply(ollama: Asking, fault: Any) -> None:
    ollama.fake.fault = fault
    with pytest.raises(ModelError) as failure:
        await ollama.ask(streams=True)
    assert failure.value.retryable
