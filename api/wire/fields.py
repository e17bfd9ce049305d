"""What V1's bodies have in common: times, unknown fields, text from outside."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainSerializer

from o.domain.text import storable_json


class RequestBody(BaseModel):
    """A body from a client: unknown fields are ignored, as V1 does, and text is made storable."""

    model_config = ConfigDict(extra="ignore", frozen=True)


def _entity_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


EntityTime = Annotated[datetime, PlainSerializer(_entity_time, return_type=str)]
"""V1 shows the times of everything but messages in microseconds, with `Z`."""


def _zoneless_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


ZonelessTime = Annotated[datetime, PlainSerializer(_zoneless_time, return_type=str)]
"""UTC in microseconds without a zone, as V1 shows `completed_at` of runs."""


def _storable(value: Any) -> Any:
    try:
        return storable_json(value)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _in_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("out of range") from None


Moment = Annotated[datetime, AfterValidator(_in_utc)]
"""A time from outside, of a year that it has in UTC too; without a zone it is UTC."""

Text = Annotated[str, BeforeValidator(_storable)]
Json = Annotated[dict[str, Any], BeforeValidator(_storable)]
