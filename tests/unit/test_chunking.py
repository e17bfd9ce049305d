"""Text is cut into passages that have room for it, at its joints, and nothing of it is lost."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from o.domain.files.kinds import FileKind
from o.domain.files.reading import chunk_tokens
from o.memory.chunking import chunk
from o.memory.estimates import estimate

_BOOK = "".join(f"Sentence {n} of the book says something. " for n in range(3_000))


def said(text: str) -> str:
    return "".join(text.split())


@given(
    text=st.text(alphabet=st.sampled_from("aB1 .\n#-|>é漢😀\u0301\u2028`*"), max_size=3_000),
    kind=st.sampled_from(FileKind),
    most=st.sampled_from([32, 100, 300]),
)
@settings(max_examples=150, deadline=None)
def test_nothing_is_lost_and_no_chunk_is_larger_than_asked_for(
    text: str, kind: FileKind, most: int
) -> None:
    found = chunk(text, kind, most_tokens=most)
    assert said("".join(text[start:end] for start, end in found.spans)) == said(text)
    assert found.spans == sorted(found.spans)
    assert all(a[1] <= b[0] for a, b in zip(found.spans, found.spans[1:], strict=False))
    for one in found.texts(text):
        assert one.strip()
        # The smallest thing that is not cut is a sign with all that is above and below it.
        assert estimate(one) <= most or kind is FileKind.TABLE or "\u0301" in one


def test_sentences_stay_whole_where_they_have_room() -> None:
    chunks = list(chunk(_BOOK, FileKind.TEXT).texts(_BOOK))
    assert all(one.startswith("Sentence") and one.endswith(".") for one in chunks)
    assert sum(map(estimate, chunks)) / len(chunks) > 240


def test_markdown_is_cut_at_its_headings() -> None:
    text = "".join(f"# Part {n}\n\n{'word ' * 200}\n\n" for n in range(5))
    chunks = list(chunk(text, FileKind.MARKDOWN).texts(text))
    assert [one.splitlines()[0] for one in chunks] == [f"# Part {n}" for n in range(5)]


def test_code_is_cut_between_lines() -> None:
    code = "".join(f"    value_{n} = compute(value_{n - 1}, {n})\n" for n in range(400))
    chunks = list(chunk(code, FileKind.CODE).texts(code))
    assert "".join(chunks) == code
    assert all(one.startswith("    value_") and one.endswith(")\n") for one in chunks)


def test_a_header_that_would_fill_every_part_of_a_table_stands_once() -> None:
    header = ",".join(f"column number {n}" for n in range(300)) + "\n"
    assert chunk(header + "1,2\n" * 300, FileKind.TABLE).header == ""


@pytest.mark.parametrize(
    "text",
    [
        "x" * 300_000,
        "漢" * 60_000,
        "word\n\n" * 60_000,
        _BOOK.replace(" ", "\n") + "\n\nTHE END.",
        "e" + "\u0301" * 60_000,
        "> " * 30_000,
        "[" * 100_000,
        "\n" * 300_000,
    ],
    ids=[
        "no blank",
        "one sign",
        "blank lines",
        "far end",
        "accents",
        "quotes",
        "brackets",
        "empty",
    ],
)
def test_text_as_splitters_fear_it_is_cut_in_time_that_grows_with_it(text: str) -> None:
    began = time.process_time()
    for kind in (FileKind.TEXT, FileKind.MARKDOWN, FileKind.CODE):
        chunk(text, kind)
    assert time.process_time() - began < 15


def test_the_size_that_is_asked_for_is_kept_within_reason() -> None:
    assert chunk_tokens(None) == 300
    assert chunk_tokens(0) == 300
    assert chunk_tokens(1) == chunk_tokens(-5) == 32
    assert chunk_tokens(512) == 512
    assert chunk_tokens(10**9) == 4_096
