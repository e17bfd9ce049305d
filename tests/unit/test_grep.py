"""What `grep_files` finds, in whatever pieces a text comes."""

import time

import pytest

from o.errors import ToolFailed
from o.tools.grep import FileSearch, grep_report
from o.tools.patterns import NamePattern, line_pattern

ZOO = "Zebras have stripes.\n" * 60 + "The secret animal is the okapi.\n"


def search(
    text: str, pattern: str, *, piece: int = 500_000, context: int = 1, skip: int = 0
) -> FileSearch:
    found = FileSearch(line_pattern(pattern).regex, context=context, skip=skip)
    pieces = [text[at : at + piece] for at in range(0, len(text), piece)] or [""]
    for place, one in enumerate(pieces, start=1):
        found.feed(one, is_last=place == len(pieces))
    return found


def lines(found: FileSearch) -> list[tuple[int, str]]:
    return [(match.number, match.line) for match in found.matches]


def test_a_match_is_told_as_v1_tells_it() -> None:
    found = search(ZOO, "okapi")
    assert grep_report([("Handbook/zoo.txt", found)], pattern="okapi", offset=0) == (
        "Found 1 total matches across 1 files (showing matches 1-1 of 1)\n" + "=" * 80 + "\n\n"
        "Files with matches:\n  - Handbook/zoo.txt: 1 matches\n\n\n=== Handbook/zoo.txt:61 ===\n"
        "  60: Zebras have stripes.\n> 61: The secret animal is the okapi.\n\n"
        "No more matches to show."
    )


@pytest.mark.parametrize("piece", [1, 2, 7, 21, 1_000])
def test_pieces_make_no_difference(piece: int) -> None:
    text = "".join(f"line {n}\r\n" for n in range(1, 40)) + "the end"
    found = search(text, r"line (9|10)$|end", piece=piece, context=2)
    assert lines(found) == [(9, "line 9"), (10, "line 10"), (40, "the end")]
    first, _, last = found.matches
    assert (first.before, first.after) == (
        [(7, "line 7"), (8, "line 8")],
        [(10, "line 10"), (11, "line 11")],
    )
    assert (last.before, last.after) == ([(38, "line 38"), (39, "line 39")], [])


def test_a_page_behind_others_says_where_to_go_on() -> None:
    found = search(ZOO, "zebras", skip=20)
    assert (found.count, found.matches[0].number, len(found.matches)) == (60, 21, 20)
    told = grep_report([("zoo.txt", found)], pattern="zebras", offset=20)
    assert "showing matches 21-40 of 60" in told
    assert "offset=40" in told
    behind = search(ZOO, "zebras", skip=100)
    assert "none behind the first 100" in grep_report(
        [("zoo.txt", behind)], pattern="zebras", offset=100
    )


def test_a_line_feed_at_the_end_begins_no_line() -> None:
    assert search("a\nb\n", "^").count == 2
    assert search("a\nb", "^").count == 2
    assert search("a\n\n\n", "^$").count == 2
    assert search("", "^").count == 0
    assert search("\n", "^").count == 1


def test_what_matches_nothing_in_particular_matches_each_line_once() -> None:
    assert search("ab\nxx\n\ncd", "x*").count == 4


def test_no_match_goes_beyond_its_line() -> None:
    assert search("a\nb\n", r"a\s+b").count == 0
    assert search("a\nb\n", r"a[^c]b").count == 0
    assert search("a\nb\n", r"(?s)a.b").count == 0


def test_case_matters_where_it_is_asked_to() -> None:
    assert search("TODO\ntodo\nGRÖSSE größe", "todo").count == 2
    assert search("TODO\ntodo", "(?-i)TODO").count == 1
    assert search("GRÖßE", "größe").count == 1


def test_signs_of_every_script_are_found_and_shown_whole() -> None:
    text = "größer ✓\n日本語のテスト\n👩\u200d🚀 Rakete\n"
    assert lines(search(text, "テスト", piece=2)) == [(2, "日本語のテスト")]
    assert lines(search(text, r"^👩.*rakete$")) == [(3, "👩\u200d🚀 Rakete")]


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", "(x?){400}x{400}", "a.*a.*a.*a.*b"])
def test_no_pattern_takes_longer_than_the_text_is_long(pattern: str) -> None:
    began = time.monotonic()
    search("a" * 1_000_000 + "!", pattern)
    assert time.monotonic() - began < 10


def test_a_line_of_ten_million_characters_is_searched_and_shown_in_part() -> None:
    text = "x" * 6_000_000 + "needle" + "x" * 4_000_000 + "\nlast needle\n"
    found = search(text, "needle")
    assert [number for number, _ in lines(found)] == [1, 2]
    assert all(len(line) < 1_000 for _, line in lines(found))
    assert "needle" in lines(found)[0][1]
    assert len(found.matches[1].before[0][1]) < 1_000


def test_what_is_no_expression_is_searched_for_as_it_stands() -> None:
    pattern = line_pattern("C++")
    assert "plain text" in pattern.note
    assert search("I like c++\nC", "C++").count == 1
    assert search("f(x", "f(").count == 1


@pytest.mark.parametrize("pattern", [r"(?=a)b", r"(?<!a)b", r"(a)\1", "a" * 1_001, ""])
def test_what_cannot_be_searched_for_is_refused_in_words(pattern: str) -> None:
    with pytest.raises(ToolFailed, match="Nothing was searched"):
        line_pattern(pattern)


@pytest.mark.parametrize(
    ("include", "fits"),
    [
        ("", True),
        ("*.md", True),
        ("notes", True),
        ("NOTES.MD", True),
        (r"\.md$", True),
        ("handbook/*", True),
        ("notes.??", True),
        ("*.txt", False),
        ("[", False),
        ("zoo", False),
    ],
)
def test_names_are_chosen_by_parts_globs_and_expressions(include: str, fits: bool) -> None:
    assert NamePattern(include).fits("Handbook/notes.md", "notes.md") is fits
