"""The wires that go through litellm: that it says, asks and fetches nothing of its own accord."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from o.domain.llm import ModelReply, ModelRequest
from o.errors import Failure, ModelError
from o.llm.models import Models
from o.llm.providers.providers import Provider
from tests.llm.conformance.bench import KINDS, PNG, TOOLS, Source, models_at
from tests.llm.fakes.provider import Call, Fake, Say
from tests.llm.fakes.server import serving

WIRES = ("anthropic", "bedrock", "gemini")
TEXTS = ("text", "content", "message")


@pytest.fixture(scope="module")
def fakes() -> dict[str, Fake]:
    return {name: KINDS[name].fake() for name in WIRES}


@pytest.fixture(scope="module")
def models(fakes: dict[str, Fake]) -> Iterator[Models]:
    with serving(*fakes.values()) as url:
        yield models_at(url)


def request_to(name: str, fakes: dict[str, Fake], *said: dict[str, Any]) -> ModelRequest:
    return ModelRequest.model_validate(
        {
            "handle": f"{name}/{fakes[name].model}",
            "prompt": [{"role": "system", "content": "Be kind."}, *said],
            "tools": [tool.model_dump() for tool in TOOLS],
        }
    )


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str | None, *ids: str) -> dict[str, Any]:
    function = {"name": "memory_insert", "arguments": '{"label": "human"}'}
    calls = [{"id": id_, "type": "function", "function": function} for id_ in ids]
    return {"role": "assistant", "content": text} | ({"tool_calls": calls} if calls else {})


def returned(id_: str, content: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id_, "content": content}


PROMPTS: dict[str, list[dict[str, Any]]] = {
    "an empty message": [user("")],
    "nothing but spaces": [user("Hello"), assistant(" \n"), user(" ")],
    "an empty reply": [user("Hello"), assistant(""), user("Are you there?")],
    "a reply that says null": [user("Hello"), assistant(None), user("Are you there?")],
    "a reply first": [assistant("I begin."), user("Go on")],
    "the system alone": [],
    "the system again": [user("Hello"), {"role": "system", "content": "News."}, user("So?")],
    "two users in a row": [user("Hello"), user("Are you there?")],
    "two replies in a row": [user("Hello"), assistant("One."), assistant("Two."), user("So?")],
    "a return without words": [
        user("Hello"),
        assistant(None, "c1", "c2"),
        returned("c1", ""),
        returned("c2", "two"),
    ],
    "a user behind a return": [
        user("Hello"),
        assistant(None, "c1"),
        returned("c1", "one"),
        user("And?"),
    ],
}


def texts_in(value: Any) -> Iterator[str]:
    """Every text of the messages of a request."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name in TEXTS and isinstance(each, str):
                yield each
            else:
                yield from texts_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts_in(each)


@pytest.mark.parametrize("said", PROMPTS.values(), ids=PROMPTS)
@pytest.mark.parametrize("name", WIRES)
async def test_nothing_is_said_in_anybodys_name_that_nobody_said(
    name: str, said: list[dict[str, Any]], fakes: dict[str, Fake], models: Models
) -> None:
    fake = fakes[name]
    fake.reset()
    assert (await models.complete(request_to(name, fakes, *said))).text == "hello"
    assert fake.refused == []
    words = {str(message["content"]) for message in said} | {"Be kind."}
    for text in texts_in(fake.asked[0].body.get("messages") or fake.asked[0].body["contents"]):
        for line in filter(None, text.split("\n")):
            ours = line.startswith("[") or line == "(no text)"
            assert ours or line in words, "what stands there is the prompt's, or marked as a note"


