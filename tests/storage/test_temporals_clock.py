"""Who polls Temporal is known by Temporal's clock, and by nobody where that does not show."""

from datetime import datetime, timedelta, tzinfo

import pytest
from letta_client import Letta
from letta_client.types import AgentState
from temporalio.client import Client

from api.measures import Measures
from api.readiness import Readiness
from o.errors import Conflict
from o.ids import new_id
from o.settings.all import Settings
from o.storage.database import Database
from o.temporal import queues
from o.temporal.queues import POLL_S, find_queue
from server.backup import temporal as backup
from tests.support.product import Product


@pytest.fixture
async def temporal(server: Product) -> Client:
    return await Client.connect(server.state["temporal_address"], identity=new_id("looks"))


def set_clock(monkeypatch: pytest.MonkeyPatch, ahead_s: float) -> None:
    """Have this process look at queues by a clock that is ahead, or behind."""

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(seconds=ahead_s)

    monkeypatch.setattr(queues, "datetime", Wrong)


async def askers(temporal: Client) -> set[str]:
    """Who has polled the queue by which Temporal tells the time."""
    told = await queues._describe(temporal, "o-clock", queues._KINDS[-1], timeout_s=10)
    return {one.identity for one in told.pollers}


async def test_a_clock_that_is_seconds_behind_has_nobody_ask_temporal_for_the_time(
    client: Letta, agent: AgentState, temporal: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.agents.messages.create(agent.id, input="hello")  # workers have polled just now
    set_clock(monkeypatch, -4)
    before = await askers(temporal)
    found = await find_queue(temporal, "o", timeout_s=10)
    assert found is not None
    assert found.workers is not None
    assert len(found.workers) == 2
    assert all(0 <= silent_s < POLL_S for silent_s in found.workers.values())
    assert await askers(temporal) <= before


@pytest.mark.parametrize("ahead_s", [-3600, 3600])
async def test_whoever_looks_by_a_wrong_clock_is_one_poller_however_often(
    temporal: Client, monkeypatch: pytest.MonkeyPatch, ahead_s: float
) -> None:
    set_clock(monkeypatch, ahead_s)
    before = await askers(temporal)
    for _ in range(3):
        found = await find_queue(temporal, "o", timeout_s=20)
        assert found is not None
        assert found.workers is not None
        assert len(found.workers) == 2
        assert all(0 <= silent_s < POLL_S for silent_s in found.workers.values())
    assert await askers(temporal) - before == {temporal.identity}


async def test_nothing_is_said_of_workers_where_no_clock_is_known(
    server: Product, temporal: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Temporal's time does not show soon enough here."""
    set_clock(monkeypatch, 3600)
    monkeypatch.setattr(queues, "_LOOK_AGAIN_S", 60)
    monkeypatch.setattr(backup, "_PATIENCE_S", 2.0)
    database = Database(server.state["database_url"], name="looks")
    try:
        found = await Readiness(database, temporal, "o").look()
        told = await Measures(database, temporal, "o").text()
    finally:
        await database.close()
    assert (found.workers, found.longest_wait_s) == ("unknown", 0)
    assert "o_oldest_task_seconds" in told
    assert "o_workers" not in told
    with pytest.raises(Conflict, match="does not tell who polls the task queue o"):
        await backup.end_executions(
            Settings(temporal_address=str(server.state["temporal_address"])), despite_workers=False
        )
