"""Sweeps of much: each looks at some of it, the next ones at the rest; failures keep nothing."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest
from google.protobuf.duration_pb2 import Duration
from letta_client.types import AgentState
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import (
    Client,
    DescribeWorkflowInput,
    Interceptor,
    OutboundInterceptor,
    SignalWorkflowInput,
    WorkflowExecutionDescription,
)
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from o.storage.database import Database
from o.temporal.namespace import ATTRIBUTES
from server.sweep.approvals import ApprovalSweeper
from server.sweep.runs import RunSweeper
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, FakeProvider
from tests.sweep.rows import lost_run, status_of

_MANY = 10_000
_A_SWEEP = 500
_COMPARED = 100
_SWEEPS_A_LOOK = 5
_FILL = """
SET session_replication_role = replica; -- nobody is told of these
INSERT INTO agents (id, organization_id, name, agent_type, system, model, context_window, timezone)
SELECT 'agent-many', id, 'many', 'letta_v1_agent', '', 'openai/x', 1000, 'UTC'
FROM organizations LIMIT 1;
INSERT INTO conversations (id, organization_id, agent_id, is_default)
SELECT 'a-' || n, organization_id, id, false
FROM agents, generate_series(1, {conversations}) AS n WHERE id = 'agent-many';
INSERT INTO runs (id, organization_id, agent_id, conversation_id, request_key, body_hash, status,
    created_at)
SELECT id || '-' || n, organization_id, agent_id, id, n, 'hash', 'created', now() + '{age}'
FROM conversations, generate_series(1, {runs}) AS n WHERE agent_id = 'agent-many';
"""


class CountingDescriptions(Interceptor):
    """Counts how often Temporal is asked how an execution stands, and what is signalled.

    Attributes:
        asked: How often for each execution.
        signalled: The same of signals.
        failing: Executions whose signals fail as if Temporal were away.
    """

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.signalled: Counter[str] = Counter()
        self.failing: set[str] = set()

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        asked, signalled, failing = self.asked, self.signalled, self.failing

        class Counting(OutboundInterceptor):
            async def signal_workflow(self, input: SignalWorkflowInput) -> None:
                signalled[input.id] += 1
                if input.id in failing:
                    raise RPCError("away", RPCStatusCode.UNAVAILABLE, b"")
                await super().signal_workflow(input)

            async def describe_workflow(
                self, input: DescribeWorkflowInput
            ) -> WorkflowExecutionDescription:
                asked[input.id] += 1
                return await super().describe_workflow(input)

        return Counting(next)


@pytest.fixture(scope="module")
def product(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product whose own sweeper rests."""
    env = {
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": provider.url,
        "O_SWEEP_INTERVAL_S": "3600",
        "O_WORKERS": "1",
    }
    product = Product(tmp_path_factory.mktemp("many") / "o", env)
    product.start()
    yield product
    product.stop()


@pytest.fixture
def agent(product: Product) -> AgentState:
    return product.client().agents.create(model=HANDLE)


@pytest.fixture
def descriptions() -> CountingDescriptions:
    return CountingDescriptions()


@pytest.fixture
async def sweeper(
    product: Product, descriptions: CountingDescriptions
) -> AsyncIterator[RunSweeper]:
    address = product.state["temporal_address"]
    temporal = await Client.connect(address, interceptors=[descriptions])
    database = Database(product.state["database_url"])
    yield RunSweeper(database, temporal, "o", older_than_s=1.0)
    await database.close()
    product.query("DELETE FROM agents WHERE id = 'agent-many'")


def read_so_far(product: Product) -> int:
    """Rows and index entries of runs that were read."""
    ((read,),) = product.query(
        "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'runs'"
    )
    return int(read)


async def start_all(temporal: Client, ids: set[str]) -> None:
    """Executions that have something in hand for ever: nobody polls their queue."""
    limit = asyncio.Semaphore(20)

    async def start(id_: str) -> None:
        async with limit:
            await temporal.start_workflow("Conversation", id=id_, task_queue="nobody")

    await asyncio.gather(*map(start, ids))


async def test_a_lost_run_behind_ten_thousand_is_found_and_no_sweep_reads_them_all(
    product: Product, agent: AgentState, sweeper: RunSweeper, descriptions: CountingDescriptions
) -> None:
    product.query(_FILL.format(conversations=_MANY, runs=1, age="1 hour") + "ANALYZE")
    run_id = lost_run(product, agent, "found me")
    rescued = 0
    sweeps = 0
    before = read_so_far(product)
    while not rescued:
        rescued = await sweeper.sweep()
        sweeps += 1
        assert sweeps <= _MANY / _A_SWEEP + 1
    assert sweeps > 1, "all were looked at in one sweep"
    assert sum(descriptions.asked.values()) == 1, "those that are not due are not asked for"
    eventually(lambda: status_of(product, run_id) == "completed", what="the lost run")
    eventually(lambda: read_so_far(product) > before, what="the statistics")
    assert (read_so_far(product) - before) / sweeps < _A_SWEEP * 5


