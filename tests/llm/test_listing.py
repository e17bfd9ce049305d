"""Models as each kind of provider lists them: their ids, their sizes, and which of them talk."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import SecretStr

from o.errors import ModelError, NotFound
from o.llm.providers.catalogue import Catalogue
from o.llm.providers.listing import ListedModel, list_models
from o.llm.providers.provider_types import find_type
from o.llm.providers.providers import Provider, Providers, ProviderSet
from o.outbound import OutboundGuard


class Server:
    """Answers what stands under a path (a status, or JSON), and 404 to everything else."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                body = json.loads(self.rfile.read(length) or b"null")
                headers = {name.lower(): value for name, value in self.headers.items()}
                server.asked.append((self.path, headers, body))
                said = server.answers.get(self.path, 404)
                if callable(said):
                    said = said(body)
                self.send_response(said if isinstance(said, int) else 200)
                self.end_headers()
                content = said if isinstance(said, bytes) else json.dumps(said).encode()
                self.wfile.write(content)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    threading.Thread(target=made.http.serve_forever, daemon=True).start()
    yield made
    made.http.shutdown()
    made.http.server_close()


def provider_at(type_: str, url: str, **fields: Any) -> Provider:
    kind = find_type(type_)
    base_url = kind.address(url)
    key = SecretStr("sk-key")
    return Provider("p", type_, kind.wire_at(base_url), base_url, key, **fields)


async def listed(type_: str, url: str) -> list[ListedModel]:
    found = await list_models(provider_at(type_, url))
    assert found is not None
    return found


OPENAI_LISTS = {
    "OpenAI": ({"object": "list", "data": [{"id": "a", "object": "model"}]}, ("a", None)),
    "a bare array": ([{"id": "a", "type": "chat", "context_length": 8192}], ("a", 8192)),
    "names alone": (["a"], ("a", None)),
    "models": ({"models": [{"name": "a"}]}, ("a", None)),
    "OpenRouter": ({"data": [{"id": "v/a", "context_length": 1000000}]}, ("v/a", 1000000)),
    "vLLM": ({"data": [{"id": "a", "max_model_len": 32768}]}, ("a", 32768)),
    "Groq": ({"data": [{"id": "a", "context_window": 131072}]}, ("a", 131072)),
    "Mistral": ({"data": [{"id": "a", "max_context_length": 32768}]}, ("a", 32768)),
    "llama.cpp": (
        {"models": [{}], "data": [{"id": "a", "meta": {"n_ctx_train": 4096}}]},
        ("a", 4096),
    ),
    "a size that is none": ({"data": [{"id": "a", "context_length": "big"}]}, ("a", None)),
    "a size of nothing": ({"data": [{"id": "a", "context_length": 0}]}, ("a", None)),
    "null": ({"data": [{"id": "a", "context_length": None, "type": None}, None]}, ("a", None)),
}


@pytest.mark.parametrize("name", OPENAI_LISTS)
async def test_lists_like_openais_are_read(server: Server, name: str) -> None:
    server.answers["/v1/models"], (id_, size) = OPENAI_LISTS[name]
    (model,) = await listed("openai", f"{server.url}/v1/")
    assert (model.id, model.context_window) == (id_, size)
    _, headers, _ = server.asked[0]
    assert headers["authorization"] == "Bearer sk-key"


async def test_an_address_that_is_judged_is_judged_when_it_is_connected_to(server: Server) -> None:
    server.answers["/v1/models"] = [{"id": "a"}]
    port = server.http.server_address[1]
    provider = provider_at("openai", f"http://localhost:{port}/v1")
    with pytest.raises(ModelError, match="not public"):
        await list_models(replace(provider, guard=OutboundGuard()))
    assert server.asked == []
    for allowed in ("127.0.0.1, ::1", f"localhost:{port}"):
        guard = OutboundGuard(allowed.split(", "))
        assert await list_models(replace(provider, guard=guard)) == [ListedModel("a")]


