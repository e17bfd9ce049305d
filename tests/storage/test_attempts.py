"""Two workers at one step: one was taken for dead, and is not."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from letta_client.types import AgentState

from o.domain.llm import ReplyDelta
from o.domain.messages import Message, Role, TextPart, reply_message_id
from o.domain.runs import Run, RunClosed, StopReason, Usage
from o.ids import derived_id, new_id
from o.storage.database import Database
from o.storage.turn.committing import Reply, commit_reply
from o.storage.turn.events import add_deltas, list_events
from o.storage.turn.opening import Mark, OpenStep, open_step
from tests.support.product import Product


class Step:
    """The first step of a run that no workflow knows of."""

    def __init__(self, server: Product, agent: AgentState, database: Database) -> None:
        self.run_id = new_id("run")
        self.id = derived_id("step", self.run_id, 0)
        self._database = database
        server.query(
            "INSERT INTO runs (id, organization_id, agent_id, conversation_id, request_key, "
            "body_hash, status, created_at, input) "
            "SELECT %s, organization_id, agent_id, id, 'key', 'hash', 'created', "
            "now() + interval '1 hour', "  # too young for the sweeper
            '\'[{"role": "user", "parts": [{"type": "text", "text": "hi"}]}]\' '
            "FROM conversations WHERE agent_id = %s",
            self.run_id,
            agent.id,
        )

    async def begin(self) -> OpenStep:
        async with self._database.connect() as connection:
            opened = await open_step(connection, self.run_id, 0, self.id, Mark())
        assert opened is not None
        return opened

    async def write(self, attempt: int) -> None:
        piece = ReplyDelta(kind="text", text=f"attempt {attempt}")
        message_id = reply_message_id(self.id, attempt)
        async with self._database.connect() as connection:
            await add_deltas(connection, self.run_id, attempt, message_id, self.id, [piece])

    async def commit(self, run: Run, attempt: int) -> bool:
        message = Message(
            id=reply_message_id(self.id, attempt),
            organization_id=run.organization_id,
            agent_id=run.agent_id,
            conversation_id=run.conversation_id,
            run_id=run.id,
            step_id=self.id,
            position=0,
            role=Role.ASSISTANT,
            parts=[TextPart(text=f"attempt {attempt}")],
            created_at=datetime.now(UTC),
        )
        reply = Reply(
            index=0,
            step_id=self.id,
            attempt=attempt,
            model="openai/scripted",
            message=message,
            heartbeat=None,
            finish_reason="stop",
            usage=Usage(),
            run_usage=Usage(),
            model_started_ns=0,
            model_ns=0,
            closed=RunClosed(stop_reason=StopReason.END_TURN, usage=Usage()),
        )
        async with self._database.connect() as connection:
            return await commit_reply(connection, run, reply)

    async def log(self) -> list[tuple[int, str]]:
        async with self._database.connect() as connection:
            events = await list_events(connection, self.run_id)
        return [(event.attempt, event.kind.value) for event in events]


@pytest.fixture
async def step(server: Product, agent: AgentState) -> AsyncIterator[Step]:
    database = Database(server.state["database_url"])
    yield Step(server, agent, database)
    await database.close()


async def test_nothing_of_an_attempt_is_taken_once_the_next_has_begun(step: Step) -> None:
    await step.begin()
    await step.write(1)
    run = (await step.begin()).run
    await step.write(1)
    assert not await step.commit(run, 1)
    await step.write(2)
    await step.write(1)
    assert await step.log() == [(1, "delta"), (2, "delta")]
    assert await step.commit(run, 2)
    assert await step.log() == [(1, "delta"), (2, "delta"), (2, "message"), (2, "closed")]


async def test_nothing_is_taken_of_a_step_that_is_committed(step: Step) -> None:
    run = (await step.begin()).run
    assert await step.commit(run, 1)
    await step.write(1)
    assert not await step.commit(run, 1)
    assert await step.log() == [(1, "message"), (1, "closed")]
