"""Times as clients write them."""

from datetime import UTC, datetime

from o.errors import InvalidArgument


def moment(text: str | None) -> datetime | None:
    """A time as ISO 8601 spells it; one without a zone is UTC, None is None.

    Raises:
        InvalidArgument: It is no time.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidArgument(f"INVALID_ARGUMENT: {text[:100]!r} is no ISO 8601 time") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
