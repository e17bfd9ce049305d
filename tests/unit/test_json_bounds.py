"""Foreign JSON is held to one depth and one size, before it is parsed and after."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o.domain.json_bounds import (
    MAX_DEPTH,
    MAX_VALUES,
    JsonOutOfBounds,
    check_json,
    check_json_text,
    parse_json,
)


def nested(levels: int, kind: str = "[]") -> str:
    opening = "[" if kind == "[]" else '{"a":'
    return opening * levels + "1" + kind[1] * levels


def is_refused(text: str) -> bool:
    try:
        check_json_text(text)
    except JsonOutOfBounds:
        return True
    return False


def is_refused_parsed(value: Any) -> bool:
    try:
        check_json(value)
    except JsonOutOfBounds:
        return True
    return False


@pytest.mark.parametrize("kind", ["[]", "{}"])
def test_the_deepest_that_is_taken_is_the_bound_itself(kind: str) -> None:
    taken, refused = nested(MAX_DEPTH, kind), nested(MAX_DEPTH + 1, kind)
    assert not is_refused(taken)
    assert not is_refused_parsed(parse_json(taken))
    assert is_refused(refused)
    assert is_refused_parsed(json.loads(refused))


@pytest.mark.parametrize("one", ["1", "[]", "{}", '"a,b"'])
def test_there_is_a_bound_on_how_many_values_there_are(one: str) -> None:
    many = "[" + ",".join([one] * (MAX_VALUES + 1)) + "]"
    assert is_refused(many)
    assert is_refused_parsed(json.loads(many))
    few = "[" + ",".join([one] * (MAX_VALUES // 3)) + "]"
    assert not is_refused(few)
    assert not is_refused_parsed(json.loads(few))


def test_brackets_and_commas_within_strings_do_not_count() -> None:
    text = json.dumps({'k"\\[[': "[" * 300_000 + '\\"{' + "," * 300_000})
    assert not is_refused(text)
    assert not is_refused(json.dumps(["\ud800[" * 100], ensure_ascii=False))


def test_a_string_that_does_not_end_is_looked_at_once() -> None:
    began = time.process_time()
    check_json_text('["' + '\\"[' * 1_000_000)
    check_json_text('["' + '\\"[' * 1_000_000 + "\\")
    # Looking again from each quotation mark would take hours.
    assert time.process_time() - began < 20


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.sampled_from('[]{},"\\:a')),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=30,
)


@given(any_json, st.integers(0, MAX_DEPTH + 3), st.booleans())
def test_text_and_value_are_judged_alike(value: Any, wraps: int, ascii_only: bool) -> None:
    for _ in range(wraps):
        value = [value]
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert is_refused(text) == is_refused_parsed(value)


@pytest.mark.parametrize("text", ["", "[", nested(100_000), '{"a": ' + "9" * 5_000 + "}"])
def test_what_is_no_json_or_too_much_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_json(text)
