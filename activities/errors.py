"""Our errors as Temporal's: what may be tried again and what is final."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError

from o.errors import ModelError, OError


@contextmanager
def as_activity_failure(*, model_attempts: int = 1) -> Iterator[None]:
    """Raise every `OError` as an `ApplicationError` of its name.

    A model that is busy or down is asked `model_attempts` times in all. The details of a model's
    error are what the API shows: V1's error type, the provider's words, the HTTP status.
    Other exceptions pass: they are a part that is away, and Temporal tries again.
    """
    try:
        yield
    except ModelError as error:
        attempt = activity.info().attempt
        pause_s = error.retry_after_s or 0.25 * 2 ** min(attempt, 6)
        raise ApplicationError(
            error.message,
            error.kind,
            error.detail,
            error.status,
            type="ModelError",
            non_retryable=not (error.retryable and attempt < model_attempts),
            next_retry_delay=timedelta(seconds=min(pause_s, 30.0)),
        ) from None  # causes would carry the provider's whole answer into history
    except OError as error:
        raise ApplicationError(
            error.message, type=type(error).__name__, non_retryable=not error.retryable
        ) from None
