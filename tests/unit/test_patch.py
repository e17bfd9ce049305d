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
    ],
)
def test_a_patch_that_is_not_clear_is_refused(value: str, patch: str, problem: str) -> None:
    with pytest.raises(ToolFailed, match=problem):
        patched(value, patch)


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


@given(st.text(st.sampled_from(" +-@*\nab")), st.text(st.sampled_from("ab\n")))
def test_no_patch_breaks_more_than_its_own_call(patch: str, value: str) -> None:
    with contextlib.suppress(ToolFailed):
        for section in sections_of("x", patch):
            assert isinstance(apply_hunks(value, section.lines), str)
