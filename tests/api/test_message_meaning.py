"""Messages are found by what they mean where a model makes vectors, else by their words."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from letta_client import Letta
from letta_client.types import AgentState

from o.ids import new_id
from tests.support.embedding_vendor import EmbeddingVendor, embedding_vendor
from tests.support.product import Product, eventually
from tests.support.provider import FakeProvider, call, do, say

# A vector tells of a text how long it is: those as long as the question mean the same.
SHORT, LONG = "kiwis are ripe", "kiwis that lie between figs and dates are never ripe before May"
SHORT += " by now"


@pytest.fixture(scope="module")
def vendor() -> Iterator[EmbeddingVendor]:
    with embedding_vendor() as vendor:
        yield vendor


@pytest.fixture(scope="module")
def server(
    provider: FakeProvider, vendor: EmbeddingVendor, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Product]:
    """A product that embeds messages, by a model of its own."""
    env = {
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": provider.url,
        "O_DEFAULT_EMBEDDING": "vendor/embed-1",
        "O_MESSAGE_EMBEDDING": "on",
    }
    product = Product(tmp_path_factory.mktemp("meaning") / "o", env)
    product.start()
    body = {"name": "vendor", "provider_type": "openai", "api_key": "k", "base_url": vendor.url}
    httpx.post(f"{product.url}/v1/providers/", json=body, timeout=60).raise_for_status()
    yield product
    product.stop()


@pytest.fixture(scope="module")
def client(server: Product) -> Letta:
    return server.client(max_retries=0)


@pytest.fixture
def http(server: Product) -> httpx.Client:
    return httpx.Client(base_url=f"{server.url}/v1", timeout=60)


def embedded(server: Product, agent_id: str) -> None:
    """Wait until nothing of an agent waits for its vector."""
    eventually(
        lambda: (
            server.query(
                "SELECT count(*) FROM messages_to_embed JOIN messages ON messages.id = message_id "
                "WHERE agent_id = %s",
                agent_id,
            )
            == [(0,)]
        ),
        within_s=60,
        what="the vectors",
    )


@pytest.fixture
def told(client: Letta, server: Product, agent: AgentState) -> str:
    """An agent to whom two things were said, which have their vectors."""
    for text in (SHORT, LONG):
        client.agents.messages.create(agent.id, input=text)
    embedded(server, agent.id)
    return agent.id


def search(http: httpx.Client, **body: Any) -> tuple[list[str], httpx.Response]:
    answer = http.post("/agents/messages/search", json={"roles": ["user"]} | body)
    assert answer.status_code == 200, answer.text
    return [one["embedded_text"] for one in answer.json()], answer


def test_each_mode_finds_what_it_looks_for(http: httpx.Client, told: str) -> None:
    as_long = "x" * len(LONG)
    found, answer = search(http, agent_id=told, query=as_long, search_mode="vector")
    assert found == [LONG, SHORT]
    assert answer.headers["x-search-mode"] == "vector"
    assert [one["vector_rank"] for one in answer.json()] == [1, 2]
    assert search(http, agent_id=told, query=as_long, search_mode="fts")[0] == []
    found, answer = search(http, agent_id=told, query="figs?", search_mode="hybrid")
    assert found[0] == LONG, "it has the word, and the other one its length alone"
    assert answer.headers["x-search-mode"] == "hybrid"
    first = answer.json()[0]
    assert (first["fts_rank"], first["vector_rank"]) == (1, 2)
    assert search(http, agent_id=told, query="figs?", search_mode="fts")[1].headers[
        "x-search-mode"
    ] == ("text")
    everywhere = http.post("/messages/search", json={"query": "figs?", "agent_id": told})
    assert everywhere.headers["x-search-mode"] == "hybrid"
    assert everywhere.json()[0]["content"] in (LONG, f"You said: {LONG}")


def test_filters_hold_for_both_arms(http: httpx.Client, client: Letta, told: str) -> None:
    ask: dict[str, Any] = {"agent_id": told, "query": "x" * len(LONG), "search_mode": "vector"}
    assert search(http, **ask, roles=["assistant"])[0] == [
        f"You said: {LONG}",
        f"You said: {SHORT}",
    ]
    assert search(http, **ask, roles=["tool"])[0] == []
    assert search(http, **ask, end_date="2020-01-01T00:00:00Z")[0] == []
    assert search(http, **ask, start_date="2020-01-01T00:00:00Z")[0] == [LONG, SHORT]
    assert search(http, **ask, conversation_id="default")[0] == [LONG, SHORT]
    other = client.conversations.create(agent_id=told).id
    assert search(http, **ask, conversation_id=other)[0] == []
    assert search(http, **ask | {"agent_id": new_id("agent")})[0] == []
    assert search(http, **ask, limit=1)[0] == [LONG]


def test_nobody_finds_what_another_organization_was_told(
    http: httpx.Client, server: Product, told: str
) -> None:
    """Messages are given to it by hand: the API has one organization."""
    give = "UPDATE messages SET organization_id = %s WHERE agent_id = %s"
    ((own,),) = server.query("SELECT organization_id FROM agents WHERE id = %s", told)
    server.query(
        "INSERT INTO organizations (id, name) VALUES ('org-elsewhere', '') ON CONFLICT DO NOTHING"
    )
    server.query(give, "org-elsewhere", told)
    for mode in ("fts", "vector", "hybrid"):
        assert search(http, agent_id=told, query=LONG, search_mode=mode)[0] == []
    server.query(give, own, told)
    assert search(http, agent_id=told, query=LONG)[0] == [LONG, SHORT]


def test_agents_recall_by_meaning_and_never_what_they_were_just_asked(
    client: Letta, told: str
) -> None:
    search = call("conversation_search", query="x" * len(LONG), roles=["user"], limit=2)
    reply = client.agents.messages.create(told, input=do(search, say("done")))
    (returned,) = [one for one in reply.messages if one.message_type == "tool_return_message"]
    results = json.loads(returned.tool_return)["results"]
    assert [one["content"] for one in results] == [LONG, SHORT]
    assert results[0]["relevance"]["vector_rank"] == 1


def test_short_answers_and_tool_returns_get_no_vector(
    client: Letta, server: Product, vendor: EmbeddingVendor, agent: AgentState
) -> None:
    client.agents.messages.create(agent.id, input="ok")
    client.agents.messages.create(
        agent.id, input=do(call("conversation_search", query="what was it?"), say("It was a fig."))
    )
    embedded(server, agent.id)
    rows = server.query("SELECT role FROM message_vectors WHERE agent_id = %s", agent.id)
    assert "tool" not in {role for (role,) in rows}
    asked = [text for texts in vendor.asked for text in texts]
    assert "ok" not in asked
    assert search_words(client, agent.id, "ok")


def search_words(client: Letta, agent_id: str, query: str) -> list[Any]:
    found: Any = client.messages.search(query=query, agent_id=agent_id, search_mode="fts")
    return list(found)


def test_what_is_changed_is_found_by_what_it_says_now(
    http: httpx.Client, server: Product, told: str
) -> None:
    server.query(
        "UPDATE messages SET parts = %s::jsonb WHERE agent_id = %s AND parts::text LIKE %s "
        "AND role = 'user'",
        *(json.dumps([{"type": "text", "text": "y" * 200}]), told, f"%{LONG}%"),
    )
    embedded(server, told)
    found, _ = search(http, agent_id=told, query="x" * 200, search_mode="vector")
    assert found == ["y" * 200, SHORT]


def test_copies_take_the_vectors_of_their_originals(
    http: httpx.Client, client: Letta, server: Product, vendor: EmbeddingVendor, agent: AgentState
) -> None:
    conversation = client.conversations.create(agent_id=agent.id).id
    text = f"{new_id('fig')} was said once"
    for _ in client.conversations.messages.create(
        conversation, messages=[{"role": "user", "content": text}]
    ):
        pass
    embedded(server, agent.id)
    http.post(f"/conversations/{conversation}/fork", json={}).raise_for_status()
    embedded(server, agent.id)
    rows = server.query(
        "SELECT count(*) FROM message_vectors WHERE agent_id = %s AND role = 'user'", agent.id
    )
    assert rows == [(2,)]
    assert sum(texts.count(text) for texts in vendor.asked) == 1
    found, _ = search(http, agent_id=agent.id, query="x" * len(text), search_mode="vector")
    assert found == [text], "it is found once"
    client.conversations.delete(conversation)
    found, _ = search(http, agent_id=agent.id, query="x" * len(text), search_mode="vector")
    assert found == [text], "the copy is found where the original is gone"
    client.agents.delete(agent.id)
    assert text not in search(http, query=text)[0]
    eventually(
        lambda: server.query("SELECT FROM message_vectors WHERE agent_id = %s", agent.id) == [],
        what="no vectors are left",
    )


def test_messages_of_earlier_releases_get_their_vectors_by_and_by(
    http: httpx.Client, server: Product, told: str
) -> None:
    server.query("DELETE FROM message_vectors WHERE agent_id = %s", told)
    assert search(http, agent_id=told, query="x" * 50, search_mode="vector")[0] == []
    server.query("UPDATE message_embedding SET after_id = ''")
    eventually(
        lambda: len(search(http, agent_id=told, query="x" * 50, search_mode="vector")[0]) == 2,
        what="its vectors",
        within_s=60,
    )
    eventually(lambda: server.query("SELECT after_id FROM message_embedding") == [(None,)])


@pytest.mark.parametrize("fault", ["refuses", "hangs", "is another one by now", "knows nothing"])
def test_where_the_model_does_not_answer_words_decide(
    http: httpx.Client, vendor: EmbeddingVendor, told: str, fault: str
) -> None:
    dimension = vendor.dimension
    if fault == "hangs":
        vendor.gate.clear()
    elif fault == "is another one by now":
        vendor.dimension += 2
    elif fault == "knows nothing":
        vendor.faults["figs"] = "zeros"
    else:
        vendor.failures += [(401, {})] * 2
    try:
        for mode in ("vector", "hybrid"):
            found, answer = search(http, agent_id=told, query="figs", search_mode=mode)
            assert found == [LONG]
            assert answer.headers["x-search-mode"] == "text"
            assert "embedding model" in answer.headers["x-search-problem"]
    finally:
        vendor.gate.set()
        vendor.dimension = dimension
        vendor.faults.clear()
        vendor.failures.clear()


def test_messages_that_a_model_refuses_are_found_by_their_words_and_hold_up_nothing(
    http: httpx.Client, client: Letta, server: Product, vendor: EmbeddingVendor, agent: AgentState
) -> None:
    word = new_id("w").replace("-", "")
    vendor.faults[word] = 400
    try:
        client.agents.messages.create(agent.id, input=f"{word} is refused by the model")
        client.agents.messages.create(agent.id, input="and this one it takes, all the same")
        embedded(server, agent.id)
    finally:
        del vendor.faults[word]
    assert search(http, agent_id=agent.id, query=word)[0][0] == f"{word} is refused by the model"
    found, _ = search(http, agent_id=agent.id, query="x" * 35, search_mode="vector")
    assert found == ["and this one it takes, all the same"]
