"""How long providers ask to be left alone, as they write it."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from o.llm.pauses import LONGEST_PAUSE_S, pause_s

_NOW = datetime(2026, 11, 26, 8, 0, tzinfo=UTC)
_DATE = {"date": format_datetime(_NOW, usegmt=True)}


def at(seconds: float) -> datetime:
    return _NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": " 2 "}, 2),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "30s"}, 30),
        ({"retry-after": "86400"}, LONGEST_PAUSE_S),
        ({"retry-after": "1e999"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": format_datetime(at(20), usegmt=True)} | _DATE, 20),
        ({"retry-after": format_datetime(at(-20), usegmt=True)} | _DATE, 0),
        ({"retry-after": "Thu, 26 Nov 2026 08:00:05 +0000"} | _DATE, 5),
        ({"x-ratelimit-reset-requests": "6ms", "x-ratelimit-remaining-requests": "0"}, 0.006),
        ({"x-ratelimit-reset-tokens": "7.66s", "x-ratelimit-remaining-tokens": "0"}, 7.66),
        ({"x-ratelimit-reset-tokens": "1m2.5s", "x-ratelimit-remaining-tokens": "0"}, 60),
        ({"x-ratelimit-reset-tokens": "0m12.5s"}, 12.5),
        (
            {
                "x-ratelimit-reset-requests": "2m59.56s",
                "x-ratelimit-remaining-requests": "14370",
                "x-ratelimit-reset-tokens": "3s",
                "x-ratelimit-remaining-tokens": "0",
            },
            3,
        ),
        ({"x-ratelimit-reset-requests": "9s", "x-ratelimit-reset-tokens": "4s"}, 4),
        ({"x-ratelimit-reset": str(int(at(12).timestamp()))} | _DATE, 12),
        ({"X-RateLimit-Reset": str(int(at(12).timestamp() * 1000))} | _DATE, 12),
        ({"anthropic-ratelimit-tokens-reset": at(9).isoformat().replace("+00:00", "Z")} | _DATE, 9),
        ({"x-ratelimit-reset-tokens": "0", "x-ratelimit-remaining-tokens": "-1"}, 0),
        ({}, None),
    ],
)
def test_a_pause_is_read_from_the_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert pause_s(headers) == (None if seconds is None else pytest.approx(seconds, abs=1e-6))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Rate limit reached. Please try again in 4.77s. Visit …", 4.77),
        ("Please try again in 9m38.016s. Need more?", LONGEST_PAUSE_S),
        ("Please try again in 6ms.", 0.006),
        ("Please retry after 26 seconds.", 26),
        ("Please retry after 1 minute.", 60),
        ('{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}', 34),
        ("Please retry in 12.3s.", 12.3),
        ("please try again.", None),
    ],
)
def test_a_pause_is_read_from_the_words_of_a_limit(text: str, seconds: float | None) -> None:
    assert pause_s({}, text) == (None if seconds is None else pytest.approx(seconds))
    assert pause_s({"retry-after": "2"}, text) == 2, "what the headers ask for goes first"


def test_limits_that_are_not_met_ask_for_nothing() -> None:
    """OpenAI and Groq send them with every answer, also with that of a broken server."""
    headers = {"x-ratelimit-reset-requests": "20s"}
    assert pause_s(headers, limited=False) is None
    assert pause_s(headers | {"retry-after": "2"}, limited=False) == 2
