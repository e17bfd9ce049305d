"""Patches of memory blocks."""

import contextlib
import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o.errors import ToolFailed
from o.memory.patch import apply_hunks, sections_of

VALUE = "one\ntwo\nthree\nfour"
unique = st.lists(
    st.text(st.characters(codec="utf-8", categories=["L"]), min_size=1), max_size=12, unique=True
)


def patched(value: str, patch: str) -> str:
    (section,) = sections_of("x", patch)
    return apply_hunks(value, section.lines)


@given(unique, unique, st.integers(1, 3))
def test_a_diff_of_two_values_makes_one_of_the_other(
    old: list[str], new: list[str], context: int
) -> None:
    diff = "\n".join(difflib.unified_diff(old, new, "a", "b", lineterm="", n=context))
    if old == new:
        with pytest.raises(ToolFailed, match="changes nothing"):
            patched("\n".join(old), diff)
    elif old and all(hunk_is_anchored(hunk) for hunk in diff.split("@@")[2::2]):
        assert patched("\n".join(old), diff) == "\n".join(new)


def hunk_is_anchored(hunk: str) -> bool:
    return any(line[:1] in (" ", "-") for line in hunk.split("\n")[1:] if line)


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        (" one\n-two\n+2", "one\n2\nthree\nfour"),
        ("@@ -2,1 +2,1 @@\n-two\n+2", "one\n2\nthree\nfour"),
        ("--- a\n+++ b\n@@\n-one\n@@\n-four\n+4\n+5", "two\nthree\n4\n5"),
        ("+five", f"{VALUE}\nfive"),
        ("*** Begin Patch\n-two\n*** End Patch", "one\nthree\nfour"),
        ("-four\n\\ No newline at end of file\n+4", "one\ntwo\nthree\n4"),
        ("\n-one\n\n", "two\nthree\nfour"),
        ("```diff\n-one\n+1\n```\n", "1\ntwo\nthree\nfour"),
        ("*** Begin Patch\n*** Update File: x\n@@ two\n-two\n*** End Patch", "one\nthree\nfour"),
        (" one\r\n-two\r\n+2\r\n", "one\n2\nthree\nfour"),
        (" one  \n-two\t\n+2 \n three", "one\n2 \nthree\nfour"),
    ],
)
def test_hunks_are_applied_where_their_lines_stand(patch: str, expected: str) -> None:
    assert patched(VALUE, patch) == expected


@pytest.mark.parametrize(
    ("value", "patch", "problem"),
    [
        (VALUE, "-five\n+5", "was not found"),
        (VALUE, "-one\n-three", "was not found"),
        ("a\nb\na", "-a\n+c", "fits 2 places"),
        (VALUE, "two", "must start with"),
        (VALUE, "", "changes nothing"),
        (VALUE, "*** Update Block: \n-one", "names no block"),
        (VALUE, "words\n*** Delete Block: a", "before its first header"),
        (VALUE, "+1→ one", "line numbers"),
        (VALUE, "*** Delete Block: a\n" * 101, "101 sections"),
    ],
)
def test_a_patch_that_is_not_clear_is_refused(value: str, patch: str, problem: str) -> None:
    with pytest.raises(ToolFailed, match=problem):
        patched(value, patch)


def test_lines_that_stay_are_the_blocks_own_to_the_last_blank() -> None:
    assert patched("a  \nb \n\nc", " a\n-b\n+B\n\n c") == "a  \nB\n\nc"
    assert patched("a \nb\na", "-a\n+c") == "a \nb\nc", "what is exact goes first"
    with pytest.raises(ToolFailed, match="fits 2 places"):
        patched("a \nb\na  ", "-a\n+c")
    with pytest.raises(ToolFailed, match="was not found"):
        patched("  a", "-a\n+c")
    assert patched("a\r\nb\r\n", " a\n-b\n+c") == "a\nc\n"


def test_a_patch_of_several_blocks_has_a_section_for_each() -> None:
    patch = (
        "*** Begin Patch\n*** Add Block: plan\n+first\n+second\n\n*** Delete Block: old\n"
        "*** Update Block: human\n*** Move to: person\n@@\n-Ada\n+Grace\n*** End Patch"
    )
    add, delete, update = sections_of("ignored", patch)
    assert (add.kind, add.label, add.added_value) == ("add", "plan", "first\nsecond")
    assert (delete.kind, delete.label) == ("delete", "old")
    assert (update.kind, update.label, update.move_to) == ("update", "human", "person")
    assert apply_hunks("Ada", update.lines) == "Grace"


def lines_patched(value: str, hunks: list[tuple[list[str], list[str]]]) -> str | None:
    """What hunks make of a value, found line by line; None where one does not fit once."""
    present = value.split("\n") if value else []
    for old, new in hunks:
        places = [len(present)]
        if old:
            last = len(present) - len(old)
            places = [n for n in range(last + 1) if present[n : n + len(old)] == old]
        if len(places) != 1:
            return None
        present[places[0] : places[0] + len(old)] = new
    return "\n".join(present)


few = st.lists(st.sampled_from(["", "a", "b", "ab"]), max_size=3)  # nothing with blanks


@given(
    st.lists(st.sampled_from(["", "a", "b", "ab"]), max_size=6),
    st.lists(st.tuples(few, few).filter(lambda hunk: hunk[0] != hunk[1]), min_size=1, max_size=3),
)
def test_hunks_go_where_their_lines_stand_and_nowhere_else(
    value: list[str], hunks: list[tuple[list[str], list[str]]]
) -> None:
    patch = [
        line
        for old, new in hunks
        for line in ("@@", *(f"-{line}" for line in old), *(f"+{line}" for line in new))
    ]
    try:
        found: str | None = apply_hunks("\n".join(value), patch)
    except ToolFailed:
        found = None
    assert found == lines_patched("\n".join(value), hunks)


@pytest.mark.parametrize(
    ("value", "patch"),
    [
        ("\n" * 500_000, " \n" * 200_000 + "+x"),
        ("ab\n" * 200_000, " ab\n" * 100_000 + "-ac\n+x"),
        ("x\n" * 300_000, "@@\n-x\n+y\n" * 50_000),
        ("x\n" * 300_000, "@@\n+y\n" * 50_000),
    ],
    ids=["blank lines", "one line often", "many hunks", "many additions"],
)
def test_a_patch_and_a_block_of_very_many_lines_are_gone_through_once(
    value: str, patch: str
) -> None:
    with contextlib.suppress(ToolFailed):
        patched(value, patch)


def test_of_many_hunks_each_finds_its_place() -> None:
    value = "\n".join(f"line {n}" for n in range(100))
    patch = "".join(f"@@\n-line {n}\n+new {n}\n" for n in range(100))
    assert patched(value, patch) == value.replace("line", "new")
    with pytest.raises(ToolFailed, match="101 hunks"):
        patched(value, f"{patch}@@\n+x")


@given(st.text(st.sampled_from(" +-@*\nab")), st.text(st.sampled_from("ab\n")))
def test_no_patch_breaks_more_than_its_own_call(patch: str, value: str) -> None:
    with contextlib.suppress(ToolFailed):
        for section in sections_of("x", patch):
            assert isinstance(apply_hunks(value, section.lines), str)
