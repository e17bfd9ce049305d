"""Whose turn is first: what has begun, else an answer to an approval request, else the oldest."""

from contextlib import suppress

import httpx
from letta_client.types import AgentState

from o.domain.runs import RunClosed, StopReason, Usage
from o.ids import new_id
from o.metrics.measures import REGISTRY
from o.storage.database import Database
from o.storage.turn.runs import advance_run, first_open_run, list_runs_in_line
from tests.support.product import Product


def open_run(
    server: Product, agent: AgentState, minutes: int, *, answers: str | None = None
) -> str:
    """A run that is too young for the sweeper: made some minutes from now."""
    run_id = new_id("run")
    server.query(
        "INSERT INTO runs (id, organization_id, agent_id, conversation_id, request_key, body_hash, "
        "status, created_at, approval_id) "
        "SELECT %s, organization_id, agent_id, id, %s, 'hash', 'created', "
        "now() + make_interval(mins => %s), %s FROM conversations WHERE agent_id = %s",
        run_id,
        run_id,
        minutes,
        answers,
        agent.id,
    )
    return run_id


def in_the_way(server: Product, agent: AgentState) -> str:
    """The run that a request which does not want to wait is told of."""
    body = {"input": "hi", "busy_policy": "reject"}
    refused = httpx.post(f"{server.url}/v1/agents/{agent.id}/messages", json=body, timeout=30)
    assert refused.status_code == 409
    return str(refused.json()["run_id"])


async def test_everybody_goes_by_the_same_order(server: Product, agent: AgentState) -> None:
    oldest = open_run(server, agent, 10)
    answer = open_run(server, agent, 30, answers="message-x")
    begun = open_run(server, agent, 20)
    ((thread_id,),) = server.query("SELECT id FROM conversations WHERE agent_id = %s", agent.id)
    database = Database(server.state["database_url"])
    async with database.connect() as connection:
        for expected in ([answer, oldest, begun], [begun, answer, oldest]):
            first = await first_open_run(connection, thread_id)
            line, _ = await list_runs_in_line(connection, thread_id, limit=10)
            assert [one.run.id for one in line] == expected
            assert first is not None
            assert first.run.id == in_the_way(server, agent) == expected[0]
            server.query("UPDATE runs SET status = 'running' WHERE id = %s", begun)
    await database.close()
    server.query("DELETE FROM runs WHERE agent_id = %s", agent.id)


async def test_a_turn_is_counted_once_its_end_is_written_for_good(
    server: Product, agent: AgentState
) -> None:
    run_id = open_run(server, agent, 10)
    closed = RunClosed(stop_reason=StopReason.CANCELLED, usage=Usage())
    database = Database(server.state["database_url"])
    before = counted(closed)
    for is_lost in (True, False):
        with suppress(ConnectionError):
            async with database.begin() as connection:
                assert await advance_run(connection, run_id, events=1, closed=closed)
                assert counted(closed) == before
                if is_lost:
                    raise ConnectionError
        assert counted(closed) == before + (0 if is_lost else 1)
    await database.close()
    server.query("DELETE FROM runs WHERE agent_id = %s", agent.id)


def counted(closed: RunClosed) -> float:
    """How many turns this process has seen end so."""
    labels = {"outcome": closed.stop_reason.value}
    return REGISTRY.get_sample_value("o_turns_total", labels) or 0.0
