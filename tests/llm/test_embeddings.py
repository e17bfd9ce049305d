"""Providers that are asked for embeddings: where, with what, and what they may answer."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from o.errors import Failure, ModelError, NotBuilt
from o.llm.embedding.embeddings import Embedder, as_base64
from o.llm.embedding.models import dimensions_of
from o.llm.providers.providers import Provider

KEY = "sk-secret-key"


@dataclass
class Vendor:
    """Answers every request with one vector for each input, or with what it is told to say."""

    url: str = ""
    status: int = 200
    says: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.asked.append((request.path_qs, dict(request.headers), body))
        said = self.says
        if said is None:
            vectors = [[float(len(one)), 1.0] for one in body["input"]]
            data = [{"index": n, "embedding": vector} for n, vector in enumerate(vectors)]
            said = json.dumps({"data": data, "usage": {"prompt_tokens": len(vectors)}}).encode()
        return web.Response(
            body=said, status=self.status, headers=self.headers, content_type="application/json"
        )

    def provider(self, wire: str = "openai", path: str = "/v1", **more: Any) -> Provider:
        return Provider("named", wire, wire, f"{self.url}{path}", SecretStr(KEY), **more)


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    vendor = Vendor()
    app = web.Application()
    app.router.add_post("/{path:.*}", vendor.answer)
    async with TestServer(app) as server:
        vendor.url = str(server.make_url("")).rstrip("/")
        yield vendor


@pytest.fixture
async def embedder() -> AsyncIterator[Embedder]:
    embedder = Embedder(timeout_s=5)
    yield embedder
    await embedder.close()


@pytest.mark.parametrize(
    ("wire", "path", "more", "address", "header"),
    [
        ("openai", "/v1", {}, "/v1/embeddings", "Authorization"),
        ("openai", "/v1/", {}, "/v1/embeddings", "Authorization"),
        ("mistral", "/v1", {}, "/v1/embeddings", "Authorization"),
        ("responses", "/v1", {}, "/v1/embeddings", "Authorization"),
        ("ollama", "", {}, "/v1/embeddings", "Authorization"),
        ("ollama", "/v1", {}, "/v1/embeddings", "Authorization"),
        ("gemini", "", {}, "/v1beta/openai/embeddings", "Authorization"),
        (
            "azure",
            "",
            {"api_version": "2025-01-01"},
            "/openai/deployments/m%2F1/embeddings?api-version=2025-01-01",
            "api-key",
        ),
        ("azure", "/openai/v1", {}, "/openai/v1/embeddings", "api-key"),
    ],
)
async def test_each_wire_is_asked_at_its_address_with_its_key(
    vendor: Vendor,
    embedder: Embedder,
    wire: str,
    path: str,
    more: dict[str, Any],
    address: str,
    header: str,
) -> None:
    found = await embedder.embed(vendor.provider(wire, path, **more), "m/1", ["ab", "c"])
    assert (found.vectors, found.tokens) == ([[2.0, 1.0], [1.0, 1.0]], 2)
    ((asked, headers, body),) = vendor.asked
    assert asked == address
    assert headers[header].endswith(KEY)
    assert {"Authorization", "api-key"} & headers.keys() == {header}
    assert body == {"model": "m/1", "input": ["ab", "c"]}, "nothing that a strict server refuses"


@pytest.mark.parametrize("wire", ["anthropic", "bedrock", "unheard-of"])
async def test_a_wire_without_embeddings_says_so(
    vendor: Vendor, embedder: Embedder, wire: str
) -> None:
    with pytest.raises(NotBuilt, match="named is not asked for embeddings"):
        await embedder.embed(vendor.provider(wire), "m", ["a"])
    assert vendor.asked == []


async def test_many_inputs_are_asked_in_parts_and_come_back_in_order(
    vendor: Vendor, embedder: Embedder
) -> None:
    inputs = ["x" * n for n in range(1, 71)]
    found = await embedder.embed(vendor.provider(), "m", inputs, dimensions=2)
    assert [vector[0] for vector in found.vectors] == list(range(1, 71))
    assert [len(body["input"]) for _, _, body in vendor.asked] == [32, 32, 6]
    assert {body["dimensions"] for _, _, body in vendor.asked} == {2}
    assert found.tokens == 70


async def test_tokens_are_sent_as_they_are(vendor: Vendor, embedder: Embedder) -> None:
    await embedder.embed(vendor.provider(), "m", [[1, 2], [3]])
    assert vendor.asked[0][2]["input"] == [[1, 2], [3]]


@pytest.mark.parametrize(
    "data",
    [
        [{"index": 1, "embedding": [2]}, {"index": 0, "embedding": [1]}],
        [{"embedding": [1]}, {"embedding": [2]}],
        [{"embedding": as_base64([1.0])}, {"embedding": as_base64([2.0])}],
    ],
)
async def test_vectors_are_read_however_they_come(
    vendor: Vendor, embedder: Embedder, data: Any
) -> None:
    vendor.says = json.dumps({"data": data}).encode()
    found = await embedder.embed(vendor.provider(), "m", ["a", "b"])
    assert (found.vectors, found.tokens) == ([[1.0], [2.0]], 0)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"{}",
        b'{"data": null}',
        b'{"data": {}}',
        b'{"data": [1, 2]}',
        b'{"data": [{"embedding": [1]}]}',
        b'{"data": [{"embedding": [1]}, {"embedding": []}]}',
        b'{"data": [{"embedding": [1]}, {"embedding": [1, 2]}]}',
        b'{"data": [{"embedding": [1]}, {"embedding": ["x"]}]}',
        b'{"data": [{"embedding": [1]}, {"embedding": [NaN]}]}',
        b'{"data": [{"embedding": [1]}, {"embedding": [1e39]}]}',
        b'{"data": [{"embedding": [1]}, {"embedding": "?"}]}',
        b'{"data": [{"embedding": [1]}, {"embedding": "AAA="}]}',
        b'{"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [2]}]}',
        b'{"data": [{"index": [], "embedding": [1]}, {"index": 0, "embedding": [2]}]}',
        b'{"data": [{"embedding": [1]}, {"embedding": [2]}, {"embedding": [3]}]}',
        b'{"error": {"message": "no"}}',
        b"[" * 1_000,
        b"\xff\xff",
    ],
)
async def test_an_answer_that_is_none_is_an_error_of_the_provider(
    vendor: Vendor, embedder: Embedder, said: bytes
) -> None:
    vendor.says = said
    with pytest.raises(ModelError) as failed:
        await embedder.embed(vendor.provider(), "m", ["a", "b"])
    assert failed.value.kind == "llm_error"
    assert not failed.value.retryable


async def test_a_refusal_is_of_its_kind_and_shows_no_key(
    vendor: Vendor, embedder: Embedder
) -> None:
    vendor.status = 429
    vendor.headers = {"retry-after": "7"}
    vendor.says = json.dumps({"error": {"message": f"slow down, {KEY}"}}).encode()
    with pytest.raises(ModelError) as failed:
        await embedder.embed(vendor.provider(), "m", ["a"])
    error = failed.value
    assert (error.kind, error.status, error.retry_after_s) == ("llm_rate_limit", 429, 7)
    assert KEY not in error.detail
    assert "slow down" in error.detail


async def test_a_provider_that_is_away_is_unreachable(embedder: Embedder) -> None:
    nowhere = Provider("named", "openai", "openai", "http://127.0.0.1:9/v1")
    with pytest.raises(ModelError) as failed:
        await embedder.embed(nowhere, "m", ["a"])
    assert failed.value.failure is Failure.UNREACHABLE


@pytest.mark.parametrize(
    ("model", "dimensions"),
    [
        ("text-embedding-3-small", 1536),
        ("openai/text-embedding-3-large", 3072),
        ("text-embedding-004", 768),
        ("gemini-embedding-001", 3072),
        ("nomic-embed-text:latest", 768),
        ("mxbai-embed-large", 1024),
        ("all-minilm:l6-v2", 384),
        ("snowflake-arctic-embed:m", 768),
        ("snowflake-arctic-embed:22m", 384),
        ("snowflake-arctic-embed2", 1024),
        ("BAAI/bge-small-en-v1.5", 384),
        ("bge-m3:567m", 1024),
        ("intfloat/multilingual-e5-large", 1024),
        ("qwen3-embedding:8b", 4096),
        ("Qwen/Qwen3-Embedding-0.6B", 1024),
        ("mistral-embed", 1024),
        ("somebodys-embedder", None),
    ],
)
def test_dimensions_are_known_by_names(model: str, dimensions: int | None) -> None:
    assert dimensions_of(model) == dimensions
