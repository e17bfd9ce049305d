"""The models that an agent turns to when its own does not answer: `model_settings` says which."""

from collections.abc import Collection, Sequence
from typing import Any

from o.errors import Failure

FALLBACK_MODELS = "fallback_models"
"""Handles, in the order in which they are asked after the agent's own model."""

FALLBACK_ALSO_ON = "fallback_also_on"
"""Failures that are about what is asked, and for which another model may be asked all the same."""

MAX_FALLBACKS = 5
OPTIONAL_FALLBACKS = (Failure.CONTEXT_WINDOW, Failure.CONTENT_FILTER, Failure.BAD_REQUEST)
"""What `FALLBACK_ALSO_ON` may name."""


def models_in_turn(handle: str, settings: dict[str, Any]) -> list[str]:
    """The models that a step may ask: the first, then those it falls back to.

    What is stored is taken as far as it makes sense: it may have been stored by another release.
    """
    named = settings.get(FALLBACK_MODELS)
    others = named if isinstance(named, list) else []
    return [handle, *(other for other in others[:MAX_FALLBACKS] if _is_handle(other))]


def _is_handle(value: Any) -> bool:
    return isinstance(value, str) and "/" in value


def next_place(models: Sequence[str], place: int, resting: Collection[str]) -> int | None:
    """The place of the model to ask after the one at `place`; None when none is left.

    Args:
        models: In turn.
        place: Of the one that was asked, or was to be.
        resting: Names of providers that are left alone now.
    """
    asked = set(models[: place + 1])
    for later in range(place + 1, len(models)):
        if models[later] not in asked and provider_of(models[later]) not in resting:
            return later
    return None


def also_falls_back(settings: dict[str, Any], failure: Failure) -> bool:
    """Whether another model is to be asked although the failure is about what was asked."""
    also = settings.get(FALLBACK_ALSO_ON)
    return isinstance(also, list) and failure in OPTIONAL_FALLBACKS and failure in also


def settings_for(settings: dict[str, Any], place: int) -> dict[str, Any]:
    """What a model is called with: without what is O's own, and what names another provider."""
    left_out = (
        (FALLBACK_MODELS, FALLBACK_ALSO_ON, "provider_type")
        if place
        else (FALLBACK_MODELS, FALLBACK_ALSO_ON)
    )
    return {name: value for name, value in settings.items() if name not in left_out}


def provider_of(handle: str) -> str:
    """The name of a handle's provider."""
    return handle.partition("/")[0]
