"""An error as clients of OpenAI's API read it: one text."""

import pytest

from api.wire.answers import error_words


@pytest.mark.parametrize(
    ("message", "detail", "said"),
    [
        ("It failed: the connection was refused.", "the connection was refused", None),
        ("It answered with status 500.", "overloaded", "It answered with status 500. overloaded"),
        ("It failed.", "", None),
        ("It failed.", None, None),
        (None, "why", "why"),
    ],
)
def test_an_error_says_a_thing_once(
    message: str | None, detail: str | None, said: str | None
) -> None:
    assert error_words(message, detail) == (said or message)
