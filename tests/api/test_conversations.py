"""Conversations as resources: made, listed, changed, forked, deleted."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from letta_client import APIStatusError, BadRequestError, Letta, NotFoundError
from letta_client.types import AgentState

from o.ids import new_id
from tests.support.approvals import INSERT, approval, guarded_agent
from tests.support.chats import prompt_of, said, speak
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, OTHER_HANDLE, FakeProvider, call, do, say


def isolated(client: Letta, agent: AgentState, *labels: str, **given: Any) -> dict[str, Any]:
    """A conversation with blocks of its own, which the client has no word for, as it is shown."""
    made: Any = client.post(
        f"/v1/conversations/?agent_id={agent.id}",
        body={"isolated_block_labels": list(labels), **given},
        cast_to=httpx.Response,
    )
    body: dict[str, Any] = made.json()
    return body


def test_a_conversation_begins_with_a_prompt_of_its_own(client: Letta, agent: AgentState) -> None:
    made = client.conversations.create(agent_id=agent.id, summary="Plans")
    assert (made.agent_id, made.summary, made.model) == (agent.id, "Plans", None)
    assert made.created_at == made.updated_at is not None
    assert made.last_message_at is None
    assert len(made.in_context_message_ids or ()) == 1
    assert made.in_context_message_ids != agent.message_ids
    assert client.conversations.retrieve(made.id) == made
    assert f"- CONVERSATION_ID: {made.id}\n" in prompt_of(client, made.id)
    assert "I am kind." in prompt_of(client, made.id)


def test_v1_shows_every_field_of_a_conversation(client: Letta, agent: AgentState) -> None:
    made = isolated(client, agent, model=HANDLE, model_settings={"temperature": 0.5})
    assert made.keys() == {
        *("id", "agent_id", "summary", "in_context_message_ids", "isolated_block_ids"),
        *("model", "model_settings", "last_message_at", "pending_approval"),
        *("created_by_id", "last_updated_by_id", "created_at", "updated_at"),
    }
    assert (made["model"], made["model_settings"]["temperature"]) == (HANDLE, 0.5)
    assert made["isolated_block_ids"] == []
    assert made["created_by_id"] == made["last_updated_by_id"] is not None
    assert made["created_at"].endswith("Z")


def test_a_conversation_with_what_is_not_there_is_refused(
    client: Letta, server: Product, agent: AgentState
) -> None:
    with pytest.raises(NotFoundError, match="not found"):
        client.conversations.create(agent_id=new_id("agent"))
    with pytest.raises(NotFoundError, match="Handle openai/nonsense not found"):
        client.conversations.create(agent_id=agent.id, model="openai/nonsense")
    with pytest.raises(BadRequestError, match="'nobody'"):
        isolated(client, agent, "human", "nobody")
    assert client.conversations.list(agent_id=agent.id) == []
    for path in ("/v1/conversations/", "/v1/conversations/?agent_id=me"):
        assert httpx.post(server.url + path, json={}).status_code == 422


def test_conversations_are_listed_newest_first_and_in_pages(
    client: Letta, agent: AgentState
) -> None:
    made = [client.conversations.create(agent_id=agent.id, summary=f"c{n}").id for n in range(4)]

    def listed(**asked: Any) -> list[str]:
        return [one.id for one in client.conversations.list(agent_id=agent.id, **asked)]

    assert listed() == made[::-1], "the agent's own thread is not among them"
    assert listed(order="asc") == made
    assert listed(limit=2) == made[:1:-1]
    assert listed(limit=2, after=made[2]) == made[1::-1]
    assert listed(order="asc", after=made[1]) == made[2:]
    assert {*made} <= {one.id for one in client.conversations.list(limit=1_000)}
    assert client.conversations.list(agent_id=new_id("agent")) == []
    with pytest.raises(NotFoundError):
        listed(after=new_id("conv"))


def test_conversations_are_listed_by_what_happened_last(client: Letta, agent: AgentState) -> None:
    first, second, silent = (
        client.conversations.create(agent_id=agent.id, summary=f"100% {n}").id for n in range(3)
    )
    for conversation_id in (second, first):
        speak(client, conversation_id, "hi")
    keys: tuple[Any, ...] = ("last_message_at", "last_run_completion")
    for order_by in keys:
        found = client.conversations.list(agent_id=agent.id, order_by=order_by)
        assert [one.id for one in found] == [first, second, silent]
        rest = client.conversations.list(
            agent_id=agent.id,
            order_by=order_by,
            after=first,
        )
        assert [one.id for one in rest] == [second, silent]
    found = client.conversations.list(agent_id=agent.id, summary_search="100% 1")
    assert [one.id for one in found] == [second]
    assert client.conversations.list(agent_id=agent.id, summary_search="%%") == []


def test_a_change_says_only_what_it_names_and_null_goes_back_to_the_agents(
    client: Letta, agent: AgentState
) -> None:
    made = client.conversations.create(agent_id=agent.id, summary="old", model=HANDLE)
    changed = client.conversations.update(made.id, summary="new")
    assert (changed.summary, changed.model) == ("new", HANDLE)
    assert changed.updated_at is not None
    assert made.updated_at is not None
    assert changed.updated_at > made.updated_at
    settings: Any = {"provider_type": "openai", "temperature": 0.1}
    changed = client.conversations.update(made.id, model=OTHER_HANDLE, model_settings=settings)
    assert (changed.summary, changed.model) == ("new", OTHER_HANDLE)
    assert changed.api_model_settings is not None
    changed = client.conversations.update(made.id, summary=None, model=None, model_settings=None)
    assert (changed.summary, changed.model, changed.api_model_settings) == (None, None, None)
    with pytest.raises(NotFoundError):
        client.conversations.update(made.id, model="openai/nonsense")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("2026-03-01T09:15:00", "2026-03-01T09:15:00.000000Z"),
        ("2026-03-01T09:15:00+02:00", "2026-03-01T07:15:00.000000Z"),
        ("9999-12-31T23:59:59-12:00", None),
        ("yesterday", None),
    ],
)
def test_a_time_can_be_set_where_utc_has_it(
    server: Product, client: Letta, agent: AgentState, given: str, shown: str | None
) -> None:
    made = client.conversations.create(agent_id=agent.id)
    url = f"{server.url}/v1/conversations/{made.id}"
    answer = httpx.patch(url, json={"last_message_at": given})
    assert answer.status_code == (422 if shown is None else 200)
    assert httpx.get(url).json()["last_message_at"] == shown


def test_the_agents_own_thread_is_shown_by_its_id_and_is_not_changed_by_it(
    client: Letta, agent: AgentState
) -> None:
    client.agents.messages.create(agent.id, input="hi")
    (run,) = client.runs.list(agent_id=agent.id)
    own = client.conversations.retrieve(str(run.conversation_id))
    assert own.in_context_message_ids == client.agents.retrieve(agent.id).message_ids
    refusals: list[Callable[[], object]] = [
        lambda: client.conversations.update(own.id, summary="x"),
        lambda: client.conversations.delete(own.id),
    ]
    for refused in refusals:
        with pytest.raises(APIStatusError, match="own thread") as failure:
            refused()
        assert failure.value.status_code == 409


def test_a_deleted_conversation_is_gone_with_its_runs_messages_and_blocks(
    client: Letta, server: Product, agent: AgentState
) -> None:
    made = isolated(client, agent, "human")
    conversation_id, (block_id,) = made["id"], made["isolated_block_ids"]
    kept = client.conversations.create(agent_id=agent.id)
    for one in (conversation_id, kept.id):
        speak(client, one, f"hi {one}")
    client.conversations.delete(conversation_id)
    questions: list[Callable[[], object]] = [
        lambda: client.conversations.retrieve(conversation_id),
        lambda: client.conversations.delete(conversation_id),
        lambda: client.conversations.messages.list(conversation_id),
        lambda: client.conversations.fork(conversation_id),
        lambda: speak(client, conversation_id, "anybody?"),
        lambda: speak(client, conversation_id, "anybody?", streaming=False),
    ]
    for ask in questions:
        with pytest.raises(NotFoundError, match="Conversation not found with id="):
            ask()
    assert [one.id for one in client.conversations.list(agent_id=agent.id)] == [kept.id]
    assert [run.conversation_id for run in client.runs.list(agent_id=agent.id)] == [kept.id]
    eventually(
        lambda: not server.query("SELECT 1 FROM conversations WHERE id = %s", conversation_id),
        what="the purge",
    )
    for table in ("runs", "messages", "conversation_blocks"):
        left = f"SELECT 1 FROM {table} WHERE conversation_id = %s"
        assert server.query(left, conversation_id) == []
    with pytest.raises(NotFoundError):
        client.blocks.retrieve(block_id)
    assert said(client, kept.id) == [f"hi {kept.id}", f"You said: hi {kept.id}"]
    assert [block.label for block in client.agents.blocks.list(agent.id)] == ["human", "persona"]


def test_a_deleted_agent_takes_its_conversations_and_their_blocks_along(
    client: Letta, server: Product, agent: AgentState
) -> None:
    made = isolated(client, agent, "persona")
    speak(client, made["id"], "hi")
    client.agents.messages.create(agent.id, input="hi")
    client.agents.delete(agent.id)
    with pytest.raises(NotFoundError):
        client.conversations.retrieve(made["id"])
    eventually(
        lambda: not server.query("SELECT 1 FROM conversations WHERE agent_id = %s", agent.id),
        what="the purge",
    )
    with pytest.raises(NotFoundError):
        client.blocks.retrieve(made["isolated_block_ids"][0])
    assert [client.blocks.retrieve(str(block.id)).label for block in agent.blocks] == [
        "persona",
        "human",
    ]


def test_a_fork_goes_on_from_a_copy_and_both_go_their_own_ways(
    client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    made = isolated(client, agent, "human", summary="Plans", model=OTHER_HANDLE)
    edit = call("memory_insert", label="human", new_string="They like tea.")
    speak(client, made["id"], do(edit, say("noted")))
    fork = client.conversations.fork(made["id"])
    assert (fork.agent_id, fork.summary, fork.model) == (agent.id, "Plans", OTHER_HANDLE)
    source = client.conversations.retrieve(made["id"]).in_context_message_ids or []
    copied = fork.in_context_message_ids or []
    assert len(copied) == len(source) == 5
    assert (copied[1:], copied[0] == source[0]) == (source[1:], False), "but for the prompt"
    assert said(client, fork.id) == said(client, made["id"])
    assert "They like tea." in prompt_of(client, fork.id), "the prompt is compiled anew"
    assert "They like tea." not in prompt_of(client, made["id"])
    speak(client, fork.id, "to the fork")
    speak(client, made["id"], "to the source")
    assert said(client, fork.id)[-2:] == ["to the fork", "You said: to the fork"]
    assert "to the fork" not in said(client, made["id"])
    of_fork, of_source = (str(prompt) for prompt in provider.prompts[-2:])
    assert "noted" in of_fork
    assert "noted" in of_source
    assert "to the fork" not in of_source
    speak(client, fork.id, do(call("memory_insert", label="human", new_string="Or rum?"), say("x")))
    assert "Or rum?" in recompiled(client, fork.id)
    assert "Or rum?" not in recompiled(client, made["id"]), "a fork has blocks of its own too"


def recompiled(client: Letta, conversation_id: str, **options: Any) -> str:
    """What recompiling answers; the client hands on V1's JSON string as it is."""
    return str(json.loads(client.conversations.recompile(conversation_id, **options)))


