"""A worker that dies around a tool call of the legacy loop costs nothing."""

from collections.abc import Iterator

import pytest
from letta_client.types import AgentState

from tests.chaos.killing import KillableProduct, Sending
from tests.support.provider import HANDLE, FakeProvider, call, do, say

pytestmark = pytest.mark.chaos

EDIT = call("core_memory_append", thinking="Worth keeping.", label="notes", content="once")
TURN = do(EDIT, say("done"))


@pytest.fixture(scope="module")
def product(
    provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KillableProduct]:
    product = KillableProduct(tmp_path_factory.mktemp("legacy") / "o", provider)
    product.start()
    yield product
    product.stop()


@pytest.fixture
def agent(product: KillableProduct) -> AgentState:
    return product.client().agents.create(
        agent_type="memgpt_agent",
        model=HANDLE,
        memory_blocks=[{"label": "notes", "value": ""}],
    )


@pytest.mark.parametrize("point", ["tool-committed-0", "tool-committed-1"])
def test_a_worker_that_dies_behind_the_commit_of_a_return_repeats_nothing(
    product: KillableProduct, provider: FakeProvider, agent: AgentState, point: str
) -> None:
    """Behind the first commit there is a heartbeat, behind the second the end of the run."""
    asked, problems = provider.asked(TURN), len(provider.problems)
    with product.stopped_at(point) as reached:
        sending = Sending(product, agent, TURN)
        product.kill_one("worker", reached())
    reply = sending.reply()
    assert [m.message_type for m in reply.messages] == [
        "reasoning_message",
        "tool_call_message",
        "tool_return_message",
        "reasoning_message",
        "assistant_message",
    ]
    assert provider.asked(TURN) - asked == 2
    assert provider.problems[problems:] == []
    rows = product.query(
        "SELECT role FROM messages WHERE agent_id = %s AND position > 3 ORDER BY position",
        agent.id,
    )
    expected = ["user", "assistant", "tool", "user", "assistant", "tool"]
    assert [role for (role,) in rows] == expected
    assert product.query(
        "SELECT value, version FROM blocks b JOIN agent_blocks a ON a.block_id = b.id "
        "WHERE a.agent_id = %s",
        agent.id,
    ) == [("once", 2)]
    assert product.query("SELECT status, stop_reason FROM runs WHERE agent_id = %s", agent.id) == [
        ("completed", "end_turn")
    ]
    assert product.query(
        "SELECT count(*) FROM run_events e JOIN runs r ON r.id = e.run_id "
        "WHERE r.agent_id = %s AND e.kind = 'closed'",
        agent.id,
    ) == [(1,)]
    assert Sending(product, agent, "still there?").reply().messages[-1].content
