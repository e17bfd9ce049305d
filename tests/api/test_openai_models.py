"""What OpenAI's clients list and look up as models, and what browsers may ask."""

import httpx
import pytest
from letta_client import Letta
from letta_client.types import AgentState
from openai import (
    NotFoundError,
    OpenAI,
)

from o.ids import new_id
from tests.support.openai_client import openai_client
from tests.support.product import Product
from tests.support.provider import (
    HANDLE,
)


@pytest.fixture(scope="module")
def openai(server: Product) -> OpenAI:
    return openai_client(server)


@pytest.fixture(scope="module")
def http(server: Product) -> httpx.Client:
    return httpx.Client(base_url=f"{server.url}/v1", timeout=60)


def test_agents_are_the_models_of_openais_client(openai: OpenAI, agent: AgentState) -> None:
    listed = {model.id: model for model in openai.models.list()}
    assert listed[agent.id].owned_by == "o"
    assert listed[agent.id].model_extra == {"name": agent.name}
    assert openai.models.retrieve(agent.id) == listed[agent.id]
    for unknown in (new_id("agent"), "gpt-4o"):
        with pytest.raises(NotFoundError) as refused:
            openai.models.retrieve(unknown)
        assert refused.value.code == "model_not_found"


def test_both_official_clients_list_their_own_models(
    openai: OpenAI, client: Letta, agent: AgentState, http: httpx.Client
) -> None:
    assert client.models.list()[0].handle == HANDLE
    assert isinstance(http.get("/models/").json(), list)
    assert http.get("/models").json()["object"] == "list"
    assert http.get(f"/models/{agent.id}/").json()["id"] == agent.id


def test_hidden_and_deleted_agents_are_not_listed(openai: OpenAI, client: Letta) -> None:
    hidden = client.agents.create(model=HANDLE, hidden=True)
    gone = client.agents.create(model=HANDLE)
    client.agents.delete(gone.id)
    assert {hidden.id, gone.id} & {model.id for model in openai.models.list()} == set()
    with pytest.raises(NotFoundError):
        openai.models.retrieve(gone.id)


def test_browsers_may_ask_where_v1_lets_them(http: httpx.Client) -> None:
    asked = {
        "origin": "http://localhost:3000",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,x-stainless-lang",
    }
    for path in ("/chat/completions", "/models"):
        answer = http.options(path, headers=asked)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert http.head("/models").status_code == 200
    foreign = http.get("/models", headers={"origin": "https://evil.example"})
    assert foreign.status_code == 403
    assert foreign.json()["error"]["type"] == "permission_error"
