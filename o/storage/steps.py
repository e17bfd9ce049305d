"""Statements about steps as clients read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Select, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.messages import Role
from o.domain.steps import Step, StepTimes
from o.errors import NotFound
from o.storage.pages import Page, page_by_time
from o.storage.rows import columns_of, model_of, models_of
from o.storage.tables.core import agents, conversations, messages, runs, steps
from o.storage.tables.providers import providers


@dataclass(frozen=True)
class StepFilter:
    """Which steps a list shows; None of a field means any.

    Attributes:
        model: A handle, or its part behind the provider.
        since: Steps that began at that time or later.
        until: Steps that began before that time.
        tags: Steps that have one of these.
    """

    run_id: str | None = None
    agent_id: str | None = None
    model: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    feedback: str | None = None
    has_feedback: bool | None = None
    tags: Sequence[str] | None = None


async def find_step(connection: AsyncConnection, actor: Actor, step_id: str) -> Step:
    """The step by that id.

    Raises:
        NotFound: There is none for this actor, or its agent or conversation was deleted.
    """
    rows = await connection.execute(_visible(actor).where(steps.c.id == step_id))
    row = rows.mappings().one_or_none()
    if row is None:
        raise NotFound(f"Step with id {step_id} not found")
    return model_of(Step, row)


async def list_steps(
    connection: AsyncConnection, actor: Actor, only: StepFilter, page: Page
) -> list[Step]:
    """Steps by the time they began.

    Raises:
        NotFound: A cursor names no step of this actor.
    """
    statement = await page_by_time(connection, _filtered(_visible(actor), only), page, steps, actor)
    rows = await connection.execute(statement)
    return models_of(Step, rows.mappings().all())


async def find_step_times(connection: AsyncConnection, actor: Actor, step_id: str) -> StepTimes:
    """The step with what its tools took.

    Raises:
        NotFound: There is no such step for this actor.
    """
    step = await find_step(connection, actor, step_id)
    took_ns = messages.c.tool_return["duration_ns"].astext.cast(BigInteger)
    tools_ns = await connection.scalar(
        select(func.sum(took_ns).cast(BigInteger)).where(
            messages.c.step_id == step_id, messages.c.role == Role.TOOL
        )
    )
    return StepTimes(step=step, tools_ns=tools_ns)


async def set_feedback(
    connection: AsyncConnection,
    actor: Actor,
    step_id: str,
    feedback: str | None,
    tags: Sequence[str] | None,
) -> Step:
    """Keep what a person thinks of a step; `tags` None leaves the tags as they are.

    Raises:
        NotFound: There is no such step for this actor.
    """
    changes: dict[str, Any] = {"feedback": feedback}
    if tags is not None:
        changes["tags"] = list(tags)
    await connection.execute(
        update(steps)
        .where(steps.c.id == step_id, steps.c.organization_id == actor.organization_id)
        .values(changes)
    )
    return await find_step(connection, actor, step_id)


def _filtered(statement: Select[Any], only: StepFilter) -> Select[Any]:
    for column, value in (
        (steps.c.run_id, only.run_id),
        (steps.c.agent_id, only.agent_id),
        (steps.c.feedback, only.feedback),
    ):
        if value is not None:
            statement = statement.where(column == value)
    if only.model is not None:
        behind_provider = func.substr(steps.c.model, func.strpos(steps.c.model, "/") + 1)
        statement = statement.where(or_(steps.c.model == only.model, behind_provider == only.model))
    if only.since is not None:
        statement = statement.where(steps.c.created_at >= only.since)
    if only.until is not None:
        statement = statement.where(steps.c.created_at < only.until)
    if only.has_feedback is not None:
        statement = statement.where(steps.c.feedback.is_not(None) == only.has_feedback)
    if only.tags is not None:
        statement = statement.where(steps.c.tags.overlap(only.tags))
    return statement


def _visible(actor: Actor) -> Select[Any]:
    return (
        select(
            *columns_of(steps, Step),
            runs.c.status.label("run_status"),
            runs.c.steps_done.label("run_steps_done"),
            runs.c.stop_reason.label("run_stop_reason"),
            runs.c.error.label("run_error"),
            providers.c.id.label("provider_id"),
            providers.c.origin.label("provider_origin"),
        )
        .join(runs, runs.c.id == steps.c.run_id)
        .join(agents, agents.c.id == steps.c.agent_id)
        .join(conversations, conversations.c.id == runs.c.conversation_id)
        .outerjoin(  # by the name that was asked: a handle names whoever has it
            providers,
            (providers.c.organization_id == steps.c.organization_id)
            & (providers.c.name == func.split_part(steps.c.model, "/", 1)),
        )
        .where(
            steps.c.organization_id == actor.organization_id,
            agents.c.deleted_at.is_(None),
            conversations.c.deleted_at.is_(None),
        )
    )
