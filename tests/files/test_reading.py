"""Files become text in a process of their own, whatever is in them."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path

import psutil
import pytest

from o.domain.files.kinds import FileKind
from o.domain.files.reading import FileRefused, FileText
from o.files.processes import FileProcesses
from tests.files import made
from tests.support.product import eventually

_PIECE = 1 << 20


def reader(
    *, timeout_s: float = 60, memory_mb: int = 1_024, most_chars: int = 10_000_000
) -> FileProcesses:
    return FileProcesses(timeout_s=timeout_s, memory_mb=memory_mb, most_chars=most_chars)


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), _PIECE):
        yield data[start : start + _PIECE]


async def read(kind: FileKind, data: bytes, processes: FileProcesses | None = None) -> FileText:
    return await (processes or reader()).read(kind, pieces(data), chunk_tokens=300)


@cache
def slow() -> bytes:
    """What takes some ten seconds to be read."""
    return made.docx(*[f"paragraph {n}" for n in range(40_000)])


async def refusal(kind: FileKind, data: bytes, processes: FileProcesses | None = None) -> str:
    with pytest.raises(FileRefused) as refused:
        await read(kind, data, processes)
    return refused.value.message


_GERMAN = "Grüße aus Köln, wo die Bäume schön grün sind.\n" * 3
_JAPANESE = "これは日本語のテキストです。東京に住んでいます。\n" * 3
_RUSSIAN = "Привет, как дела? Сегодня хорошая погода.\n" * 3


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (_GERMAN, "utf-8"),
        (_GERMAN, "utf-8-sig"),
        (_GERMAN, "latin-1"),
        (_GERMAN, "utf-16"),
        (_GERMAN, "utf-16-le"),
        (_GERMAN, "utf-32"),
        (_JAPANESE, "shift_jis"),
        (_JAPANESE, "euc_jp"),
        (_RUSSIAN, "cp1251"),
        (_RUSSIAN, "koi8_r"),
        ("今天天气很好，我们去公园散步吧。\n" * 3, "gbk"),
        ("안녕하세요. 저는 서울에 살고 있습니다.\n" * 3, "euc_kr"),
    ],
)
async def test_text_is_read_in_the_encodings_that_people_have(text: str, encoding: str) -> None:
    assert (await read(FileKind.TEXT, text.encode(encoding))).text == text


async def test_utf_8_into_which_other_bytes_were_pasted_keeps_both() -> None:
    data = "Grüße für “alle”\n".encode() * 3 + "Köln\n".encode("latin-1")
    assert (await read(FileKind.TEXT, data)).text == "Grüße für “alle”\n" * 3 + "Köln\n"


@pytest.mark.parametrize("between", ["\n", " "], ids=("before", "within"))
async def test_a_long_line_in_an_old_encoding_is_read_as_soon_as_others(between: str) -> None:
    text = "x" * 1_000_000 + between + _GERMAN
    found = await read(FileKind.TEXT, text.encode("latin-1"), reader(timeout_s=5))
    assert found.text == text


async def test_lines_end_alike_and_nothing_is_left_that_cannot_be_stored() -> None:
    found = await read(FileKind.TEXT, b"one\r\ntwo\rthree\0" + b"four " * 100)
    assert found.text.startswith("one\ntwo\nthree\N{REPLACEMENT CHARACTER}four")


async def test_an_empty_file_has_no_passages() -> None:
    assert await read(FileKind.TEXT, b"") == FileText("", [])
    assert (await read(FileKind.TEXT, b" \n\n ")).chunks == []


async def test_each_page_of_a_pdf_has_its_number() -> None:
    found = await read(FileKind.PDF, made.pdf(["The first.", "", "The third."]))
    assert found.text == "## Page 1\n\nThe first.\n\n## Page 3\n\nThe third."


async def test_a_word_document_and_a_page_become_markdown() -> None:
    document = await read(FileKind.DOCX, made.docx("# A title", "One.", "Two."))
    assert document.text == "# A title\n\nOne.\n\nTwo."
    page = await read(
        FileKind.HTML,
        b"<html><head><script>alert(1)</script></head><body><h1>A title</h1><p>One <b>bold</b> "
        b"<a href='javascript:x()'>link</a><img src='data:image/png;base64,AAAA' alt='seen'></p>",
    )
    assert "# A title" in page.text
    assert "One **bold**" in page.text
    assert "alert" not in page.text
    assert "javascript" not in page.text
    assert "AAAA" not in page.text


async def test_json_on_one_line_gets_lines_and_says_the_same() -> None:
    line = '{"a": "x,\\"y", "n": 1.10, ' + ", ".join(f'"k{n}": [1,2]' for n in range(900)) + "}"
    found = await read(FileKind.JSON, line.encode())
    assert found.text.count("\n") > 900
    assert '"x,\\"y"' in found.text
    assert found.text.replace("\n", "") == line


async def test_every_part_of_a_table_begins_with_its_header() -> None:
    rows = "".join(f"{n},name {n},{n * 7}\n" for n in range(500))
    found = await read(FileKind.TABLE, ("id,name,value\n" + rows).encode())
    assert len(found.chunks) > 5
    assert all(chunk.startswith("id,name,value\n") for chunk in found.chunks)
    assert "".join(chunk.removeprefix("id,name,value\n") for chunk in found.chunks) == rows


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        (FileKind.PDF, made.pdf(["secret"], password="x"), "It is encrypted"),
        (FileKind.PDF, made.scanned_pdf(3), "No text was found in it (pages: 3)"),
        (FileKind.PDF, b"%PDF-1.7 and nothing that follows", "It is no PDF, or is damaged"),
        (FileKind.PDF, made.pdf(["cut"] * 9)[:700], "It is no PDF, or is damaged"),
        (FileKind.DOCX, b"PK\x03\x04 and nothing that follows", "It is no Word document"),
        (FileKind.DOCX, made.docx("cut")[:300], "It is no Word document"),
        (FileKind.DOCX, b"\xd0\xcf\x11\xe0" + bytes(1_000), "the old Word format"),
        (FileKind.DOCX, made.docx(), "No text was found in it"),
        (FileKind.HTML, b"<div>" * 200_000 + b"x" + b"</div>" * 200_000, "nested too deeply"),
        (FileKind.HTML, b"<script>document.write('hello')</script>", "No text was found"),
        (FileKind.TEXT, bytes(range(256)) * 100, "It is no text"),
        (FileKind.CODE, os.urandom(50_000), "It is no text"),
    ],
)
async def test_what_has_no_text_is_refused_with_a_reason(
    kind: FileKind, data: bytes, words: str
) -> None:
    assert words in await refusal(kind, data)


async def test_bombs_fail_alone_and_soon() -> None:
    began = time.monotonic()
    assert "It would unpack to" in await refusal(FileKind.DOCX, made.docx_bomb())
    assert "memory" in await refusal(FileKind.PDF, made.pdf_bomb(), reader(memory_mb=256))
    nested = made.docx(body="<w:tbl><w:tr><w:tc>" * 5_000 + "</w:tc></w:tr></w:tbl>" * 5_000)
    assert "nested too deeply" in await refusal(FileKind.DOCX, nested)
    assert time.monotonic() - began < 60


async def test_deeply_nested_json_is_text_like_other_json() -> None:
    found = await read(FileKind.JSON, b"[" * 300_000 + b"]" * 300_000)
    assert len(found.text) == 600_000


async def test_more_text_than_may_be_is_refused_by_its_size() -> None:
    words = await refusal(FileKind.TEXT, b"x" * 200_000, reader(most_chars=100_000))
    assert "200,000 characters" in words
    assert "100,000 are taken" in words


async def test_a_line_of_200_mb_is_refused_within_a_minute() -> None:
    async def line() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b"x" * _PIECE

    began = time.monotonic()
    with pytest.raises(FileRefused, match="characters of text"):
        await reader().read(FileKind.TEXT, line(), chunk_tokens=300)
    assert time.monotonic() - began < 60


async def test_a_pdf_of_very_many_pages_is_read() -> None:
    found = await read(FileKind.PDF, made.pdf([f"Page {n} has a text." for n in range(20_000)]))
    assert "Page 19999 has a text." in found.text


async def test_what_takes_longer_than_it_may_is_ended_and_told_of() -> None:
    began = time.monotonic()
    words = await refusal(FileKind.DOCX, slow(), reader(timeout_s=1))
    assert words == "Reading it takes longer than the 1 s it may."
    assert time.monotonic() - began < 10


async def test_a_file_that_waits_for_a_core_is_no_slow_one() -> None:
    # No process starts in so little time by the clock, and none needs a second of a core.
    found = await read(FileKind.TEXT, b"Some words.", reader(timeout_s=0.4))
    assert found.text == "Some words."


async def test_an_answer_without_end_is_not_taken() -> None:
    # The limits of the process are those of an honest one: its text is bounded here as well.
    class Talkative(FileProcesses):
        async def _answer(self, process: asyncio.subprocess.Process) -> tuple[int, bytes]:
            self._most_chars = -1_000_000
            return await super()._answer(process)

    talkative = Talkative(timeout_s=60, memory_mb=1_024, most_chars=1_000)
    assert await refusal(FileKind.TEXT, b"words", talkative) == "It has more text than may be."


async def test_a_process_that_answers_and_stays_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that a file has taken over may let its answer end, and lie there."""
    lies_there = "import os, signal; os.close(0); os.close(1); signal.pause()"
    monkeypatch.setattr(
        "o.files.processes._CHILD", (sys.executable, "-c", lies_there, "o.files.child")
    )
    async with asyncio.timeout(30):
        words = await refusal(FileKind.TEXT, b"words", reader(timeout_s=1))
    assert words == "Reading it takes longer than the 1 s it may."
    assert not _children()


