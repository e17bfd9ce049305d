"""Models that agents can use, health, and addresses with and without their last slash."""

import httpx
import pytest
from letta_client import Letta
from letta_client.types import AgentState

from tests.support.product import Product
from tests.support.provider import (
    EMBEDDING_HANDLE,
    EMBEDDING_MODEL,
    HANDLE,
    MODEL,
    OTHER_HANDLE,
)


def test_a_model_shows_v1s_fields(client: Letta) -> None:
    model, _ = client.models.list()
    assert (model.handle, model.name, model.model) == (HANDLE, MODEL, MODEL)
    assert (model.provider_name, model.provider_type) == ("openai", "openai")
    assert model.api_model_endpoint_type == "openai"
    assert model.api_model_endpoint is None, "the address stays with the operator"
    assert model.max_context_window >= model.context_window > 0


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ({"provider_name": "openai"}, 2),
        ({"provider_name": "anthropic"}, 0),
        ({"provider_type": "openai"}, 2),
        ({"provider_type": "groq"}, 0),
        ({"provider_category": "base"}, 2),
        ({"provider_category": ["base", "byok"]}, 2),
        ({"provider_category": "byok"}, 2),
        ({"provider_name": "openai", "provider_category": "byok"}, 2),
    ],
)
def test_models_can_be_filtered(server: Product, asked: dict[str, str], count: int) -> None:
    answer = httpx.get(f"{server.url}/v1/models/", params=asked)
    assert (answer.status_code, len(answer.json())) == (200, count)


def test_a_category_that_v1_does_not_know_is_422(server: Product) -> None:
    answer = httpx.get(f"{server.url}/v1/models/", params={"provider_category": "free"})
    assert answer.status_code == 422


def test_no_model_is_listed_that_nothing_serves(client: Letta) -> None:
    assert [model.handle for model in client.models.list()] == [HANDLE, OTHER_HANDLE]
    embeds = [model.handle for model in client.models.embeddings.list()]
    assert embeds == ["local/multilingual-e5-small", EMBEDDING_HANDLE], "the one that comes with O"


def test_a_model_that_embeds_shows_v1s_fields(client: Letta) -> None:
    local, model = client.models.embeddings.list()
    assert (local.provider_name, local.embedding_dim) == ("local", 384)
    assert (model.name, model.embedding_model) == (EMBEDDING_MODEL, EMBEDDING_MODEL)
    assert (model.provider_name, model.provider_type) == ("openai", "openai")
    assert (model.api_model_type, model.embedding_endpoint_type) == ("embedding", "openai")
    assert (model.embedding_dim, model.embedding_endpoint) == (1536, None)


def test_health_and_readiness_name_the_version(client: Letta, server: Product) -> None:
    assert client.health().status == "ok"
    for path in ("/v1/health/", "/v1/ready/", "/latest/health/", "/latest/ready/"):
        answer = httpx.get(server.url + path).json()
        assert answer.items() >= {"version": client.health().version, "status": "ok"}.items()


@pytest.mark.parametrize("mount", ["v1", "latest"])
@pytest.mark.parametrize(
    "path", ["agents/", "runs/", "steps/", "models/", "models/embedding", "health/", "ready/"]
)
def test_an_address_is_served_with_and_without_its_last_slash(
    server: Product, mount: str, path: str
) -> None:
    plain = f"{server.url}/{mount}/{path}".removesuffix("/")
    for address in (plain, f"{plain}/"):
        assert httpx.get(address, follow_redirects=False).status_code == 200


@pytest.mark.parametrize(
    "path", ["/v1/", "/v1/agent", "/v2/agents/", "/v1/agents/x/y/z", "/docs/x"]
)
def test_an_address_that_is_not_served_is_404_in_json(server: Product, path: str) -> None:
    answer = httpx.get(server.url + path, follow_redirects=False)
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


def test_a_body_reaches_both_spellings_of_its_address(server: Product, agent: AgentState) -> None:
    for path in ("/v1/agents", "/v1/agents/"):
        made = httpx.post(server.url + path, json={"model": HANDLE}, follow_redirects=False)
        assert made.status_code == 200, made.text
    for path in ("messages", "messages/"):
        url = f"{server.url}/v1/agents/{agent.id}/{path}"
        said = httpx.post(url, json={"input": "hello"}, follow_redirects=False, timeout=60)
        assert said.status_code == 200, said.text


def test_a_method_that_an_address_does_not_take_is_405_in_both_spellings(server: Product) -> None:
    for path in ("/v1/models", "/v1/models/"):
        assert httpx.delete(server.url + path, follow_redirects=False).status_code == 405
