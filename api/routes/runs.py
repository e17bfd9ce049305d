"""Runs as resources: list, retrieve, what they said and cost, delete."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from api.bodies import messages_answer
from api.deps import ActorDep, ReadsDep, RunId, TransactionDep
from api.pagination import page_query
from api.wire.messages import MessageView
from api.wire.runs import RunBody, RunMetricsBody, RunUsageBody, StopReasonName
from api.wire.shown import ShownMessage
from api.wire.steps import StepBody
from o.domain.runs import RunStatus
from o.storage import runs as stored
from o.storage.history.messages import list_run_messages
from o.storage.pages import Page
from o.storage.runs import RunFilter
from o.storage.steps import StepFilter, list_steps

router = APIRouter(prefix="/runs", tags=["runs"])


async def _filter(
    agent_id: str | None = None,
    agent_ids: Annotated[list[str] | None, Query()] = None,
    statuses: Annotated[list[RunStatus] | None, Query()] = None,
    background: bool | None = None,
    stop_reason: StopReasonName | None = None,
    conversation_id: str | None = None,
    active: bool = False,
) -> RunFilter:
    return RunFilter(
        agent_ids=[agent_id] if agent_id is not None else agent_ids,
        statuses=statuses,
        active=active,
        background=background,
        stop_reason=stop_reason,
        conversation_id=conversation_id,
    )


@router.get("/", operation_id="list_runs", summary="List runs")
async def index(
    connection: ReadsDep,
    actor: ActorDep,
    only: Annotated[RunFilter, Depends(_filter)],
    page: Annotated[Page, Depends(page_query(limit=100, most=1_000))],
) -> list[RunBody]:
    """Runs by the time they were asked for, the newest first unless asked otherwise."""
    return [RunBody.of(run) for run in await stored.list_runs(connection, actor, only, page)]


@router.get(
    "/active",
    operation_id="list_active_runs",
    summary="List the runs that are open",
    deprecated=True,
)
async def active(
    connection: ReadsDep,
    actor: ActorDep,
    agent_id: str | None = None,
    background: bool | None = None,
) -> list[RunBody]:
    """The newest runs that are open: the older way to ask for `active=true`."""
    agents = None if agent_id is None else [agent_id]
    only = RunFilter(agent_ids=agents, background=background, active=True)
    found = await stored.list_runs(connection, actor, only, Page(limit=1_000))
    return [RunBody.of(run) for run in found]


@router.get("/{run_id}", operation_id="retrieve_run", summary="Retrieve a run")
async def retrieve(run_id: RunId, connection: ReadsDep, actor: ActorDep) -> RunBody:
    """One run."""
    return RunBody.of(await stored.find_run(connection, actor, run_id))


@router.delete("/{run_id}", operation_id="delete_run", summary="Delete a run")
async def delete(run_id: RunId, connection: TransactionDep, actor: ActorDep) -> RunBody:
    """Delete a run that is finished, with its steps; its messages stay. 409 while it is open."""
    return RunBody.of(await stored.delete_run(connection, actor, run_id))


@router.get(
    "/{run_id}/messages",
    operation_id="list_messages_for_run",
    summary="List the messages of a run",
    response_model=list[ShownMessage],
)
async def messages(
    run_id: RunId,
    connection: ReadsDep,
    actor: ActorDep,
    page: Annotated[Page, Depends(page_query(limit=100, order="asc"))],
) -> Response:
    """What the run added to history, the user's message included, oldest first.

    They are shown as the run's request asked: only of its `include_return_message_types`.
    """
    run = await stored.find_run(connection, actor, run_id)
    config = run.options.request_config
    view = replace(MessageView.of(config), compaction="stored")
    types = config.include_return_message_types
    found = await list_run_messages(
        connection, actor, run_id, page, types=types, says=view.speaking_tool
    )
    return messages_answer(found, view=view, types=types)


@router.get(
    "/{run_id}/usage",
    operation_id="retrieve_usage_for_run",
    summary="Retrieve what a run cost in tokens",
)
async def usage(run_id: RunId, connection: ReadsDep, actor: ActorDep) -> RunUsageBody:
    """Tokens, summed over the run's steps."""
    return RunUsageBody.of((await stored.find_run(connection, actor, run_id)).usage)


@router.get(
    "/{run_id}/metrics",
    operation_id="retrieve_metrics_for_run",
    summary="Retrieve how long a run took",
)
async def metrics(run_id: RunId, connection: ReadsDep, actor: ActorDep) -> RunMetricsBody:
    """How long the run took, in how many steps, with which tools."""
    run = await stored.find_run(connection, actor, run_id)
    return RunMetricsBody.of(run, await stored.tools_used(connection, run_id))


@router.get("/{run_id}/steps", operation_id="list_steps_for_run", summary="List the steps of a run")
async def steps(
    run_id: RunId,
    connection: ReadsDep,
    actor: ActorDep,
    page: Annotated[Page, Depends(page_query(limit=100))],
) -> list[StepBody]:
    """The run's steps, the newest first unless asked otherwise."""
    await stored.find_run(connection, actor, run_id)
    found = await list_steps(connection, actor, StepFilter(run_id=run_id), page)
    return [StepBody.of(step) for step in found]