def test_a_fork_lists_the_messages_that_it_shares_by_their_ids(
    client: Letta, server: Product, agent: AgentState
) -> None:
    made = client.conversations.create(agent_id=agent.id)
    speak(client, made.id, "shared")
    fork = client.conversations.fork(made.id)
    again = client.conversations.fork(fork.id)

    def ids(conversation_id: str, **asked: Any) -> list[str]:
        shown = client.conversations.messages.list(conversation_id, order="asc", **asked)
        return [message.id for message in shown.items if message.message_type != "system_message"]

    shared = ids(made.id)
    assert len(shared) == 2
    assert ids(fork.id) == ids(again.id) == shared
    for one in (fork, again):
        assert (one.in_context_message_ids or [])[1:] == shared
        assert ids(one.id, after=shared[0]) == shared[1:], "a cursor is the id that is shown"
        assert ids(one.id, before=shared[1]) == shared[:1]
    speak(client, fork.id, "after")
    assert ids(fork.id)[:2] == shared
    assert (client.conversations.retrieve(fork.id).in_context_message_ids or [])[1:] == ids(fork.id)

    everything = client.agents.messages.list(agent.id, limit=100).items
    assert [m.id for m in everything if m.id in shared] == shared, "once, as V1 does"
    after = client.agents.messages.list(agent.id, limit=1, order="asc", after=shared[0]).items
    assert [message.id for message in after] == shared[1:]
    anywhere = client.messages.list(limit=100)[::-1]  # others may have said much before
    assert [m.id for m in anywhere if m.id in shared] == shared
    in_fork = client.messages.list(conversation_id=fork.id, order="asc")
    assert [m.id for m in in_fork if m.id in shared] == shared
    assert [one.id for one in client.messages.retrieve(shared[1])] == shared[1:]


