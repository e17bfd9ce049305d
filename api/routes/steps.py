"""Steps as resources: list, retrieve, what they said and how long they took, feedback."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from api.bodies import messages_answer
from api.deps import ActorDep, ReadsDep, StepId, TransactionDep
from api.pagination import page_query
from api.times import moment
from api.wire.messages import V1_VIEW
from api.wire.shown import ShownMessage
from api.wire.steps import Feedback, FeedbackBody, StepBody, StepMetricsBody
from o.storage import steps as stored
from o.storage.history.messages import list_step_messages
from o.storage.pages import Page
from o.storage.steps import StepFilter

router = APIRouter(prefix="/steps", tags=["steps"])


async def _filter(
    start_date: str | None = None,
    end_date: str | None = None,
    model: str | None = None,
    agent_id: str | None = None,
    feedback: Feedback | None = None,
    has_feedback: bool | None = None,
    tags: Annotated[list[str] | None, Query()] = None,
) -> StepFilter:
    return StepFilter(
        agent_id=agent_id,
        model=model,
        since=moment(start_date),
        until=moment(end_date),
        feedback=feedback,
        has_feedback=has_feedback,
        tags=tags,
    )


@router.get("/", operation_id="list_steps", summary="List steps")
async def index(
    connection: ReadsDep,
    actor: ActorDep,
    only: Annotated[StepFilter, Depends(_filter)],
    page: Annotated[Page, Depends(page_query(limit=50))],
    trace_ids: Annotated[list[str] | None, Query()] = None,
    project_id: str | None = None,
) -> list[StepBody]:
    """Steps by the time they began, the newest first unless asked otherwise."""
    if trace_ids or project_id:
        return []  # no step has a trace or belongs to a project
    return [StepBody.of(step) for step in await stored.list_steps(connection, actor, only, page)]


@router.get("/{step_id}", operation_id="retrieve_step", summary="Retrieve a step")
async def retrieve(step_id: StepId, connection: ReadsDep, actor: ActorDep) -> StepBody:
    """One step."""
    return StepBody.of(await stored.find_step(connection, actor, step_id))


@router.get(
    "/{step_id}/messages",
    operation_id="list_messages_for_step",
    summary="List the messages of a step",
    response_model=list[ShownMessage],
)
async def messages(
    step_id: StepId,
    connection: ReadsDep,
    actor: ActorDep,
    page: Annotated[Page, Depends(page_query(limit=100, order="asc"))],
) -> Response:
    """The step's reply and the returns of its tool calls, oldest first."""
    await stored.find_step(connection, actor, step_id)
    found = await list_step_messages(connection, actor, step_id, page, says=V1_VIEW.speaking_tool)
    return messages_answer(found)


@router.get(
    "/{step_id}/metrics",
    operation_id="retrieve_metrics_for_step",
    summary="Retrieve how long a step took",
)
async def metrics(step_id: StepId, connection: ReadsDep, actor: ActorDep) -> StepMetricsBody:
    """How long the model and the tools took."""
    return StepMetricsBody.of(await stored.find_step_times(connection, actor, step_id))


@router.patch(
    "/{step_id}/feedback",
    operation_id="modify_feedback_for_step",
    summary="Give feedback on a step",
)
async def give_feedback(
    step_id: StepId, body: FeedbackBody, connection: TransactionDep, actor: ActorDep
) -> StepBody:
    """Keep what a person thinks of the step."""
    return StepBody.of(
        await stored.set_feedback(connection, actor, step_id, body.feedback, body.tags)
    )
