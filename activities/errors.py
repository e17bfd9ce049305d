"""What an activity raises for our errors: which are tried again, when, and which are final.

Whatever is raised enters Temporal's history, also that of a try which is repeated. So none of it
holds words of a provider, or anything that was said: those are in the database.
"""

import logging
import random
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError, FailureError

from o.errors import ModelError, OError, ProviderFull, ProviderRests
from workflows.options import LONGEST_LOOK_S, LONGEST_MODEL_PAUSE_S, MODEL_RETRIES

_log = logging.getLogger(__name__)
_LONGEST_WAIT_S = 10.0
_SPREAD_S = 1.5


class AlreadyStarted(Exception):
    """Another attempt at what must not come twice has begun it, or nobody waits for it any more."""


@contextmanager
def as_activity_failure() -> Iterator[None]:
    """Raise every error as an `ApplicationError` of its name.

    What we raise on purpose says in our own words what was wrong. Anything else is a bug or a part
    that is away, which Temporal tries again: it is told where it happened, and no more.
    """
    try:
        yield
    except ModelError as error:
        raise model_failure(error.kind, error.status) from None
    except ProviderFull as error:
        raise _postponed(error, _until_there_may_be_room()) from None
    except ProviderRests as error:
        raise _postponed(error, _until_the_rest_may_be_over(error)) from None
    except OError as error:
        raise ApplicationError(
            error.message, type=type(error).__name__, non_retryable=not error.retryable
        ) from None
    except FailureError:
        raise
    except Exception as error:
        places = _places_of(error)
        facts = {"error": type(error).__name__, "at": " < ".join(places)}
        _log.warning("activity failed", extra=facts)
        raise ApplicationError(
            f"{type(error).__name__} at {places[0] if places else 'an unknown place'}",
            type=type(error).__name__,
        ) from None


def model_failure(
    kind: str, status: int, *next_model: int | str, retry_in: timedelta | None = None
) -> ApplicationError:
    """What the workflow learns of a model call that failed, as `workflows.turn` reads it.

    Args:
        kind: V1's error type.
        status: The HTTP status that the API answers.
        next_model: The place and the handle of the model to turn to, where there is one.
        retry_in: When the same model is asked again; None when it is not.
    """
    return ApplicationError(
        kind,
        kind,
        "",  # earlier releases put the provider's words here
        status,
        *next_model,
        type="ModelError",
        non_retryable=retry_in is None,
        next_retry_delay=retry_in,
    )


def pause_before_retry(error: ModelError, asked: int) -> timedelta:
    """How long to leave a model alone: as long as its provider asks for, else longer each time.

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


def _postponed(error: OError, wait: timedelta) -> ApplicationError:
    return ApplicationError(error.message, type=type(error).__name__, next_retry_delay=wait)


def _until_there_may_be_room() -> timedelta:
    """The longer something has waited, the longer: each look costs Temporal and the database.

    At random, so that those that came together do not all come back together.
    """
    longest_s = min(2.0 ** min(activity.info().attempt, 8), _LONGEST_WAIT_S)
    return timedelta(seconds=longest_s * random.uniform(0.5, 1.0))  # noqa: S311  no secret


def _until_the_rest_may_be_over(error: ProviderRests) -> timedelta:
    wait_s = min(max(error.wait_s, 0.1), LONGEST_LOOK_S)
    return timedelta(seconds=wait_s + random.uniform(0, _SPREAD_S))  # noqa: S311  no secret


def _places_of(error: Exception) -> list[str]:
    """Where an error was raised, and by whom that was called, innermost first."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename}:{frame.lineno}" for frame in reversed(frames)][:8]
