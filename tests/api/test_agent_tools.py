"""The tools of an agent through the official client: list, attach, detach."""

import pytest
from letta_client import APIStatusError, Letta
from letta_client.types import AgentState

from o.ids import new_id
from tests.support.provider import HANDLE, FakeProvider, call, do, say


def names(client: Letta, agent_id: str, **options: object) -> list[str | None]:
    return [tool.name for tool in client.agents.tools.list(agent_id, **options).items]  # type: ignore[arg-type]


def test_an_agents_tools_are_listed_in_both_orders_and_in_pages(
    client: Letta, agent: AgentState
) -> None:
    ascending = ["conversation_search", "memory_insert", "memory_replace"]
    assert names(client, agent.id, order="asc") == ascending
    assert names(client, agent.id) == ascending[::-1]
    paged = [tool.name for tool in client.agents.tools.list(agent.id, order="asc", limit=1)]
    assert paged == ascending


def test_a_tool_that_is_attached_is_the_models_until_it_is_detached(
    client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    other = client.agents.create(model=HANDLE, agent_type="sleeptime_agent")
    (rethink,) = [t for t in client.agents.tools.list(other.id) if t.name == "memory_rethink"]
    text = do(call("memory_rethink", label="human", new_memory="anew"), say("done"))

    def value() -> str:
        client.agents.messages.create(agent.id, input=text)
        return client.agents.blocks.retrieve("human", agent_id=agent.id).value

    before = value()
    assert before != "anew", "the agent has no such tool"
    for _ in range(2):  # the second time, nothing changes
        state = client.agents.tools.attach(rethink.id, agent_id=agent.id)
        assert state is not None
        assert [tool.name for tool in state.tools].count("memory_rethink") == 1
    assert value() == "anew"
    client.agents.blocks.update("human", agent_id=agent.id, value=before)
    for _ in range(2):
        state = client.agents.tools.detach(rethink.id, agent_id=agent.id)
        assert state is not None
        assert "memory_rethink" not in [tool.name for tool in state.tools]
    assert value() == before


def test_a_tool_or_an_agent_that_is_not_there_is_not_found(
    client: Letta, agent: AgentState
) -> None:
    known = client.agents.tools.list(agent.id).items[0].id
    for agent_id, tool_id in ((agent.id, new_id("tool")), (new_id("agent"), known)):
        for act in (client.agents.tools.attach, client.agents.tools.detach):
            with pytest.raises(APIStatusError) as failure:
                act(tool_id, agent_id=agent_id)
            assert failure.value.status_code == 404
