"""Runs that are gone because they are old: messages stay, what was used is counted."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from letta_client import Letta, NotFoundError

from o.storage.database import Database
from o.storage.old_rows import Place, purge_runs
from o.storage.organizations.users import add_organization
from server.sweep.stray_approvals import StrayApprovalSweeper
from tests.support.approvals import answer, approval, ask, guarded_agent, request_of
from tests.support.product import Product
from tests.support.provider import HANDLE


def used_by(client: Letta) -> Any:
    params = {"group_by": "agent", "start": "2026-01-01", "end": "2100-01-01"}
    return client.get("/v1/usage", cast_to=object, options={"params": params})


async def test_a_conversation_goes_on_when_its_old_runs_are_gone(
    server: Product, client: Letta
) -> None:
    database = Database(server.state["database_url"])
    async with database.begin() as connection:
        actor = await add_organization(connection, "of old runs", datetime.now(UTC))
    theirs = client.with_options(default_headers={"user_id": actor.user_id})
    agent = theirs.agents.create(model=HANDLE, memory_blocks=[])
    for text in ("first", "second", "third"):
        theirs.agents.messages.create(agent.id, input=text)
    guarded = guarded_agent(theirs)
    request = request_of(ask(theirs, guarded))
    before = theirs.agents.messages.list(agent.id, order="asc").items
    used = used_by(theirs)
    old = theirs.runs.list(agent_id=agent.id, order="asc").items
    async with database.begin() as connection:
        purged = await purge_runs(
            connection,
            actor.organization_id,
            kept=timedelta(0),
            after=Place(),
            limit=100,
        )
    await database.close()
    assert (purged.looked_at, purged.gone) == (4, 2), "what waits stays, and the newest of each"
    assert [run.id for run in theirs.runs.list(agent_id=agent.id).items] == [old[-1].id]
    with pytest.raises(NotFoundError):
        theirs.runs.retrieve(old[0].id)
    with pytest.raises(NotFoundError):
        theirs.runs.messages.list(old[0].id)
    page = theirs.runs.list(agent_id=agent.id, order="asc", after=old[0].id).items
    assert [run.id for run in page] == [old[-1].id], "a list goes on behind one that is gone"
    assert theirs.agents.messages.list(agent.id, order="asc").items == before
    assert used_by(theirs) == used
    again = theirs.agents.messages.create(agent.id, input="fourth")
    assert again.messages[-1].content == "You said: fourth"
    answer(theirs, guarded, approval(request.tool_call.tool_call_id))
    assert theirs.agents.messages.create(guarded.id, input="hello").messages


async def test_decided_requests_go_whose_runs_were_deleted_before_they_went_with_them(
    server: Product, client: Letta
) -> None:
    """As releases have left them that deleted the run alone."""

    def requests_of(agent_id: str) -> list[str]:
        found = server.query("SELECT id FROM approvals WHERE agent_id = %s", agent_id)
        return [id_ for (id_,) in found]

    stray, kept, pending = (guarded_agent(client) for _ in range(3))
    for agent in (stray, kept, pending):
        request = request_of(ask(client, agent))
        if agent is not pending:
            answer(client, agent, approval(request.tool_call.tool_call_id))
    for agent in (stray, pending):
        server.query(
            "DELETE FROM runs WHERE id IN (SELECT run_id FROM approvals WHERE agent_id = %s)",
            agent.id,
        )
    before = [requests_of(agent.id) for agent in (kept, pending)]
    database = Database(server.state["database_url"])
    assert await StrayApprovalSweeper(database).sweep() >= 1
    await database.close()
    assert requests_of(stray.id) == []
    assert [requests_of(agent.id) for agent in (kept, pending)] == before
    client.agents.delete(pending.id)