async def test_kinds_that_are_told_count_more_than_names(server: Server) -> None:
    server.answers["/v1/models"] = [
        {"id": "looks-like-an-embedder-embed", "type": "chat"},
        {"id": "vectors", "type": "embedding"},
        {"id": "painter", "type": "image"},
        {"id": "text-embedding-3-small"},
        {"id": "old", "capabilities": {"completion_chat": False}},
        {"id": "talks", "capabilities": {"completion_chat": True}},
    ]
    catalogue = Catalogue(Source(provider_at("together", f"{server.url}/v1")))
    talk = [entry.model for entry in await catalogue.list_models()]
    assert talk == ["looks-like-an-embedder-embed", "talks"]
    embed = [entry.handle for entry in await catalogue.list_embedding_models()]
    listed = [handle for handle in embed if not handle.startswith("local/")]
    assert listed == ["p/vectors", "p/text-embedding-3-small"]
    assert (await catalogue.get("p/painter")).model == "painter", "asked for by name, it is there"


@pytest.mark.parametrize("path", ["", "/v1", "/anthropic", "/anthropic/v1"])
async def test_anthropics_list_is_read_page_by_page(server: Server, path: str) -> None:
    at = path.removesuffix("/v1")
    first = {"data": [{"type": "model", "id": "a", "max_input_tokens": 200000}], "has_more": True}
    server.answers[f"{at}/v1/models?limit=1000"] = first | {"last_id": "a"}
    server.answers[f"{at}/v1/models?limit=1000&after_id=a"] = {"data": [{"id": "b"}]}
    type_ = "minimax" if at else "anthropic"
    assert await listed(type_, server.url + path) == [ListedModel("a", 200000), ListedModel("b")]
    _, headers, _ = server.asked[0]
    assert (headers["x-api-key"], headers["anthropic-version"]) == ("sk-key", "2023-06-01")


@pytest.mark.parametrize("path", ["", "/v1", "/v1/"])
async def test_ollamas_list_asks_each_model_for_its_size(server: Server, path: str) -> None:
    server.answers["/api/tags"] = {
        "models": [{"name": "llama3:latest"}, {"name": "bge"}, {"name": "x"}]
    }

    def show(body: Any) -> Any:
        return {
            "llama3:latest": {
                "model_info": {"general.x": 1, "llama.context_length": 8192},
                "capabilities": ["completion", "tools"],
            },
            "bge": {"model_info": {"bert.context_length": 512}, "capabilities": ["embedding"]},
        }.get(body["model"], 500)

    server.answers["/api/show"] = show
    models = await listed("ollama", server.url + path)
    assert models == [
        ListedModel("llama3:latest", 8192, embeds=False, is_language_model=True),
        ListedModel("bge", 512, embeds=True, is_language_model=False),
        ListedModel("x"),
    ]
    catalogue = Catalogue(Source(provider_at("ollama", server.url)))
    entry = await catalogue.get("p/llama3")
    assert (entry.model, entry.max_context_window) == ("llama3", 8192), "no tag means :latest"


@pytest.mark.parametrize("path", ["", "/v1beta"])
async def test_geminis_list_is_read_page_by_page(server: Server, path: str) -> None:
    talks = {
        "name": "models/gemini-x",
        "inputTokenLimit": 1048576,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }
    embeds = {"name": "models/vec", "supportedGenerationMethods": ["embedContent"]}
    url = "/v1beta/models?pageSize=1000"
    server.answers[url] = {"models": [talks], "nextPageToken": "a/b"}
    server.answers[f"{url}&pageToken=a/b"] = {"models": [embeds]}
    assert await listed("google_ai", server.url + path) == [
        ListedModel("gemini-x", 1048576, embeds=False, is_language_model=True),
        ListedModel("vec", embeds=True, is_language_model=False),
    ]
    assert server.asked[0][1]["x-goog-api-key"] == "sk-key"


