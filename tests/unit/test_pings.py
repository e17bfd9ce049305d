"""When a stream gives a sign of life, and with which number."""

import json
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from typing import Any

from api.answers.stream import EventStream
from o.domain.messages import Message, Role, TextPart
from o.domain.runs import EventKind, RunClosed, RunEvent, StopReason, Usage
from o.ids import new_id
from tests.unit.test_message_wire import RUN

NOW = datetime(2026, 3, 1, tzinfo=UTC)
_AT_ONCE_S = 1e-9


def said(seq: int) -> RunEvent:
    message = Message(
        id=new_id("message"),
        organization_id="org-1",
        agent_id="agent-1",
        conversation_id="conv-1",
        position=seq,
        role=Role.ASSISTANT,
        parts=[TextPart(text="hi")],
        created_at=NOW,
    )
    body = message.model_dump(mode="json")
    return RunEvent(run_id="run-1", seq=seq, attempt=1, kind=EventKind.MESSAGE, body=body)


def closed(seq: int) -> RunEvent:
    body = RunClosed(stop_reason=StopReason.END_TURN, usage=Usage()).model_dump(mode="json")
    return RunEvent(run_id="run-1", seq=seq, attempt=1, kind=EventKind.CLOSED, body=body)


async def shown(
    batches: Sequence[list[RunEvent]], *, silence_s: float | None, starting_after: int = 0
) -> list[tuple[str, int | None]]:
    """Type and number of every chunk. A batch without events is a silence that lasts."""

    async def events() -> AsyncGenerator[list[RunEvent], None]:
        for batch in batches:
            yield batch

    stream = EventStream(events(), RUN, starting_after=starting_after, ping_interval_s=silence_s)
    chunks = [bytes(chunk) async for chunk in stream.body_iterator]  # type: ignore[arg-type]
    assert chunks[-1] == b"data: [DONE]\n\n"
    found: list[dict[str, Any]] = [json.loads(chunk[6:]) for chunk in chunks[:-1]]
    assert all(one["run_id"] == "run-1" for one in found if one["message_type"] == "ping")
    return [(one["message_type"], one.get("seq_id")) for one in found]


TAIL = [("stop_reason", None), ("usage_statistics", None)]


async def test_each_silence_gets_a_ping_with_the_last_number() -> None:
    batches = [[], [said(1)], [], [said(2)], [closed(3)]]
    assert await shown(batches, silence_s=_AT_ONCE_S) == [
        ("ping", None),
        ("ping", None),
        ("assistant_message", 1),
        ("ping", 1),
        ("assistant_message", 2),
        *TAIL,
    ]


async def test_before_its_time_there_is_the_first_ping_only() -> None:
    batches = [[], [said(1)], [], [closed(2)]]
    found = await shown(batches, silence_s=3_600)
    assert found == [("ping", None), ("assistant_message", 1), *TAIL]


async def test_a_stream_read_on_pings_with_what_its_reader_has() -> None:
    batches = [[said(1)], [], [said(2)], [closed(3)]]
    found = await shown(batches, silence_s=3_600, starting_after=1)
    assert found == [("ping", 1), ("assistant_message", 2), *TAIL]


async def test_nobody_who_declines_pings_gets_one() -> None:
    found = await shown([[], [said(1)], [], [closed(2)]], silence_s=None)
    assert found == [("assistant_message", 1), *TAIL]


async def test_a_stream_that_cannot_go_on_says_how_to_resume() -> None:
    async def events() -> AsyncGenerator[list[RunEvent], None]:
        yield [said(1), said(2)]
        raise OSError("the database is away")

    stream = EventStream(events(), RUN, ping_interval_s=None)
    chunks = [bytes(chunk) async for chunk in stream.body_iterator]  # type: ignore[arg-type]
    assert len(chunks) == 3, "two messages and no [DONE]: the run is not over"
    event, data = chunks[-1].decode().split("\n", 1)
    assert event == "event: error"
    error = json.loads(data.removeprefix("data: "))
    assert (error["error_type"], error["detail"], error["seq_id"]) == (
        "stream_incomplete",
        "resume",
        2,
    )
    assert f"/v1/conversations/{RUN.conversation_id}/stream" in error["message"]
    assert "run_id run-1 and starting_after 2" in error["message"]
