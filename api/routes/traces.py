"""Traces: what was asked of a provider and what it answered, where that is kept (`O_TRACES`)."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.deps import ActorDep, ReadsDep, RunId, StepId
from api.wire.traces import ProviderTraceBody
from o.storage.runs import find_run
from o.storage.step_traces import get_step_trace, list_run_traces
from o.storage.steps import find_step

router = APIRouter()


@router.get(
    "/steps/{step_id}/trace",
    operation_id="retrieve_trace_for_step",
    summary="Retrieve the trace of a step",
    tags=["steps"],
)
async def of_step(
    step_id: StepId, connection: ReadsDep, actor: ActorDep
) -> ProviderTraceBody | None:
    """What was asked of the provider and what it answered; null where it is not kept."""
    await find_step(connection, actor, step_id)
    trace = await get_step_trace(connection, actor, step_id)
    return ProviderTraceBody.of(trace) if trace else None


@router.get(
    "/telemetry/{step_id}",
    operation_id="retrieve_provider_trace",
    summary="Retrieve the trace of a step, the older way",
    tags=["telemetry"],
    deprecated=True,
)
async def of_step_as_before(
    step_id: StepId, connection: ReadsDep, actor: ActorDep
) -> ProviderTraceBody | None:
    """The older way to ask for the trace of a step."""
    return await of_step(step_id, connection, actor)


@router.get(
    "/runs/{run_id}/trace",
    operation_id="retrieve_trace_for_run",
    summary="Retrieve the traces of a run",
    tags=["runs"],
)
async def of_run(
    run_id: RunId,
    connection: ReadsDep,
    actor: ActorDep,
    limit: Annotated[int, Query(ge=1, le=5_000)] = 1_000,
) -> list[ProviderTraceBody]:
    """The traces of the run's steps, in order, as far as they are kept; 16 MB of them at most."""
    await find_run(connection, actor, run_id)
    found = await list_run_traces(connection, actor, run_id, limit=limit)
    return [ProviderTraceBody.of(trace) for trace in found]
