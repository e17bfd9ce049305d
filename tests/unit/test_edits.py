"""Edits of a block's text."""

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o.errors import ToolFailed
from o.memory.edits import LINE_NUMBER_BANNER, append, insert, replace, replace_all, rethink

lines = st.lists(st.text(st.characters(exclude_characters="\n\r\t→", codec="utf-8")), min_size=1)


@given(lines, st.data())
def test_an_insert_adds_its_lines_after_the_given_one_and_keeps_the_rest(
    old: list[str], data: st.DataObject
) -> None:
    value = "\n".join(old)
    place = data.draw(st.integers(0, len(old) if value else 0))
    result = insert(value, "new\nlines", place).split("\n")
    assert result[place : place + 2] == ["new", "lines"]
    assert result[:place] + result[place + 2 :] == (old if value else [])


def test_an_insert_ends_every_line_with_a_line_feed_alone() -> None:
    assert insert("a\r\nb", "c\r\nd", 1) == "a\nc\nd\nb"


def test_an_insert_without_a_line_goes_to_the_end() -> None:
    assert insert("a\nb", "c") == "a\nb\nc"
    assert insert("", "first") == "first"


@pytest.mark.parametrize("line", [-2, 3, 10**30])
def test_an_insert_outside_the_block_is_refused(line: int) -> None:
    with pytest.raises(ToolFailed, match="out of range"):
        insert("a\nb", "c", line)


@given(st.text(alphabet="ab\n", max_size=20), st.text(alphabet="xy", min_size=1), st.text("abxy"))
def test_a_replace_changes_the_one_occurrence_only(around: str, old: str, new: str) -> None:
    assert replace(f"{around}{old}{around}", old, new) == f"{around}{new}{around}"


@pytest.mark.parametrize(
    ("old", "problem"),
    [("zebra", "not found"), ("a ", "occurs 2 times"), ("", "empty"), ("1→ a", "line numbers")],
)
def test_a_replace_that_is_not_clear_is_refused(old: str, problem: str) -> None:
    with pytest.raises(ToolFailed, match=problem):
        replace("a cat\na dog", old, "x")


def test_tabs_count_as_spaces() -> None:
    assert replace("a\tb", "a       b", "c") == "c"


def test_lines_may_end_as_in_windows() -> None:
    assert replace("a\r\nb\r\nc", "a\nb", "d") == "d\nc"
    assert replace("a\nb", "a\r\nb", "c\r\nd") == "c\nd"
    assert insert("a\r\nb", "c\r\nd", 1) == "a\nc\nd\nb"


def test_an_append_starts_a_line_of_its_own() -> None:
    assert append("a", "b") == "a\nb"
    assert append("", "b") == "b"


def test_core_memory_is_replaced_wherever_it_stands() -> None:
    assert replace_all("a cat\na dog", "a ", "the ") == "the cat\nthe dog"
    for absent in ("zebra", ""):
        with pytest.raises(ToolFailed, match="was not found"):
            replace_all("a cat", absent, "x")


@pytest.mark.parametrize("text", ["1→ a", "a\n  12→b", f"{LINE_NUMBER_BANNER}\na"])
def test_every_edit_refuses_what_the_display_adds(text: str) -> None:
    edits: list[Callable[[], str]] = [
        lambda: append("a", text),
        lambda: insert("a", text),
        lambda: replace("a", "a", text),
        lambda: replace_all("a", "a", text),
        lambda: rethink(text),
    ]
    for edit in edits:
        with pytest.raises(ToolFailed, match="line numbers"):
            edit()


@pytest.mark.parametrize("text", ["\n" * 300_000, " " * 300_000, "1" * 300_000, "1\n" * 100_000])
def test_text_of_many_lines_and_blanks_is_looked_through_once(text: str) -> None:
    assert rethink(text) == text


@given(st.text(), st.text(), st.text())
def test_no_edit_raises_anything_but_a_refusal(value: str, old: str, new: str) -> None:
    for edit in (replace, replace_all):
        with contextlib.suppress(ToolFailed):
            edit(value, old, new)
    with contextlib.suppress(ToolFailed):
        assert append(value, new).endswith(new)