@pytest.mark.parametrize("name", WIRES)
async def test_a_picture_that_a_tool_returns_is_shown(
    name: str, fakes: dict[str, Fake], models: Models
) -> None:
    fake = fakes[name]
    fake.reset()
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    shown = [{"type": "text", "text": "This."}, image]
    prompt = [user("Look"), assistant(None, "c1"), returned("c1", shown)]
    await models.complete(request_to(name, fakes, *prompt))
    sent = json.dumps(fake.asked[0].body)
    assert (PNG in sent) is (name != "gemini"), "older models of Gemini's refuse it there"
    assert "This." in sent


@asynccontextmanager
async def listener(answer: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that reads a request, says something, and hangs up; what it was asked."""
    came: list[bytes] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}", came


def at(address: str, wire: str, **more: Any) -> Models:
    provider = Provider("somebody", wire, wire, address, **more)
    return Models(Source([provider]), timeout_s=30)


async def ask(models: Models, *, streams: bool = False, text: Any = "Hello") -> ModelReply:
    async def drop(delta: object) -> None:
        """Read on."""

    request = ModelRequest(handle="somebody/claude-x", prompt=[user(text)])
    return await models.complete(request, drop if streams else None)


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("wire", ["anthropic", "gemini"])
async def test_who_hangs_up_is_asked_once(wire: str, streams: bool) -> None:
    async with listener(b"") as (address, came):
        with pytest.raises(ModelError) as failure:
            await ask(at(address, wire, api_key=SecretStr("key")), streams=streams)
    assert failure.value.retryable
    assert len(came) == 1, "nobody but Temporal asks again"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_key_follows_no_redirect(status: int) -> None:
    async with listener(b"") as (elsewhere, came):
        head = f"HTTP/1.1 {status} Moved\r\nlocation: {elsewhere}/v1/messages\r\n"
        answer = f"{head}content-length: 0\r\nconnection: close\r\n\r\n".encode()
        async with listener(answer) as (address, asked):
            with pytest.raises(ModelError):
                await ask(at(address, "anthropic", api_key=SecretStr("key")))
        assert len(asked) == 1
        assert came == []


@pytest.mark.parametrize("wire", ["anthropic", "gemini"])
async def test_a_server_without_a_key_is_given_none(
    wire: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.setenv(name, "of-the-environment")
    async with listener(b"") as (address, came):
        with pytest.raises(ModelError):
            await ask(at(address, wire))
    (head,) = came
    assert b"of-the-environment" not in head
    assert b"none" not in head.lower()


async def test_bedrock_without_keys_looks_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-the-environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-environment")
    async with listener(b"") as (address, came):
        with pytest.raises(ModelError) as failure:
            await ask(at(address, "bedrock"))
    assert failure.value.kind == "llm_authentication"
    assert came == []


async def test_an_api_key_of_bedrocks_is_sent_as_one() -> None:
    async with listener(b"") as (address, came):
        with pytest.raises(ModelError):
            await ask(at(address, "bedrock", api_key=SecretStr("ABSK")))
    assert b"authorization: bearer absk" in came[0].lower()


@pytest.mark.parametrize("name", WIRES)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_pictures_by_address_are_fetched_by_nobody_here(
    name: str, scheme: str, fakes: dict[str, Fake], models: Models
) -> None:
    fakes[name].reset()
    async with listener(b"") as (address, came):
        url = f"{scheme}{address.removeprefix('http')}/cat.png"
        parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "?"}]
        await models.complete(request_to(name, fakes, user(parts)))
    assert came == []
    assert url in json.dumps(fakes[name].asked[0].body)


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("wire", ["anthropic", "gemini", "bedrock"])
async def test_an_answer_without_measure_is_refused(wire: str, streams: bool) -> None:
    kind = "text/event-stream" if streams and wire != "bedrock" else "application/json"
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n"
    async with listener(head.encode() + b"data: " * streams + b'{"x": "' + b"y" * 9_000_000) as (
        address,
        _,
    ):
        with pytest.raises(ModelError) as failure:
            await ask(at(address, wire, api_key=SecretStr("key")), streams=streams)
    assert "larger than 8 MB" in failure.value.message
    assert not failure.value.retryable


UNUSUAL: dict[str, tuple[str, bool, bool]] = {
    "a stream that is called JSON": ("application/json", True, True),
    "a stream that is called text": ("text/plain", True, True),
    "a stream that is called nothing": ("", True, True),
    "a whole reply that is called text": ("text/plain", False, False),
    "a whole reply that is called a stream": ("text/event-stream", False, False),
    "a whole reply to a request for a stream": ("application/json", True, False),
    "a stream to a request for a whole reply": ("text/event-stream", False, True),
}


@pytest.mark.parametrize("sent", UNUSUAL.values(), ids=UNUSUAL)
@pytest.mark.parametrize("wire", ["anthropic", "gemini"])
async def test_a_reply_is_read_for_what_it_is(
    wire: str, sent: tuple[str, bool, bool], fakes: dict[str, Fake]
) -> None:
    kind, streams, is_stream = sent
    say = Say(text="hello", calls=(Call("f", {"x": 1}),))
    fake = KINDS[wire].fake()
    body = b"".join(fake.stream(say, {})) if is_stream else json.dumps(fake.whole(say, {})).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n"
    async with listener(head.encode() + b"\xef\xbb\xbf" * (not is_stream) + body) as (address, _):
        reply = await ask(at(address, wire, api_key=SecretStr("key")), streams=streams)
    assert (reply.text, [call.arguments for call in reply.tool_calls]) == ("hello", ['{"x": 1}'])


@pytest.mark.parametrize("wire", ["anthropic", "gemini"])
async def test_a_stream_that_a_call_of_the_prompt_speaks_of_is_not_asked_for(
    wire: str, fakes: dict[str, Fake]
) -> None:
    body = json.dumps(KINDS[wire].fake().whole(Say(text="hello"), {})).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
    call = assistant(None, "call_1")
    call["tool_calls"][0]["function"] = {"name": "fetch", "arguments": '{"stream": true}'}
    prompt = [user("Hello"), call, returned("call_1", "done")]
    tool = {"name": "fetch", "description": "", "parameters": {"type": "object", "properties": {}}}
    async with listener(head + body) as (address, came):
        reply = await at(address, wire, api_key=SecretStr("key")).complete(
            ModelRequest.model_validate(
                {"handle": "somebody/claude-x", "prompt": prompt, "tools": [tool]}
            )
        )
    assert (reply.text, len(came)) == ("hello", 1)


BROKEN: dict[str, tuple[str, str, bool]] = {
    "a reply that is cut": ('{"content": [{"type": "te', "llm_error", True),
    "a stream that is cut within an event": ('data: {"type": "message_st', "llm_error", True),
    "plain words in an event": ("data: Too many requests\n\n", "llm_rate_limit", True),
    "a page": ("<html>Log in</html>", "llm_error", False),
}


@pytest.mark.parametrize("sent", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("wire", ["anthropic", "gemini"])
async def test_an_answer_that_is_none_is_told_for_what_it_is(
    wire: str, sent: tuple[str, str, bool]
) -> None:
    body, kind, retryable = sent
    head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    async with listener((head + body).encode()) as (address, _):
        with pytest.raises(ModelError) as failure:
            await ask(at(address, wire, api_key=SecretStr("key")), streams=True)
    assert (failure.value.kind, failure.value.retryable) == (kind, retryable)


@pytest.mark.parametrize(
    "model", ["../files", "a/../../b", "a?key=x", "a#b", "a b", "a\nb", "%2e%2e"]
)
async def test_a_name_of_a_model_leads_nowhere_else(model: str) -> None:
    async with listener(b"") as (address, came):
        request = ModelRequest(handle=f"somebody/{model}", prompt=[user("Hello")])
        with pytest.raises(ModelError) as failure:
            await at(address, "gemini", api_key=SecretStr("key")).complete(request)
    assert (failure.value.failure, came) == (Failure.NOT_FOUND, [])
