"""A provider whose address a client named: each connection is judged, on every wire."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from o.domain.llm import ModelRequest
from o.errors import ModelError
from o.llm.embedding.embeddings import Embedder
from o.llm.models import Models
from o.llm.providers.providers import Provider
from o.outbound import OutboundGuard
from tests.llm.conformance.bench import KINDS, Source, provider_at
from tests.llm.fakes.provider import Fake
from tests.llm.fakes.server import serving

REPLY = b'{"choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "hello"}}]}'


@pytest.fixture(scope="module")
def fakes() -> dict[str, Fake]:
    return {name: kind.fake() for name, kind in KINDS.items()}


@pytest.fixture(scope="module")
def url(fakes: dict[str, Fake]) -> Iterator[str]:
    """By a name, which is looked up for each connection."""
    with serving(*fakes.values()) as address:
        yield address.replace("127.0.0.1", "localhost")


@asynccontextmanager
async def models(*providers: Provider) -> AsyncIterator[Models]:
    opened = Models(Source(list(providers)), timeout_s=30)
    yield opened
    await opened.close()


def asked_of(provider: Provider, fake: Fake) -> ModelRequest:
    prompt = [{"role": "user", "content": "Hello"}]
    handle = f"{provider.name}/{fake.model}"
    return ModelRequest(handle=handle, prompt=prompt, tools=[], context_window=32_000)


async def refused(models: Models, request: ModelRequest) -> ModelError:
    with pytest.raises(ModelError, match="not public") as failed:
        await models.complete(request)
    return failed.value


@pytest.mark.parametrize("name", KINDS)
async def test_an_inner_address_is_not_connected_to(
    name: str, fakes: dict[str, Fake], url: str
) -> None:
    fake = fakes[name]
    fake.reset()
    open_to_all = provider_at(name, url)
    judged = replace(open_to_all, name="judged", guard=OutboundGuard())
    async with models(open_to_all, judged) as both:
        assert (await both.complete(asked_of(open_to_all, fake))).text == "hello"
        count = len(fake.asked)
        # Also while a connection to the same address is open that an operator's provider made.
        error = await refused(both, asked_of(judged, fake))
        assert not error.retryable
        assert len(fake.asked) == count


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("allowed", ["an address", "a name"])
async def test_what_operators_allow_is_connected_to(
    name: str, allowed: str, fakes: dict[str, Fake], url: str
) -> None:
    port = url.rpartition(":")[2]
    guard = OutboundGuard(["127.0.0.1"] if allowed == "an address" else [f"localhost:{port}"])
    judged = replace(provider_at(name, url), guard=guard)
    async with models(judged) as one:
        assert (await one.complete(asked_of(judged, fakes[name]))).text == "hello"


async def test_embeddings_are_not_asked_of_an_inner_address(
    fakes: dict[str, Fake], url: str
) -> None:
    fake = fakes["openai"]
    fake.reset()
    embedder = Embedder()
    with pytest.raises(ModelError, match="not public"):
        await embedder.embed(replace(provider_at("openai", url), guard=OutboundGuard()), "x", ["a"])
    await embedder.close()
    assert fake.asked == []


async def test_a_connection_that_was_judged_is_used_again() -> None:
    connections = 0

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
                await reader.readexactly(int(length))
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(REPLY) + REPLY)
        except asyncio.IncompleteReadError:
            writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        address = f"http://localhost:{server.sockets[0].getsockname()[1]}"
        judged = Provider("judged", "openai", "openai", address, guard=OutboundGuard(["127.0.0.1"]))
        request = ModelRequest(
            handle="judged/x", prompt=[{"role": "user", "content": "Hello"}], tools=[]
        )
        async with models(judged) as one:
            for _ in range(3):
                assert (await one.complete(request)).text == "hello"
    assert connections == 1


async def test_a_proxy_of_the_environment_judges_by_itself(
    fakes: dict[str, Fake], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the operator's, and may well stand in the inner network."""
    monkeypatch.setenv("http_proxy", url)
    fake = fakes["openai"]
    judged = replace(provider_at("openai", "http://models.example.invalid"), guard=OutboundGuard())
    async with models(judged) as one:
        assert (await one.complete(asked_of(judged, fake))).text == "hello"
