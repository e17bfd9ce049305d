"""Messages are found by what they say, in all conversations."""

import json
from typing import Any

import httpx
import pytest
from letta_client import Letta
from letta_client.types import AgentState

from o.ids import new_id
from tests.support.chats import speak
from tests.support.organizations import new_organization
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, call, do, say


def a_word() -> str:
    return new_id("x").removeprefix("x-").replace("-", "")


def test_all_messages_are_searched_and_narrowed(client: Letta, agent: AgentState) -> None:
    word = a_word()
    client.agents.messages.create(agent.id, input=f"The {word} is in the cellar.")
    conversation = client.conversations.create(agent_id=agent.id).id
    speak(client, conversation, f"{word} again")
    results: Any = client.messages.search(query=word)
    said = {(one.message_type, one.conversation_id == conversation) for one in results}
    assert said == {(f"{who}_message", here) for who in ("user", "assistant") for here in (0, 1)}
    assert {one.agent_id for one in results} == {agent.id}
    first = results[0]
    assert client.messages.retrieve(first.message_id)[0].content == first.content
    here: Any = client.messages.search(query=word, conversation_id=conversation)
    assert {one.conversation_id for one in here} == {conversation}
    own: Any = client.messages.search(query=word, agent_id=agent.id, conversation_id="default")
    assert {word in str(one.content) for one in own} == {True}
    assert conversation not in {one.conversation_id for one in own}
    assert client.messages.search(query=word, end_date="2020-01-01T00:00:00Z") == []
    assert client.messages.search(query=word, agent_id=new_id("agent")) == []
    assert len(client.messages.search(query=word, limit=1)) == 1


def test_ranks_are_told_and_roles_asked_for(
    client: Letta, server: Product, agent: AgentState
) -> None:
    word = a_word()
    client.agents.messages.create(agent.id, input=f"Where is the {word}?")
    body: dict[str, Any] = {"query": word, "roles": ["user"], "agent_id": agent.id}
    with httpx.Client(base_url=server.url, timeout=60) as http:
        (found,) = http.post("/v1/agents/messages/search", json=body).json()
        assert found["embedded_text"] == f"Where is the {word}?"
        assert (found["fts_rank"], found["vector_rank"], found["rrf_score"]) == (1, None, 1.0)
        assert found["message"]["role"] == "user"
        assert found["message"]["content"][0]["text"] == f"Where is the {word}?"
        assert http.post("/v1/agents/messages/search", json=body | {"roles": ["tool"]}).json() == []
        newest = http.post("/v1/agents/messages/search", json=body | {"query": None}).json()
        assert [one["embedded_text"] for one in newest] == [f"Where is the {word}?"]
        wrong = http.post("/v1/messages/search", json={"query": word, "conversation_id": "default"})
        assert wrong.status_code == 400, wrong.text


def test_a_word_that_all_messages_have_is_found(server: Product) -> None:
    """There are more of them than a look at the newest of each agent makes believe."""
    client = server.client(api_key=new_organization(server, "of tea"))
    agent = client.agents.create(model=HANDLE)
    many: Any = [{"role": "user", "content": f"tea {n}"} for n in range(50)]
    client.agents.messages.create(agent.id, messages=many)
    assert len(client.messages.search(query="tea")) == 50
    first: Any = client.messages.search(query="tea 7", limit=1)
    assert [one.content for one in first] == ["tea 7"]


@pytest.mark.parametrize("query", ["\x00", "\ud83d", "'\\", "a" * 100_000, "& | !", "\u202e", "🎈"])
def test_no_question_is_too_odd(server: Product, query: str) -> None:
    content, headers = json.dumps({"query": query}), {"content-type": "application/json"}
    url = f"{server.url}/v1/messages/search"
    answer = httpx.post(url, content=content, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text


def test_what_was_deleted_is_not_found_and_what_is_shared_is_found_once(
    client: Letta, agent: AgentState, server: Product
) -> None:
    word = a_word()
    conversation = client.conversations.create(agent_id=agent.id).id
    speak(client, conversation, f"about the {word}")
    fork = server.client().post(f"/v1/conversations/{conversation}/fork", cast_to=object, body={})
    assert fork
    assert len(client.messages.search(query=f"about {word}", agent_id=agent.id)) == 2
    client.conversations.delete(conversation)
    copies: Any = client.messages.search(query=f"about {word}", agent_id=agent.id)
    assert {one.message_type for one in copies} == {"user_message", "assistant_message"}
    client.agents.delete(agent.id)
    assert client.messages.search(query=word) == []


def test_a_fitting_message_is_found_before_newer_ones(client: Letta, agent: AgentState) -> None:
    client.agents.messages.create(agent.id, input="My sister Ines repairs clocks in Porto.")
    for n in range(8):
        client.agents.messages.create(agent.id, input=f"My brother said something, {n} times.")
    search = call("conversation_search", query="what does my sister repair?", roles=["user"])
    reply = client.agents.messages.create(agent.id, input=do(search, say("done")))
    (returned,) = [one for one in reply.messages if one.message_type == "tool_return_message"]
    results = json.loads(returned.tool_return)["results"]
    assert results[0]["content"] == "My sister Ines repairs clocks in Porto."
    assert results[0]["relevance"]["fts_rank"] == 1
    assert len(results) <= 5
    assert not any(one["content"].startswith("do:") for one in results), "what asks is left out"


def test_messages_of_earlier_releases_get_their_words_by_and_by(
    client: Letta, server: Product, agent: AgentState
) -> None:
    word = a_word()
    client.agents.messages.create(agent.id, input=f"the old {word}")
    server.query("DELETE FROM message_terms WHERE agent_id = %s", agent.id)
    assert client.messages.search(query=word) == []
    server.query("INSERT INTO message_terms_backlog VALUES ('')")
    eventually(lambda: client.messages.search(query=word, agent_id=agent.id), what="its words")
    eventually(lambda: server.query("SELECT count(*) FROM message_terms_backlog") == [(0,)])