def test_a_fork_outlives_the_conversation_that_it_shares_messages_with(
    client: Letta, server: Product, agent: AgentState
) -> None:
    made = client.conversations.create(agent_id=agent.id)
    speak(client, made.id, "shared")
    forks = [client.conversations.fork(made.id) for _ in range(2)]
    shared = (forks[0].in_context_message_ids or [])[1:]
    client.conversations.delete(made.id)

    def listed() -> list[str]:
        everything = client.agents.messages.list(agent.id, limit=100).items
        return [message.id for message in everything if message.id in shared]

    eventually(
        lambda: not server.query("SELECT 1 FROM conversations WHERE id = %s", made.id),
        what="the purge of the source",
    )
    assert listed() == shared, "once, though two forks have them"
    assert [one.id for one in client.messages.retrieve(shared[0])] == shared[:1]
    for fork in forks:
        shown = client.conversations.messages.list(fork.id, order="asc").items
        assert [m.id for m in shown if m.message_type != "system_message"] == shared


def test_the_agents_own_thread_can_be_forked(client: Letta, agent: AgentState) -> None:
    client.agents.messages.create(agent.id, input="hello")
    for fork in (
        client.conversations.fork("default", agent_id=agent.id),
        client.conversations.fork(agent.id),
    ):
        assert said(client, fork.id) == ["hello", "You said: hello"]
        speak(client, fork.id, "and more")
    assert said(client, "default", agent_id=agent.id) == ["hello", "You said: hello"]


