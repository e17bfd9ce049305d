"""What V1's bodies have in common: times, unknown fields, text from outside."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
)
from pydantic_core import to_json

from o.domain.json_bounds import check_json
from o.domain.text import storable, storable_json

MAX_ITEMS = 1_000
"""Things that one request may make or name: they become parameters of one SQL statement."""

MAX_JSON_BYTES = 1024 * 1024
"""What one field of free JSON (metadata, a schema, settings) may hold: lists show many of them."""


class RequestBody(BaseModel):
    """A body from a client: unknown fields are ignored, as V1 does, and text is made storable."""

    model_config = ConfigDict(extra="ignore", frozen=True)


def changed_columns(given: Mapping[str, Any], can_be_cleared: Collection[str]) -> dict[str, Any]:
    """Column to value, of what a change gives: null clears what may be absent, else nothing."""
    return {
        name: value for name, value in given.items() if value is not None or name in can_be_cleared
    }


def with_example(**fields: Any) -> ConfigDict:
    """Configuration of a body that `/docs` shows with these fields, ready to be sent."""
    return ConfigDict(json_schema_extra={"examples": [fields]})


def _entity_time(moment: datetime) -> str:
    return f"{_zoneless_time(moment)}Z"


EntityTime = Annotated[datetime, PlainSerializer(_entity_time, return_type=str)]
"""V1 shows the times of everything but messages in microseconds, with `Z`."""


def _zoneless_time(moment: datetime) -> str:
    # Half of what `strftime` costs, in bodies with many times.
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


ZonelessTime = Annotated[datetime, PlainSerializer(_zoneless_time, return_type=str)]
"""UTC in microseconds without a zone, as V1 shows `completed_at` of runs."""


def _storable(value: Any) -> Any:
    check_json(value)  # else making it storable may go too deep
    return storable_json(value)


def _small(value: dict[str, Any]) -> dict[str, Any]:
    if len(to_json(value)) > MAX_JSON_BYTES:
        raise ValueError(f"larger than {MAX_JSON_BYTES} bytes")
    return value


def _in_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("out of range") from None


Moment = Annotated[datetime, AfterValidator(_in_utc)]
"""A time from outside, of a year that it has in UTC too; without a zone it is UTC."""


def _exact(key: str) -> str:
    if storable(key) != key:
        raise ValueError("holds NUL or half a surrogate pair, which cannot be told from others")
    return key


Text = Annotated[str, BeforeValidator(_storable)]
Key = Annotated[str, AfterValidator(_exact)]
"""Text by which something is known again. Made storable it could become the key of another."""

_Item = TypeVar("_Item")
Several = Annotated[list[_Item], Field(max_length=MAX_ITEMS)]
"""What one request may name at once of a kind."""
Json = Annotated[dict[str, Any], BeforeValidator(_storable), AfterValidator(_small)]
"""An object of a client's own making: within bounds, and fit to be stored."""
