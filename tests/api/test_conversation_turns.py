"""Turns in conversations: streams and JSON, memory and models of their own, side by side."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from typing import Any

import httpx
import pytest
from letta_client import APIStatusError, Letta, NotFoundError
from letta_client.types import AgentState
from temporalio.client import Client, WorkflowExecutionStatus

from o.ids import new_id
from tests.api.test_conversations import isolated
from tests.support.approvals import approval
from tests.support.chats import prompt_of, said, speak
from tests.support.product import Product
from tests.support.provider import (
    HANDLE,
    MODEL,
    OTHER_HANDLE,
    OTHER_MODEL,
    FakeProvider,
    call,
    do,
    last_user_text,
    say,
)


@pytest.fixture
def conversation(client: Letta, agent: AgentState) -> str:
    return client.conversations.create(agent_id=agent.id).id


def types_of(messages: list[Any]) -> list[str]:
    return [message.message_type for message in messages]


def as_json(server: Product, conversation_id: str, text: str, **more: Any) -> dict[str, Any]:
    """The answer of a send that does not stream."""
    answer = httpx.post(
        f"{server.url}/v1/conversations/{conversation_id}/messages",
        json={"input": text, "streaming": False, **more},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_a_conversation_streams_by_default_and_its_run_names_it(
    client: Letta, agent: AgentState, conversation: str
) -> None:
    events = speak(client, conversation, "hello")
    assert types_of(events) == ["assistant_message", "stop_reason", "usage_statistics"]
    assert events[0].content == "You said: hello"
    (run,) = client.runs.list(conversation_id=conversation)
    assert (run.id, run.agent_id, run.status) == (events[0].run_id, agent.id, "completed")
    assert client.conversations.retrieve(conversation).last_message_at == run.created_at
    assert client.agents.retrieve(agent.id).message_ids == agent.message_ids, "the own thread's"


def test_without_streaming_the_answer_is_json(server: Product, conversation: str) -> None:
    answer = as_json(server, conversation, "hello", stream_tokens=True, include_pings=False)
    assert [message["message_type"] for message in answer["messages"]] == ["assistant_message"]
    assert answer["stop_reason"]["stop_reason"] == "end_turn"
    assert answer["usage"]["step_count"] == 1


def test_what_is_about_streams_is_ignored_without_one(server: Product, conversation: str) -> None:
    more = {"stream_tokens": True, "background": True, "include_pings": False}
    said = as_json(server, conversation, "hello", **more)
    assert [one["content"] for one in said["messages"]] == ["You said: hello"]


def test_tokens_can_be_streamed(client: Letta, conversation: str) -> None:
    events = speak(
        client, conversation, do(say("one two three") | {"pause_s": 0.05}), stream_tokens=True
    )
    said_ = [event.content for event in events if event.message_type == "assistant_message"]
    assert "".join(said_) == "one two three"
    assert len(said_) > 1


def test_conversations_of_one_agent_know_nothing_of_each_other(
    client: Letta, agent: AgentState, conversation: str, provider: FakeProvider
) -> None:
    other = client.conversations.create(agent_id=agent.id).id
    client.agents.messages.create(agent.id, input="to the own thread")
    speak(client, conversation, "to the first")
    speak(client, other, "to the second")
    assert said(client, conversation) == ["to the first", "You said: to the first"]
    assert said(client, other) == ["to the second", "You said: to the second"]
    own = ["to the own thread", "You said: to the own thread"]
    assert said(client, "default", agent_id=agent.id) == said(client, agent.id) == own
    assert [one["content"] for one in provider.prompts[-1][1:]] == ["to the second"]

    def of_agent(**asked: Any) -> list[str]:
        found = client.agents.messages.list(agent.id, limit=100, order="asc", **asked).items
        return [one.content for one in found if one.message_type == "user_message"]  # type: ignore[misc]

    assert of_agent() == ["to the own thread", "to the first", "to the second"], "all are mixed"
    assert of_agent(conversation_id="default") == ["to the own thread"]
    assert of_agent(conversation_id=other) == ["to the second"]


def test_conversations_of_one_agent_run_at_the_same_time(
    client: Letta, agent: AgentState, conversation: str, provider: FakeProvider
) -> None:
    slow = f"slow {conversation}"
    gate = provider.hold(lambda prompt: last_user_text(prompt) == slow)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(speak, client, conversation, slow)
        assert gate.reached.wait(10)
        other = client.conversations.create(agent_id=agent.id).id
        assert speak(client, other, "quick")[0].content == "You said: quick"
        assert client.agents.messages.create(agent.id, input="me too").messages
        assert not waiting.done()
        gate.opened.set()
        assert waiting.result(10)[0].content == f"You said: {slow}"


async def test_a_deleted_conversation_ends_its_turn_and_its_workflow_and_no_other(
    client: Letta, server: Product, agent: AgentState, conversation: str, provider: FakeProvider
) -> None:
    speak(client, conversation, "hi")
    other = client.conversations.create(agent_id=agent.id).id
    gates = {
        one: provider.hold(lambda prompt, one=one: last_user_text(prompt) == one)  # type: ignore[misc]
        for one in (conversation, other)
    }
    with ThreadPoolExecutor(2) as pool:
        doomed, waiting = (
            pool.submit(speak, client, one, one, streaming=False) for one in (conversation, other)
        )
        assert all(gate.reached.wait(10) for gate in gates.values())
        client.conversations.delete(conversation)
        with pytest.raises(NotFoundError):
            doomed.result(30)
        for gate in gates.values():
            gate.opened.set()
        waiting.result(30)
    assert said(client, other) == [other, f"You said: {other}"]
    temporal = await Client.connect(server.state["temporal_address"])
    async with asyncio.timeout(30):
        while (await temporal.get_workflow_handle(conversation).describe()).status is (
            WorkflowExecutionStatus.RUNNING
        ):
            await asyncio.sleep(0.05)
    standing = (await temporal.get_workflow_handle(other).describe()).status
    assert standing is WorkflowExecutionStatus.RUNNING


def test_a_shared_block_is_seen_by_every_conversation(
    client: Letta, agent: AgentState, conversation: str
) -> None:
    edit = call("memory_replace", label="human", old_string="Nothing is known yet.", new_string="A")
    other = client.conversations.create(agent_id=agent.id).id
    speak(client, conversation, do(edit, say("ok")))
    assert client.agents.blocks.retrieve("human", agent_id=agent.id).value == "A"
    speak(client, other, "hi")
    assert "<value>\nA\n</value>" in prompt_of(client, other)


def test_an_isolated_block_is_edited_and_shown_in_its_conversation_only(
    client: Letta, agent: AgentState, conversation: str, provider: FakeProvider
) -> None:
    made = isolated(client, agent, "human")
    (block_id,) = made["isolated_block_ids"]
    assert client.blocks.retrieve(block_id).value == "Nothing is known yet."
    edit = call(
        "memory_replace",
        label="human",
        old_string="Nothing is known yet.",
        new_string="Their name is Grace.",
    )
    speak(client, made["id"], do(edit, say("ok")))
    assert client.blocks.retrieve(block_id).value == "Their name is Grace."
    shared = client.agents.blocks.retrieve("human", agent_id=agent.id)
    assert shared.value == "Nothing is known yet."
    assert speak(client, made["id"], "Who am I?")[0].content == "You are Grace."
    system = provider.prompts[-1][0]["content"]
    assert system.count("<human>") == 1
    assert system.index("I am kind.") < system.index("Grace"), "in the place of the agent's block"
    assert speak(client, conversation, "Who am I?")[0].content == "You said: Who am I?"
    client.agents.blocks.update("human", agent_id=agent.id, value="Their name is Ada.")
    assert speak(client, conversation, "Who am I?")[0].content == "You are Ada."
    assert speak(client, made["id"], "Who am I?")[0].content == "You are Grace."
    client.blocks.update(block_id, value="Their name is Lin.")
    assert speak(client, made["id"], "Who am I?")[0].content == "You are Lin."


def test_two_conversations_with_the_same_isolated_label_have_a_copy_each(
    client: Letta, agent: AgentState
) -> None:
    made = [isolated(client, agent, "human", "human", "persona") for _ in range(2)]
    ids = [block_id for one in made for block_id in one["isolated_block_ids"]]
    assert len({*ids}) == 4
    for n, one in enumerate(made):
        speak(client, one["id"], do(call("core_memory_append", label="human", content=str(n))))
        edit = call("memory_insert", label="human", new_string=f"I am number {n}.")
        speak(client, one["id"], do(edit, say("ok")))
    values = [client.blocks.retrieve(one["isolated_block_ids"][0]).value for one in made]
    assert values == [f"Nothing is known yet.\nI am number {n}." for n in range(2)]


def test_an_isolated_block_is_neither_renamed_nor_taken_away(
    client: Letta, server: Product
) -> None:
    agent = client.agents.create(
        model=HANDLE, tools=["memory"], memory_blocks=[{"label": "human", "value": "x"}]
    )
    made = isolated(client, agent, "human")
    for command in (
        {"command": "delete", "path": "/memories/human"},
        {
            "command": "rename",
            "old_path": "/memories/human",
            "new_path": "/memories/people",
        },
    ):
        events = speak(client, made["id"], do(call("memory", **command), say("never mind")))
        assert events[1].status == "error"
        assert "belongs to this conversation alone" in events[1].tool_return
    answer = httpx.patch(
        f"{server.url}/v1/blocks/{made['isolated_block_ids'][0]}", json={"label": "people"}
    )
    assert (answer.status_code, "to itself" in answer.text) == (409, True)
    assert [block.label for block in client.agents.blocks.list(agent.id)] == ["human"]


def test_an_isolated_block_that_is_deleted_gives_way_to_the_agents(
    client: Letta, agent: AgentState
) -> None:
    made = isolated(client, agent, "human")
    client.agents.blocks.update("human", agent_id=agent.id, value="Their name is Ada.")
    client.blocks.delete(made["isolated_block_ids"][0])
    assert client.conversations.retrieve(made["id"])
    assert speak(client, made["id"], "Who am I?")[0].content == "You are Ada."


def test_a_conversation_speaks_with_its_own_model_and_settings(
    client: Letta, conversation: str, provider: FakeProvider
) -> None:
    agent_id = client.conversations.retrieve(conversation).agent_id
    settings: Any = {"provider_type": "openai", "temperature": 0.25}
    client.agents.update(agent_id, model_settings=settings)

    def asked(**options: Any) -> tuple[str, float | None]:
        events = speak(client, conversation, "hi", **options)
        (step,) = client.runs.steps.list(events[0].run_id)
        body = provider.requests[-1]
        assert step.model == body["model"]
        return body["model"], body.get("temperature")

    assert asked() == (MODEL, 0.25)
    client.conversations.update(conversation, model=OTHER_HANDLE)
    assert asked() == (OTHER_MODEL, 0.25)
    assert asked(override_model=HANDLE) == (MODEL, 0.25), "the request's model comes first"
    client.conversations.update(conversation, model_settings=settings | {"temperature": 0.75})
    assert asked() == (OTHER_MODEL, 0.75)
    client.conversations.update(conversation, model=None, model_settings=None)
    assert asked() == (MODEL, 0.25)


def test_a_conversations_model_is_not_the_agents(
    client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    client.conversations.create(agent_id=agent.id, model=OTHER_HANDLE)
    client.agents.messages.create(agent.id, input="hi")
    assert provider.requests[-1]["model"] == MODEL


def test_a_repeated_send_joins_its_run(
    server: Product, client: Letta, agent: AgentState, conversation: str
) -> None:
    message = {"role": "user", "content": "once", "otid": new_id("message")}
    body = {"messages": [message], "streaming": False}
    other = client.conversations.create(agent_id=agent.id).id

    def send(conversation_id: str, body: dict[str, Any], **headers: str) -> set[str]:
        answer = httpx.post(
            f"{server.url}/v1/conversations/{conversation_id}/messages",
            json=body,
            headers=headers,
            timeout=30,
        )
        return {message["run_id"] for message in answer.json()["messages"]}

    retried = {"x-stainless-retry-count": "1"}
    plain = {"input": "twice?", "streaming": False}
    assert send(conversation, body) == send(conversation, body)
    assert send(conversation, plain) == send(conversation, plain, **retried)
    assert said(client, conversation)[::2] == ["once", "twice?"]
    assert send(other, body) != send(conversation, body), "another conversation, another run"
    assert send(other, plain, **retried) != send(conversation, plain, **retried)


def test_messages_are_listed_newest_first_and_paged_by_the_client(
    client: Letta, conversation: str
) -> None:
    both = call("memory_insert", label="human", new_string="x") | {"reasoning": "hm"}
    for text in (do(both, say("done")), "hello"):
        speak(client, conversation, text)
    listed = client.conversations.messages.list
    newest_first = listed(conversation, limit=100).items
    oldest_first = listed(conversation, order="asc", limit=100).items
    assert newest_first == oldest_first[::-1]
    assert types_of(oldest_first) == [
        "system_message",
        "user_message",
        "reasoning_message",
        "tool_call_message",
        "tool_return_message",
        "assistant_message",
        "user_message",
        "assistant_message",
    ]
    ids = list(dict.fromkeys(message.id for message in newest_first))
    assert len(ids) == 7
    context = client.conversations.retrieve(conversation).in_context_message_ids
    assert context == ids[::-1]
    for limit in (1, 2, 100):
        assert [*listed(conversation, limit=limit)] == newest_first
        assert [*listed(conversation, limit=limit, order="asc")] == oldest_first
    assert [one.id for one in listed(conversation, before=ids[2]).items] == ids[:2]
    assert [one.id for one in listed(conversation, after=ids[5]).items] == ids[6:]
    wanted: Any = ["user_message", "tool_return_message"]
    found = listed(conversation, limit=1, include_return_message_types=wanted)
    assert types_of([*found]) == ["user_message", "tool_return_message", "user_message"]
    assert listed(conversation, group_id=new_id("group")).items == []
    with pytest.raises(NotFoundError):
        listed(conversation, after=new_id("message"))


@pytest.mark.parametrize("where", ["conversation", "own thread"])
def test_a_preview_is_the_request_that_the_same_send_makes(
    client: Letta, server: Product, agent: AgentState, provider: FakeProvider, where: str
) -> None:
    path = f"/v1/agents/{agent.id}/messages"
    if where == "conversation":
        made = isolated(client, agent, "human", model=OTHER_HANDLE)
        path = f"/v1/conversations/{made['id']}/messages"
        client.blocks.update(made["isolated_block_ids"][0], value="Their name is Grace.")

    def post(path: str, **body: Any) -> Any:
        answer = httpx.post(server.url + path, json={"streaming": False, **body}, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    post(path, input=do(call("memory_insert", label="human", new_string="x"), say("so")))
    tool = {"name": "Bash", "description": "Run it.", "parameters": {"type": "object"}}
    body = {"input": "what next?", "client_tools": [tool]}
    asked = len(provider.requests)
    shown = post(f"{path}/preview-raw-payload", **body)
    assert len(provider.requests) == asked, "nothing is sent"
    assert "Bash" in [one["function"]["name"] for one in shown["tools"]]
    assert shown["messages"][-1] == {"role": "user", "content": "what next?"}
    post(path, **body)
    sent = deepcopy(provider.requests[-1])  # other tests look through what came in
    # The prompt was compiled anew for both, at two moments.
    for one in (shown, sent):
        one["messages"][0] = re.sub(r"recompiled: .*", "", one["messages"][0]["content"])
    assert shown == sent


def test_an_answer_to_an_approval_has_no_preview(server: Product, conversation: str) -> None:
    answer = {"type": "approval", "approvals": [approval("call_x")]}
    shown = httpx.post(
        f"{server.url}/v1/conversations/{conversation}/messages/preview-raw-payload",
        json={"messages": [answer]},
    )
    assert (shown.status_code, "no preview" in shown.text) == (400, True)


def test_nothing_to_send_is_422_and_an_unknown_model_404(client: Letta, conversation: str) -> None:
    with pytest.raises(APIStatusError) as failure:
        client.conversations.messages.create(conversation, messages=[])
    assert failure.value.status_code == 422
    with pytest.raises(NotFoundError, match="Handle"):
        speak(client, conversation, "hi", override_model="openai/nonsense")
    assert client.conversations.retrieve(conversation).last_message_at is None


def test_a_turn_of_the_legacy_loop_runs_in_a_conversation(client: Letta) -> None:
    agent = client.agents.create(
        model=HANDLE,
        agent_type="memgpt_v2_agent",
        memory_blocks=[{"label": "human", "value": "x"}],
    )
    conversation = client.conversations.create(agent_id=agent.id)
    assert len(conversation.in_context_message_ids or ()) == len(agent.message_ids or ()) > 1
    events = speak(client, conversation.id, "hello")
    assert "You said: hello" in [getattr(event, "content", None) for event in events]
