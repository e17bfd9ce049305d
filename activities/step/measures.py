"""What is measured of a model call, for those who watch the server."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from o.domain.llm import DeltaSink, ReplyDelta
from o.domain.runs import Usage
from o.errors import ModelError, OError, ProviderFull
from o.metrics.measures import FIRST_TOKEN_S, PART_S, model_called, tokens_used
from o.tracing import span


@contextmanager
def measured(model: str) -> Iterator[None]:
    """Count and trace the call of a model in the block, and note how long it takes if it answers.

    One that is cancelled, or that finds no room at its provider, was none.
    """
    began_s = time.monotonic()
    try:
        with span("model call", model=model):
            yield
    except ProviderFull:
        raise
    except ModelError as error:
        model_called(error.failure)
        raise
    except OError:
        model_called("other")
        raise
    model_called("ok")
    PART_S.labels("model").observe(time.monotonic() - began_s)


def first_piece_timed(write: DeltaSink) -> DeltaSink:
    """`write`, which notes how long the first piece of a reply has been waited for."""
    began_s = time.monotonic()
    has_come = False

    async def timed(delta: ReplyDelta) -> None:
        nonlocal has_come
        if not has_come:
            has_come = True
            FIRST_TOKEN_S.observe(time.monotonic() - began_s)
        await write(delta)

    return timed


def count_tokens(usage: Usage) -> None:
    """Count what a reply has cost, whatever becomes of it."""
    tokens_used(
        prompt=usage.prompt_tokens,
        completion=usage.completion_tokens,
        cached=usage.cached_input_tokens,
        reasoning=usage.reasoning_tokens,
    )
