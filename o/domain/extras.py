"""What a provider adds to a reply beside what all of them say, and wants back with it."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic_core import to_json

from o.domain.json_bounds import JsonOutOfBounds, check_json
from o.domain.text import storable_json

MAX_EXTRAS_BYTES = 256 * 1024
"""Of one reply, as JSON; the longest that were seen are a tenth of it."""


class Extras(BaseModel):
    """Signatures, encrypted reasoning and the like. They go back to who gave them, and nobody else.

    Attributes:
        model: The handle of the model that gave them.
        fields: Of the reply, by the names that they have on its wire.
        calls: Of each of its calls, in order; there may be fewer than calls.
        thought_in: The field in which its reasoning stood, empty where it had none. The reasoning
            itself is a part of the message.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    fields: dict[str, Any] = {}
    calls: list[dict[str, Any]] = []
    thought_in: str = ""

    @property
    def names(self) -> list[str]:
        """Of all fields, without what they hold."""
        return sorted({*self.fields, *(name for call in self.calls for name in call)})

    def go_to(self, model: str) -> bool:
        """Whether a model may be shown them: one of the same maker at the same provider."""
        return maker_of(model) == maker_of(self.model)


def maker_of(handle: str) -> str:
    """The provider that a handle names, and who made the model, where its id begins with that.

    Gateways serve models of many makers, who do not read each other's signatures.
    """
    return handle.rpartition("/")[0]


def extras_to_store(
    model: str, fields: dict[str, Any], calls: Sequence[dict[str, Any]], thought_in: str
) -> tuple[Extras | None, list[str]]:
    """Extras as they are kept, None where there are none, and the names of what is not kept.

    What is out of bounds is foreign JSON that nobody needs so large; the reply stands without it.
    """
    found = Extras(
        model=model,
        fields=storable_json(fields),
        calls=storable_json(list(calls)) if any(calls) else [],
        thought_in=thought_in,
    )
    dropped: list[str] = []
    if found.names and not _is_in_bounds([found.fields, found.calls]):
        dropped = found.names
        found = Extras(model=model, thought_in=thought_in)
    is_empty = not found.names and not thought_in
    return None if is_empty and not dropped else found, dropped


def _is_in_bounds(value: Any) -> bool:
    try:
        check_json(value)
    except JsonOutOfBounds:
        return False
    return len(to_json(value)) <= MAX_EXTRAS_BYTES
