"""Differences between two texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o.errors import ToolFailed
from o.memory import diff
from o.memory.diff import unified_diff
from o.memory.patch import apply_hunks

NAMES = ("version 1", "version 2")
texts = st.lists(st.sampled_from(["", "a", "b", "c", " a", "-a", "@@"]), max_size=12).map("\n".join)


def rebuilt(old: str, shown: str) -> str:
    """What a reader makes of a difference, going by the numbers of its lines."""
    before, after, at = old.split("\n") if old else [], list[str](), 0
    for line in shown.split("\n")[2:]:
        if line.startswith("@@ "):
            start, _, count = line.split()[1][1:].partition(",")
            first = int(start) - (count != "0")
            after += before[at:first]
            at = first
        elif line.startswith("+"):
            after.append(line[1:])
        else:
            assert before[at] == line[1:]
            at += 1
            if line.startswith(" "):
                after.append(line[1:])
    return "\n".join(after + before[at:])


@given(texts, texts, st.integers(0, 3))
def test_a_difference_makes_one_of_the_other(old: str, new: str, context: int) -> None:
    found = unified_diff(old, new, names=NAMES, context=context)
    assert found.is_exact
    assert (found.text == "") == (old == new)
    assert rebuilt(old, found.text) == new


@given(texts, texts)
def test_a_difference_that_is_not_exact_is_right_too(old: str, new: str) -> None:
    with pytest.MonkeyPatch.context() as patching:
        patching.setattr(diff, "_MOST_PAIRS", -1)
        assert rebuilt(old, unified_diff(old, new, names=NAMES).text) == new


@pytest.mark.parametrize(
    ("old", "new", "hunks"),
    [
        ("", "a", ["@@ -0,0 +1 @@", "+a"]),
        ("a", "", ["@@ -1 +0,0 @@", "-a"]),
        ("a\nb", "a\nb\n", ["@@ -1,2 +1,3 @@", " a", " b", "+"]),
        ("a\rb", "a\u2028b", ["@@ -1 +1 @@", "-a\rb", "+a\u2028b"]),
    ],
)
def test_lines_end_at_line_feeds_alone(old: str, new: str, hunks: list[str]) -> None:
    assert unified_diff(old, new, names=NAMES).text.split("\n")[2:] == hunks


def test_a_patch_takes_a_difference() -> None:
    old = "\n".join(f"line {n}" for n in range(50))
    new = old.replace("line 7\n", "").replace("line 30", "other")
    shown = unified_diff(old, new, names=NAMES).text
    assert apply_hunks(old, shown.split("\n")) == new
    with pytest.raises(ToolFailed):
        apply_hunks(new, shown.split("\n"))


def test_long_texts_are_compared_where_they_differ_and_no_further() -> None:
    lines = [str(n) for n in range(200_000)]
    changed = [*lines[:100_000], "here", *lines[100_001:]]
    found = unified_diff("\n".join(lines), "\n".join(changed), names=NAMES, context=0)
    assert found.is_exact
    assert found.text.split("\n")[2:] == ["@@ -100001 +100001 @@", "-100000", "+here"]
    both_ends = ["here", *lines[1:-1], "there"]
    found = unified_diff("\n".join(lines), "\n".join(both_ends), names=NAMES)
    assert not found.is_exact
    assert found.text.count("\n") == 400_002