async def test_azures_list_is_that_of_its_deployments(server: Server) -> None:
    path = "/openai/deployments?api-version=2023-03-15-preview"
    server.answers[path] = {"data": [{"id": "my-gpt", "model": "gpt-4o", "object": "deployment"}]}
    assert [model.id for model in await listed("azure", server.url)] == ["my-gpt"]
    assert server.asked[0][1]["api-key"] == "sk-key"


async def test_lm_studios_own_list_has_sizes_and_its_older_one_does_too(server: Server) -> None:
    server.answers["/v1/models"] = {"data": [{"id": "old"}]}
    assert await listed("lmstudio_openai", server.url) == [ListedModel("old")]
    server.answers["/api/v0/models"] = {
        "data": [
            {"id": "a", "type": "llm", "max_context_length": 32768, "loaded_context_length": 4096},
            {"id": "b", "type": "vlm", "max_context_length": 8192},
            {"id": "c", "type": "embeddings"},
        ]
    }
    found = await listed("lmstudio_openai", f"{server.url}/v1")
    assert [(one.id, one.context_window, one.embeds) for one in found] == [
        ("a", 4096, False),
        ("b", 8192, False),
        ("c", None, True),
    ]


@pytest.mark.parametrize("type_", ["openai", "anthropic", "ollama", "google_ai", "azure"])
async def test_a_provider_without_a_list_takes_any_model(server: Server, type_: str) -> None:
    provider = provider_at(type_, server.url)
    assert await list_models(provider) is None
    catalogue = Catalogue(Source(provider))
    assert await catalogue.list_models() == []
    assert (await catalogue.get("p/any/thing")).model == "any/thing"
    (state,) = await catalogue.survey()
    assert (state.count, state.problem) == (None, "")


async def test_a_list_of_patterns_takes_what_fits(server: Server) -> None:
    server.answers["/v1/models"] = {"data": [{"id": "openai/*"}, {"id": "own"}]}
    catalogue = Catalogue(Source(provider_at("openai", f"{server.url}/v1")))
    assert (await catalogue.get("p/openai/gpt-4.1")).model == "openai/gpt-4.1"
    with pytest.raises(NotFound):
        await catalogue.get("p/other/model")


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (401, 401),
        (500, 500),
        (429, 429),
        (b"<html>", 500),
        ({"data": 7}, 500),
        ({"error": "no such route"}, 500),
        ({}, 500),
        (302, 500),
    ],
)
async def test_a_provider_that_fails_hides_its_own_models_only(
    server: Server, said: Any, status: int
) -> None:
    server.answers["/bad/models"] = said
    server.answers["/good/models"] = {"data": [{"id": "m"}]}
    bad = provider_at("openai", f"{server.url}/bad")
    with pytest.raises(ModelError) as failed:
        await list_models(bad)
    assert failed.value.status == status
    good = provider_at("openai", f"{server.url}/good")
    catalogue = Catalogue(Source(bad, Provider("q", "openai", "openai", good.base_url)))
    assert [entry.handle for entry in await catalogue.list_models()] == ["q/m"]
    of_bad, of_good = await catalogue.survey()
    assert (of_bad.count, of_good.count, of_good.problem) == (None, 1, "")
    assert "The provider p" in of_bad.problem
    asked = len(server.asked)
    await catalogue.list_models()
    assert len(server.asked) == asked, "what was just asked is not asked again"


async def test_one_whose_key_cannot_be_read_says_so() -> None:
    provider = provider_at("openai", "http://127.0.0.1:9/v1", fault="Set it anew")
    with pytest.raises(ModelError, match="Set it anew") as failed:
        await list_models(provider)
    assert failed.value.status == 401


class Source(Providers):
    """These, and no others."""

    def __init__(self, *providers: Provider) -> None:
        ProviderSet.__init__(self, providers)