async def test_a_sweep_asks_temporal_of_some_conversations_and_the_next_one_of_the_others(
    product: Product, sweeper: RunSweeper, descriptions: CountingDescriptions
) -> None:
    product.query(_FILL.format(conversations=_A_SWEEP + 50, runs=1, age="-1 hour"))
    ids = {id_ for (id_,) in product.query("SELECT id FROM conversations WHERE id LIKE 'a-%'")}
    address = product.state["temporal_address"]
    await start_all(await Client.connect(address), ids)
    await sweeper.sweep()
    assert len(descriptions.asked) == _A_SWEEP
    await sweeper.sweep()
    assert set(descriptions.asked) == ids
    assert set(descriptions.asked.values()) == {1}


async def test_a_run_whose_rescue_the_database_refuses_keeps_no_other(
    product: Product, agent: AgentState, sweeper: RunSweeper
) -> None:
    other = product.client().agents.create(model=HANDLE)
    bad, good = lost_run(product, agent, "bad"), lost_run(product, other, "good")
    product.query(
        f"""
        UPDATE runs SET options = (repeat('[', 300) || repeat(']', 300))::jsonb WHERE id = '{bad}';
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
        CREATE TRIGGER refusing BEFORE UPDATE ON runs FOR EACH ROW WHEN (NEW.id = '{bad}')
        EXECUTE FUNCTION refuse()
        """
    )
    try:
        assert await sweeper.sweep() == 1
    finally:
        product.query("DROP TRIGGER refusing ON runs")
    eventually(lambda: status_of(product, good) == "completed", what="the other")
    assert await sweeper.sweep() == 0, "the bad one is closed"
    assert status_of(product, bad) == "failed"


async def start_shown_waiting(temporal: Client, ids: set[str], queue: str) -> None:
    """Executions that Temporal shows to wait for an answer, and that nobody carries on."""
    status = SearchAttributePair(SearchAttributeKey.for_keyword("RunStatus"), "requires_approval")
    for id_ in ids:
        await temporal.start_workflow(
            "Conversation",
            id=id_,
            task_queue=queue,
            search_attributes=TypedSearchAttributes([status]),
        )
    while (await temporal.count_workflows(f"TaskQueue = '{queue}'")).count < len(ids):
        await asyncio.sleep(0.05)


async def test_what_temporal_shows_to_wait_is_compared_some_at_a_time_whatever_fails(
    product: Product, descriptions: CountingDescriptions
) -> None:
    ids = {f"shown-{n}" for n in range(_COMPARED + 20)}
    descriptions.failing |= {"shown-3", "shown-110"}
    address = product.state["temporal_address"]
    temporal = await Client.connect(address, interceptors=[descriptions])
    await start_shown_waiting(temporal, ids, "shown")
    database = Database(product.state["database_url"])
    sweeper = ApprovalSweeper(database, temporal, "shown", older_than_s=1.0)
    await sweeper.sweep_shown()
    assert len(descriptions.signalled) == _COMPARED
    for _ in range(_SWEEPS_A_LOOK):
        await sweeper.sweep_shown()
    await database.close()
    assert set(descriptions.signalled) == ids
    assert set(descriptions.signalled.values()) == {1}


async def test_why_temporal_takes_no_run_is_in_the_log_without_what_was_said(
    product: Product, agent: AgentState, caplog: pytest.LogCaptureFixture
) -> None:
    temporal = await Client.connect(product.state["temporal_address"], namespace="bare")
    await temporal.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace="bare", workflow_execution_retention_period=Duration(seconds=86_400)
        )
    )
    run_id = lost_run(product, agent, "a secret word")
    database = Database(product.state["database_url"])
    sweeper = RunSweeper(database, temporal, "o", older_than_s=1.0)
    try:
        async with asyncio.timeout(30):
            while not (told := _refused(caplog)):
                assert await sweeper.sweep() == 0
    finally:
        await database.close()
        product.query("DELETE FROM runs WHERE id = %s", run_id)
    assert vars(told[0])["error"] == "RPCError"
    # It names one of those that it lacks, whichever it comes upon first.
    assert any(name in vars(told[0])["reason"] for name in ATTRIBUTES)
    assert "a secret word" not in str(vars(told[0]))


def _refused(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What was said of runs that Temporal knew the namespace of, and did not take."""
    return [
        one
        for one in caplog.records
        if one.message == "conversation could not be rescued"
        and vars(one).get("status") == "INVALID_ARGUMENT"
    ]
