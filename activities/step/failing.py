"""What becomes of a step whose model does not answer: asked again, another model, or the end."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio.exceptions import ApplicationError

from activities.errors import model_failure, pause_before_retry
from activities.step.begin import StepToTake
from o.domain.fallbacks import also_falls_back, next_place, provider_of
from o.domain.runs import RunError
from o.domain.text import storable
from o.errors import ModelError
from o.storage.database import Database
from o.storage.provider_rests import end_rest, note_failure
from o.storage.turn.steps import record_failure, turn_to
from workflows.options import IMPATIENCE_S, MODEL_RETRIES


@dataclass(frozen=True)
class Patience:
    """How much is borne.

    Attributes:
        model_attempts: How often a model that is busy or down is asked in all.
        crash_attempts: How often a step may lose its worker.
        rest_conversations: After how many that find it busy or away a provider rests; 0 for
            never.
    """

    model_attempts: int = 3
    crash_attempts: int = 8
    rest_conversations: int = 5


def stored_error(error: ModelError) -> RunError:
    """An error as it is kept, with the provider's words."""
    return RunError(
        type=error.kind,
        message=storable(error.message),
        detail=storable(error.detail),
        status=error.status,
    )


async def after_failure(
    database: Database, step: StepToTake, error: ModelError, patience: Patience
) -> ApplicationError:
    """Keep what was met, and say what follows: for Temporal a retry, for the workflow the rest.

    The decision for another model is stored with the failure, so that whoever takes the step
    again, after the death of a worker or the loss of Temporal's history, goes on with that model.
    """
    async with database.begin() as connection:
        tries = await record_failure(connection, step.step_id, step.attempt, stored_error(error))
        if tries is None:  # closed meanwhile, or another attempt has begun: that one decides
            return model_failure(error.kind, error.status)
        pause = pause_before_retry(error, tries)
        is_retried = error.retryable and tries < patience.model_attempts
        place = _next_place(step, error)
        if place is not None and not (is_retried and pause.total_seconds() <= IMPATIENCE_S):
            model = step.choice.models[place]
            await turn_to(connection, step.step_id, place, model)
            failure = model_failure(error.kind, error.status, place, model)
        else:
            failure = model_failure(
                error.kind, error.status, retry_in=pause if is_retried else None
            )
    async with database.connect() as connection:
        await _note(connection, step, error, patience)
    return failure


async def after_no_beginning(database: Database, step_id: str, error: ModelError) -> None:
    """Keep why a step was given up before a model was asked, which ends its run."""
    async with database.connect() as connection:
        await record_failure(connection, step_id, None, stored_error(error))


async def after_success(database: Database, step: StepToTake) -> None:
    """The provider answers. Costs a statement only where failures of it are noted."""
    if step.choice.is_noted:
        async with database.connect() as connection:
            provider = provider_of(step.request.handle)
            await end_rest(connection, step.run.organization_id, provider)


def _next_place(step: StepToTake, error: ModelError) -> int | None:
    settings = step.agent.model_settings
    if not (MODEL_RETRIES[error.failure].falls_back or also_falls_back(settings, error.failure)):
        return None
    return next_place(step.choice.models, step.choice.place, step.choice.resting)


async def _note(
    connection: AsyncConnection, step: StepToTake, error: ModelError, patience: Patience
) -> None:
    """What the failure says of the provider as a whole."""
    provider = provider_of(step.request.handle)
    if MODEL_RETRIES[error.failure].rests and patience.rest_conversations > 0:
        await note_failure(
            connection,
            step.run.organization_id,
            provider,
            step.run.conversation_id,
            error,
            most=patience.rest_conversations,
            is_probe=step.choice.is_probe,
        )
    elif step.choice.is_probe:  # it answers, if only to refuse
        await end_rest(connection, step.run.organization_id, provider)