def test_a_fork_ends_before_a_turn_that_is_under_way(
    client: Letta, server: Product, agent: AgentState, provider: FakeProvider
) -> None:
    made = client.conversations.create(agent_id=agent.id)
    speak(client, made.id, "before")
    text = do(call("memory_insert", label="human", new_string="x"), say("later"))
    gate = provider.hold(lambda prompt: prompt[-1]["role"] == "tool")
    stream = client.conversations.messages.create(made.id, input=text)
    assert gate.reached.wait(10)
    fork = client.conversations.fork(made.id)
    gate.opened.set()
    stream.close()
    assert said(client, fork.id) == ["before", "You said: before"]
    assert said(client, made.id)[:3] == ["before", "You said: before", text]
    speak(client, fork.id, "after")
    assert "memory_insert" not in str(provider.prompts[-1][1:])
    assert provider.problems == []


def test_a_fork_ends_before_a_turn_that_waits_for_an_approval(
    client: Letta, provider: FakeProvider
) -> None:
    guarded = guarded_agent(client)
    made = client.conversations.create(agent_id=guarded.id)
    speak(client, made.id, "before")
    events = speak(client, made.id, do(INSERT, INSERT, say("done")))
    answer: Any = {"type": "approval", "approvals": [approval(events[0].tool_call.tool_call_id)]}
    with client.conversations.messages.create(made.id, messages=[answer]) as stream:
        assert [one for one in stream if one.message_type == "approval_request_message"], "again"
    fork = client.conversations.fork(made.id)
    assert said(client, fork.id) == ["before", "You said: before"]
    assert len(fork.in_context_message_ids or ()) == 3
    assert speak(client, fork.id, "free to speak")[0].content == "You said: free to speak"
    assert provider.problems == []


def test_recompiling_shows_memory_as_it_is_and_keeps_it_unless_it_is_a_dry_run(
    client: Letta, agent: AgentState
) -> None:
    made = client.conversations.create(agent_id=agent.id)
    before = prompt_of(client, made.id)
    assert recompiled(client, made.id) == before, "the same to the byte"
    client.agents.blocks.update("human", agent_id=agent.id, value="Their name is Ada.")
    assert "Their name is Ada." in recompiled(client, made.id, dry_run=True)
    assert prompt_of(client, made.id) == before
    assert recompiled(client, made.id) == prompt_of(client, made.id) != before
    own = recompiled(client, "default", agent_id=agent.id)
    assert own == prompt_of(client, "default", agent_id=agent.id)
    assert "- CONVERSATION_ID: default\n" in own


def test_the_path_default_needs_to_know_whose(client: Letta) -> None:
    for ask in (
        lambda: client.conversations.messages.list("default"),
        lambda: client.conversations.fork("default"),
        lambda: client.conversations.recompile("default"),
        lambda: speak(client, "default", "hi"),
    ):
        with pytest.raises(BadRequestError, match="needs agent_id"):
            ask()
    with pytest.raises(NotFoundError, match="Agent with id"):
        speak(client, "default", "hi", agent_id=new_id("agent"))


@pytest.mark.parametrize("slash", ["", "/"])
def test_addresses_work_with_and_without_their_last_slash(
    server: Product, client: Letta, agent: AgentState, slash: str
) -> None:
    def ask(method: str, path: str, **options: Any) -> int:
        url = f"{server.url}/v1/conversations{path}"
        return httpx.request(method, url, follow_redirects=True, timeout=30, **options).status_code

    conversation_id = client.conversations.create(agent_id=agent.id).id
    assert ask("POST", f"{slash}?agent_id={agent.id}", json={}) == 200
    assert ask("GET", slash) == 200
    one = f"/{conversation_id}"
    assert ask("GET", f"{one}{slash}") == 200
    assert ask("PATCH", f"{one}{slash}", json={}) == 200
    assert ask("GET", f"{one}/messages{slash}") == 200
    said_once = {"input": "hi", "streaming": False}
    assert ask("POST", f"{one}/messages{slash}", json=said_once) == 200
    assert ask("POST", f"{one}/fork{slash}") == 200
    assert ask("POST", f"{one}/recompile{slash}") == 200
    assert ask("POST", f"{one}/compact{slash}") == 400
    assert ask("DELETE", f"{one}{slash}") == 200
