"""Several tool calls in one reply: run at once where that is set, and never dropped."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from letta_client import Letta
from letta_client.types import AgentState
from temporalio.client import Client

from tests.support.product import Product
from tests.support.provider import HANDLE, FakeProvider, call, do, say, together, with_one_id

SEARCH = call("conversation_search", query="nothing")
INSERT = call("memory_insert", label="human", new_string="x")
DONE = say("done")


@pytest.fixture(autouse=True)
def nothing_wrong(provider: FakeProvider) -> Iterator[None]:
    """Every prompt is valid."""
    before = len(provider.problems)
    yield
    assert provider.problems[before:] == []


def make(client: Letta, *, parallel: bool | None, rules: Any = (), **fields: Any) -> AgentState:
    settings: dict[str, Any] = {"provider_type": "openai"}
    if parallel is not None:
        settings["parallel_tool_calls"] = parallel
    return client.agents.create(
        model=HANDLE,
        model_settings=settings,  # type: ignore[arg-type]
        memory_blocks=[{"label": "human", "value": ""}],
        tool_rules=rules,
        **fields,
    )


def send(client: Letta, agent: AgentState, *actions: Any) -> Any:
    return client.agents.messages.create(agent.id, input=do(*actions))


def returned(reply: Any) -> list[int]:
    """Which calls have returned, by their places in the reply, in the order of the returns."""
    (called,) = [m for m in reply.messages if m.message_type == "tool_call_message"]
    places = [call.tool_call_id for call in called.tool_calls]
    returns = [m for m in reply.messages if m.message_type == "tool_return_message"]
    return [places.index(m.tool_call_id) for m in returns]


async def most_tools_at_once(server: Product, agent: AgentState) -> int:
    """How many tool calls were under way together, as Temporal tells."""
    ((conversation_id,),) = server.query(
        "SELECT id FROM conversations WHERE agent_id = %s", agent.id
    )
    client = await Client.connect(server.state["temporal_address"])
    history = await client.get_workflow_handle(conversation_id).fetch_history()
    tools: set[int] = set()
    most = 0
    for event in history.events:
        scheduled = event.activity_task_scheduled_event_attributes
        if scheduled.activity_type.name == "run_tool":
            tools.add(event.event_id)
        tools.discard(event.activity_task_completed_event_attributes.scheduled_event_id)
        most = max(most, len(tools))
    return most


def test_searches_run_at_once_and_each_is_committed_once(
    server: Product, client: Letta, provider: FakeProvider
) -> None:
    agent = make(client, parallel=True)
    reply = send(client, agent, together(SEARCH, SEARCH, SEARCH), DONE)
    assert asyncio.run(most_tools_at_once(server, agent)) == 3
    assert sorted(returned(reply)) == [0, 1, 2]
    ((stored,),) = server.query(
        "SELECT count(*) FROM messages WHERE agent_id = %s AND role = 'tool'", agent.id
    )
    assert stored == 3
    assert reply.messages[-1].content == "done"
    assert provider.requests[-1]["parallel_tool_calls"] is True
    listed = client.agents.messages.list(agent.id).items
    assert [m.id for m in listed[2:]] == [m.id for m in reply.messages]


def test_a_tool_that_changes_something_runs_alone(server: Product, client: Letta) -> None:
    agent = make(client, parallel=True)
    reply = send(client, agent, together(SEARCH, SEARCH, INSERT, INSERT), DONE)
    assert asyncio.run(most_tools_at_once(server, agent)) == 2
    assert sorted(returned(reply)[:2]) == [0, 1]
    assert returned(reply)[2:] == [2, 3]
    assert client.agents.blocks.retrieve("human", agent_id=agent.id).value == "x\nx"


@pytest.mark.parametrize(
    ("parallel", "rules", "asked"),
    [
        (None, [], False),
        (False, [], False),
        (True, [{"type": "continue_loop", "tool_name": "memory_insert"}], False),
        (True, [{"type": "requires_approval", "tool_name": "memory_replace"}], True),
    ],
)
def test_calls_that_the_model_was_not_to_make_at_once_run_one_after_the_other(
    server: Product,
    client: Letta,
    provider: FakeProvider,
    parallel: bool | None,
    rules: Any,
    asked: bool,
) -> None:
    agent = make(client, parallel=parallel, rules=rules)
    reply = send(client, agent, together(SEARCH, SEARCH), DONE)
    assert provider.requests[-1]["parallel_tool_calls"] is asked
    assert asyncio.run(most_tools_at_once(server, agent)) == (2 if asked else 1)
    assert sorted(returned(reply)) == [0, 1]


def test_calls_to_which_the_model_gave_one_id_run_at_once_and_are_told_apart(
    server: Product, client: Letta
) -> None:
    agent = make(client, parallel=True)
    reply = send(client, agent, with_one_id(together(SEARCH, SEARCH)), DONE)
    assert asyncio.run(most_tools_at_once(server, agent)) == 2
    assert sorted(returned(reply)) == [0, 1]


def test_an_agent_without_tools_is_told_nothing_about_parallel_calls(
    client: Letta, provider: FakeProvider
) -> None:
    agent = make(client, parallel=True, include_base_tools=False)
    send(client, agent, DONE)
    assert "parallel_tool_calls" not in provider.requests[-1]


def test_what_is_set_is_what_is_shown(client: Letta) -> None:
    for parallel in (None, True, False):
        agent = make(client, parallel=parallel)
        shown: Any = client.agents.retrieve(agent.id).to_dict()
        assert shown["model_settings"]["parallel_tool_calls"] is bool(parallel)
    tools = {tool.name: tool for tool in client.agents.tools.list(agent.id)}
    assert tools["conversation_search"].enable_parallel_execution is True
    assert tools["memory_insert"].enable_parallel_execution is False
