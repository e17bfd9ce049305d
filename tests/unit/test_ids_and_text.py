"""Ids that clients accept, and text that the database accepts."""

import json
import uuid

from hypothesis import given
from hypothesis import strategies as st

from o.domain.text import storable, storable_json
from o.ids import derived_id, is_id, new_id, part_otid

any_text = st.text(st.characters())  # lone surrogates included


@given(st.lists(st.one_of(st.text(), st.integers()), min_size=1, max_size=3))
def test_derived_ids_are_valid_and_the_same_for_the_same_parts(parts: list[str | int]) -> None:
    made = derived_id("message", *parts)
    assert made == derived_id("message", *parts)
    assert is_id(made, "message")
    assert uuid.UUID(made.removeprefix("message-")).int & 0x7F == 0


def test_parts_with_other_borders_give_other_ids() -> None:
    assert derived_id("x", "ab", "c") != derived_id("x", "a", "bc")


@given(st.integers(0, 127))
def test_each_part_of_a_message_has_its_own_otid(part: int) -> None:
    message_id = new_id("message")
    number = uuid.UUID(part_otid(message_id, part)).int
    assert number - uuid.UUID(message_id.removeprefix("message-")).int == part


@given(any_text)
def test_storable_text_can_be_encoded_and_loses_nothing_else(text: str) -> None:
    made = storable(text)
    made.encode()
    assert "\0" not in made
    if "\0" not in text and not any(0xD800 <= ord(char) < 0xE000 for char in text):
        assert made == text


@given(
    st.recursive(
        any_text | st.integers() | st.none(), lambda s: st.lists(s) | st.dictionaries(any_text, s)
    )
)
def test_storable_json_reaches_every_string(value: object) -> None:
    json.dumps(storable_json(value), ensure_ascii=False).encode()
