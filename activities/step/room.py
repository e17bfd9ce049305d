"""Whether a step's prompt has room in its context window, before it is sent and after."""

from activities.step.begin import StepToTake
from o.domain.fallbacks import also_falls_back, next_place
from o.errors import SYSTEM_PROMPT_OVERFLOW, Failure, ModelError
from o.memory.compaction import FULL_SHARE
from o.memory.tokens import message_tokens, tools_tokens
from o.storage.database import Database
from o.storage.turn.opening import uncount_attempt
from workflows.contract import StepOutcome, StepRef
from workflows.options import COMPACTIONS

# Counting errs high where a model's own tokens are not known.
_SURELY_TOO_LONG = 1.25


async def room_first(database: Database, begun: StepToTake, step: StepRef) -> StepOutcome | None:
    """What the workflow is told of a step whose prompt leaves too little room; None to go on.

    Its attempt is taken back: no model was asked.

    Raises:
        ModelError: The system prompt and the tools alone take more than the context window.
    """
    window = begun.agent.context_window
    if begun.size.tokens <= FULL_SHARE * window:
        return None
    if _head_tokens(begun) > _SURELY_TOO_LONG * window:
        raise _overflow(begun)
    if step.compactions >= COMPACTIONS:
        return None
    async with database.connect() as connection:
        await uncount_attempt(connection, begun.step_id, begun.attempt)
    return StepOutcome(step.index, compact=True, tokens=begun.size.tokens)


def room_after(begun: StepToTake, step: StepRef, error: ModelError) -> StepOutcome | None:
    """The same of a step whose prompt its provider has found too long; None where that is final.

    An agent that is to turn to another model then does so instead.
    """
    if error.failure is not Failure.CONTEXT_WINDOW:
        return None
    choice = begun.choice
    if also_falls_back(begun.agent.model_settings, error.failure) and (
        next_place(choice.models, choice.place, choice.resting) is not None
    ):
        return None
    if step.compactions >= COMPACTIONS:
        return None
    return StepOutcome(step.index, compact=True, tokens=begun.size.tokens, refused=True)


def _head_tokens(begun: StepToTake) -> int:
    """What the system prompt and the tools take of the window."""
    request, size = begun.request, begun.size
    head = sum(map(message_tokens, request.prompt[:1])) + tools_tokens(request.tools)
    return round(head * size.tokens / max(1, size.estimated))


def _overflow(begun: StepToTake) -> ModelError:
    window = begun.agent.context_window
    return ModelError(
        SYSTEM_PROMPT_OVERFLOW,
        f"The system prompt and the tools take about {_head_tokens(begun)} tokens, and the "
        f"context window has {window}. Shorten the instructions or the memory blocks, detach "
        "tools, or set a larger context_window_limit.",
        status=400,
        failure=Failure.CONTEXT_WINDOW,
    )
