"""What clients and models name cannot forge a line of the log, nor a fact in one."""

import asyncio
import json
import logging
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o.log import JsonLines, TextLines, about, add_about

FORGED = "memory\n2026-01-01 00:00:00,000 INFO server.cli all is well user=root"
BREAKS = ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029", "\x1b[2J", "\0", "\b"]


def record_of(message: str = "tool returned", **facts: Any) -> logging.LogRecord:
    record = logging.LogRecord("o.test", logging.INFO, "file", 1, message, (), None)
    vars(record).update(facts)
    return record


def failed(text: str) -> logging.LogRecord:
    try:
        raise ValueError(text)
    except ValueError:
        record = record_of("it failed")
        record.exc_info = sys.exc_info()
        return record


@pytest.mark.parametrize("formatter", [TextLines(), JsonLines()])
@pytest.mark.parametrize("char", BREAKS)
def test_a_fact_or_a_sentence_is_one_printable_line(
    formatter: logging.Formatter, char: str
) -> None:
    for record in (record_of(tool=f"a{char}b"), record_of(f"a{char}b")):
        line = formatter.format(record)
        assert line.isprintable()
        assert len(line.splitlines()) == 1


def test_a_line_begins_with_the_time_of_its_record() -> None:
    lines = TextLines()
    for created in (1.25, 1.999, 2.0, 1.0, 1_700_000_000.5):  # records of threads may change places
        record = record_of()
        record.created, record.msecs = created, created % 1 * 1_000
        assert lines.format(record).startswith(f"{logging.Formatter().formatTime(record)} INFO ")


def test_a_fact_does_not_pass_for_another() -> None:
    line = TextLines().format(record_of(tool="a status=200", status=500, plain="memory_insert"))
    assert line.endswith('tool returned tool="a status=200" status=500 plain=memory_insert')
    line = TextLines().format(record_of(tool='a" status=200 "'))
    assert line.endswith(r'tool="a\" status=200 \""')


def test_lines_of_a_traceback_are_not_lines_of_the_log() -> None:
    first, *rest = TextLines().format(failed(FORGED)).split("\n")
    assert first.endswith("INFO o.test it failed")
    assert any("all is well" in line for line in rest)
    assert all(line.startswith("  | ") for line in rest)
    stacked = record_of()
    stacked.stack_info = FORGED
    assert all(line.startswith("  | ") for line in TextLines().format(stacked).split("\n")[1:])


def test_a_json_line_has_the_facts_and_what_stands_around_them() -> None:
    found = json.loads(JsonLines().format(record_of(tool=FORGED, ms=1.5, level="forged", x=[1])))
    assert found["tool"] == FORGED
    assert (found["ms"], found["x"]) == (1.5, "[1]")
    assert (found["level"], found["logger"], found["message"]) == (
        "INFO",
        "o.test",
        "tool returned",
    )
    assert "ValueError" in json.loads(JsonLines().format(failed(FORGED)))["exception"]


def test_a_fact_without_end_is_cut() -> None:
    for formatter in (TextLines(), JsonLines()):
        assert len(formatter.format(record_of(tool="a" * 1_000_000))) < 3_000


@given(st.text(st.characters()), st.text(st.characters()))
def test_any_text_makes_one_line(sentence: str, fact: str) -> None:
    for formatter in (TextLines(), JsonLines()):
        line = formatter.format(record_of(sentence, fact=fact))
        assert line.isprintable()
        line.encode()


@pytest.mark.parametrize("formatter", [TextLines(), JsonLines()])
def test_a_record_names_what_the_work_is_about(formatter: logging.Formatter) -> None:
    with about(run_id="run-1", conversation_id=None):
        assert "run-1" in formatter.format(record_of())
        assert "conversation_id" not in formatter.format(record_of())
        add_about(conversation_id="conv-1")
        with about(run_id="run-2"):
            inner = formatter.format(record_of())
            assert "run-2" in inner
            assert "run-1" not in inner
            assert "conv-1" in inner
        assert "run-1" in formatter.format(record_of())
        told = formatter.format(record_of(run_id="run-3"))
        assert "run-3" in told, "what a record says itself goes first"
        assert "run-1" not in told
    assert "run" not in formatter.format(record_of())


def test_what_temporal_knows_of_an_activity_is_facts_and_no_fact_twice() -> None:
    details = {
        "workflow_id": "conv-1",
        "activity_type": "take_step",
        "attempt": 2,
        "activity_id": 7,
    }
    record = record_of(temporal_activity=details)
    line = TextLines().format(record)
    assert line.endswith("tool returned workflow_id=conv-1 activity_type=take_step attempt=2")
    with about(conversation_id="conv-1"):
        found = json.loads(JsonLines().format(record))
    assert (found["conversation_id"], found["attempt"]) == ("conv-1", 2)
    assert not {"workflow_id", "activity_id"} & found.keys()


async def test_tasks_side_by_side_are_each_about_their_own() -> None:
    async def work(name: str) -> str:
        with about(run_id=name):
            await asyncio.sleep(0)
            return JsonLines().format(record_of())

    lines = await asyncio.gather(*(work(f"run-{n}") for n in range(5)))
    assert [json.loads(line)["run_id"] for line in lines] == [f"run-{n}" for n in range(5)]


def test_outside_of_all_work_nothing_is_added() -> None:
    add_about(run_id="run-1")
    assert "run-1" not in TextLines().format(record_of())
