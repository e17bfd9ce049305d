"""How long a provider asks to be left alone, in the many ways in which providers say it."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_PAUSE_S = 60.0
"""Who asks for more is asked again after this: an account may have been raised meanwhile."""

_UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|d|h|m|s)")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|us|µs|d|h|m|s))+")
# "Please try again in 9m38.016s.", "Please retry after 26 seconds."; Google's "retryDelay": "34s".
_IN_WORDS = re.compile(
    r"(?:try again|retry)\s*(?:in|after)\s*:?\s*(\d+(?:\.\d+)?)\s*(seconds?|minutes?)\b"
    r"|(?:try again|retry)\s*(?:in|after)\s*:?\s*((?:\d+(?:\.\d+)?(?:ms|h|m|s))+)"
    r"|\"retryDelay\"\s*:\s*\"([\d.]+s)\"",
    re.IGNORECASE,
)
_EPOCH_S = 1_000_000_000.0  # what is larger is a point in time, not a span


def pause_s(headers: Mapping[str, str], text: str = "", *, limited: bool = True) -> float | None:
    """Seconds to wait, at most a minute; None where the answer does not say.

    Args:
        headers: Of the answer.
        text: Its body.
        limited: Whether it says that a limit was met, so that the times at which limits are
            renewed count.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    found = _asked_for(lower)
    if found is None and limited:
        found = _said(text)
        found = _renewed(lower) if found is None else found
    return None if found is None else max(0.0, min(LONGEST_PAUSE_S, found))


def forbids_retry(headers: Mapping[str, str]) -> bool:
    """Whether the provider says that asking again is of no use (OpenAI, Anthropic)."""
    lower = {name.lower(): value for name, value in headers.items()}
    return lower.get("x-should-retry", "").strip().lower() == "false"


def _asked_for(headers: Mapping[str, str]) -> float | None:
    if (milliseconds := _number(headers.get("retry-after-ms", ""))) is not None:
        return milliseconds / 1_000
    value = headers.get("retry-after", "").strip()
    seconds = _span(value, headers)
    return _until_date(value, headers) if seconds is None else seconds


def _renewed(headers: Mapping[str, str]) -> float | None:
    """When the limits that are used up are renewed; the soonest one where none is said to be."""
    used_up: list[float] = []
    others: list[float] = []
    for name, value in headers.items():
        if "ratelimit" not in name or "reset" not in name:
            continue
        seconds = _span(value.strip(), headers)
        seconds = _until_date(value.strip(), headers) if seconds is None else seconds
        if seconds is None or seconds < 0:
            continue
        remaining = _number(headers.get(name.replace("reset", "remaining"), ""))
        (used_up if remaining is not None and remaining <= 0 else others).append(seconds)
    if used_up:
        return max(used_up)
    others = [seconds for seconds in others if seconds > 0]
    return min(others) if others else None


def _span(value: str, headers: Mapping[str, str]) -> float | None:
    """Seconds of `12`, `1.5`, `1m2.5s`, `6ms`, or up to a time since 1970 in (milli)seconds."""
    number = _number(value)
    if number is None:
        if not _DURATION.fullmatch(value):
            return None
        return sum(float(amount) * _UNITS[unit] for amount, unit in _PART.findall(value))
    if number < _EPOCH_S:
        return number
    since_1970 = number / 1_000 if number > _EPOCH_S * 1_000 else number
    return since_1970 - _now(headers).timestamp()


def _until_date(value: str, headers: Mapping[str, str]) -> float | None:
    """Seconds up to an HTTP date, or a date as Anthropic writes it."""
    when = _date(value)
    return None if when is None else (when - _now(headers)).total_seconds()


def _now(headers: Mapping[str, str]) -> datetime:
    """The provider's own time, where it says it: its clock may be another one."""
    return _date(headers.get("date", "")) or datetime.now(UTC)


def _date(value: str) -> datetime | None:
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            when = read(value)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        return when if when.tzinfo else when.replace(tzinfo=UTC)
    return None


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _said(text: str) -> float | None:
    found = _IN_WORDS.search(text[:8_000])
    if found is None:
        return None
    amount, unit, duration, delay = found.groups()
    if amount is not None:
        return float(amount) * (60 if unit.lower().startswith("minute") else 1)
    return sum(float(n) * _UNITS[u] for n, u in _PART.findall((duration or delay).lower()))