async def test_what_brings_the_bytes_is_left_alone_once_a_file_is_refused() -> None:
    asked: list[str] = []

    async def for_ever() -> AsyncIterator[bytes]:
        yield b"some"
        try:
            await asyncio.Event().wait()
        finally:
            asked.append("left alone")

    class Talkative(FileProcesses):
        async def _answer(self, process: asyncio.subprocess.Process) -> tuple[int, bytes]:
            raise FileRefused("It has more text than may be.")

    talkative = Talkative(timeout_s=60, memory_mb=1_024, most_chars=1_000)
    with pytest.raises(FileRefused, match="more text"):
        await talkative.read(FileKind.TEXT, for_ever(), chunk_tokens=300)
    assert asked == ["left alone"]


async def test_a_file_whose_bytes_do_not_come_is_given_up() -> None:
    async def never() -> AsyncIterator[bytes]:
        yield b"some"
        await asyncio.Event().wait()

    with pytest.raises(FileRefused, match="longer than the 1 s"):
        await reader(timeout_s=1).read(FileKind.TEXT, never(), chunk_tokens=300)
    assert not _children()


async def test_an_error_of_what_brings_the_bytes_is_its_own() -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"some"
        raise ConnectionError("the database went away")

    with pytest.raises(ConnectionError):
        await reader().read(FileKind.TEXT, failing(), chunk_tokens=300)
    assert not _children()


