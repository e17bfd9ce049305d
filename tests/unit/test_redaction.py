"""What a tool gives back holds no secret, however it is spelled and wherever it is cut."""

import json

import pytest

from o.tools.returns import Redaction

SECRET = 's3cr\u00e9t "token" of\nthe bank'
redaction = Redaction({"TOKEN": SECRET, "LONG": "x" * 100_000})


@pytest.mark.parametrize(
    "spelled", [SECRET, json.dumps(SECRET), json.dumps(SECRET, ensure_ascii=False), repr(SECRET)]
)
def test_a_secret_is_taken_out_however_it_is_spelled(spelled: str) -> None:
    shown = redaction.text(f"before {spelled} behind")
    assert "s3cr" not in shown
    assert shown.startswith("before ")
    assert shown.endswith(" behind")
    assert "[secret TOKEN]" in shown


@pytest.mark.parametrize("kept", [6, 10, len(SECRET) - 1])
@pytest.mark.parametrize("note", ["", "\n[NOTE: 70,000 bytes were printed; the rest is left out]"])
def test_a_secret_of_which_the_end_was_cut_off_is_taken_out(kept: int, note: str) -> None:
    shown = redaction.text(f"before {SECRET[:kept]}{note}")
    assert shown == f"before [secret TOKEN]{note}"


def test_what_only_begins_like_a_secret_stays() -> None:
    text = "s3cr\u00e9t ways are no secrets, and xxxxxx neither."
    assert redaction.text(text) == text


def test_a_text_full_of_beginnings_is_looked_through_at_once() -> None:
    text = "x" * 99_999 + "y"
    assert redaction.text(text * 3) == text * 3
