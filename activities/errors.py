"""What an activity raises for our errors: which are tried again, when, and which are final."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError

from o.errors import ModelError, OError, ProviderFull
from workflows.options import LONGEST_MODEL_PAUSE_S, MODEL_RETRIES

_LONGEST_WAIT_S = 10.0


@contextmanager
def as_activity_failure(*, asked: int = 1, model_attempts: int = 1) -> Iterator[None]:
    """Raise every `OError` as an `ApplicationError` of its name.

    The details of a model's error are what the API shows: V1's error type, the provider's words,
    the HTTP status. Other exceptions pass: they are a part that is away, and Temporal tries again.

    Args:
        asked: Which time it is that the model is asked. Temporal's own count does not do: it
            includes the times that there was no room to ask, or no database.
        model_attempts: How often a model that is busy or down is asked in all.
    """
    try:
        yield
    except ModelError as error:
        raise ApplicationError(
            error.message,
            error.kind,
            error.detail,
            error.status,
            type="ModelError",
            non_retryable=not (error.retryable and asked < model_attempts),
            next_retry_delay=pause_before_retry(error, asked),
        ) from None  # causes would carry the provider's whole answer into history
    except ProviderFull as error:
        raise ApplicationError(
            error.message, type="ProviderFull", next_retry_delay=_until_there_may_be_room()
        ) from None
    except OError as error:
        raise ApplicationError(
            error.message, type=type(error).__name__, non_retryable=not error.retryable
        ) from None


def pause_before_retry(error: ModelError, asked: int) -> timedelta:
    """How long to leave a provider alone: as long as it asks for, else longer each time.

    At random, so that those that failed together do not all come back together.

    Args:
        error: What came of the last request.
        asked: How many were made.
    """
    if error.retry_after_s is not None:
        return timedelta(seconds=error.retry_after_s + random.uniform(0, 0.25))  # noqa: S311
    first_s = MODEL_RETRIES[error.failure].first_pause_s
    pause_s = min(first_s * 2.0 ** min(asked - 1, 16), LONGEST_MODEL_PAUSE_S)
    return timedelta(seconds=pause_s * random.uniform(0.75, 1.25))  # noqa: S311


def _until_there_may_be_room() -> timedelta:
    """The longer something has waited, the longer: each look costs Temporal and the database.

    At random, so that those that came together do not all come back together.
    """
    longest_s = min(2.0 ** min(activity.info().attempt, 8), _LONGEST_WAIT_S)
    return timedelta(seconds=longest_s * random.uniform(0.5, 1.0))  # noqa: S311  no secret