async def test_the_process_is_alone_and_can_open_nothing() -> None:
    reading = asyncio.create_task(read(FileKind.DOCX, slow()))
    child = await asyncio.to_thread(
        eventually, lambda: next(iter(_children()), None), what="the process"
    )

    def limits() -> str:
        return Path(f"/proc/{child.pid}/limits").read_text()

    await asyncio.to_thread(
        eventually, lambda: "Max open files            0 " in limits(), what="no more descriptors"
    )
    assert "Max address space         1073741824" in limits()
    assert os.getsid(child.pid) == child.pid
    assert set(child.environ()) <= {"PATH", "LC_CTYPE"}
    assert child.nice() > 0
    child.kill()
    with pytest.raises(FileRefused, match="memory"):
        await reading


async def test_a_reading_that_is_cancelled_leaves_no_process() -> None:
    reading = asyncio.create_task(read(FileKind.DOCX, slow()))
    await asyncio.to_thread(eventually, _children, what="the process")
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert not _children()


async def test_a_process_whose_worker_died_ends_by_itself() -> None:
    """It has its own alarm."""
    reading = asyncio.create_task(read(FileKind.DOCX, slow()))
    child = await asyncio.to_thread(
        eventually, lambda: next(iter(_children()), None), what="the process"
    )
    await asyncio.to_thread(
        eventually,
        lambda: "SigCgt" in Path(f"/proc/{child.pid}/status").read_text(),
        what="its status",
    )
    child.send_signal(signal.SIGALRM)
    with pytest.raises(FileRefused, match="longer than the 60 s"):
        await reading


def _children() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if "o.files.child" in one.cmdline()]
