"""How long an embedding model is left alone that has failed, and what is said of it."""

from o.errors import Failure, ModelError, OError, Unavailable
from workflows.options import FIRST_EMBEDDING_PAUSE_S, LONGEST_EMBEDDING_PAUSE_S


def pause_after(failures: int, error: OError) -> float:
    """Seconds for which the model is left alone: twice as long each time, or as long as it says.

    Args:
        failures: How often in a row it had failed before.
        error: How it fails now.
    """
    pause_s = min(FIRST_EMBEDDING_PAUSE_S * 2.0 ** min(failures, 16), LONGEST_EMBEDDING_PAUSE_S)
    asked_s = error.retry_after_s if isinstance(error, ModelError | Unavailable) else None
    return max(pause_s, asked_s or 0)


def problem_of(error: OError) -> str:
    """Why it fails, for people."""
    detail = error.detail if isinstance(error, ModelError) else ""
    return f"{error.message} {detail}".strip()[:2_000]


def unusable(handle: str, why: str) -> ModelError:
    """A model whose vectors are of no use."""
    return ModelError(
        "llm_error",
        f"The embedding model {handle} cannot be used: {why}.",
        status=502,
        failure=Failure.UNUSABLE,
    )
