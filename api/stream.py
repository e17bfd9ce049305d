"""The streamed answer to a send: server-sent events in V1's order and spelling."""

import json
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

from fastapi.responses import StreamingResponse

from api.wire.messages import (
    WireMessage,
    envelope,
    message_time,
    reasoning_fields,
    shown_types,
    wire_messages,
)
from api.wire.turns import error_body, stop_reason_body, usage_body
from o.domain.llm import ReplyDelta
from o.domain.messages import Message
from o.domain.runs import EventKind, RunClosed, RunEvent
from o.ids import part_otid

_DONE = b"data: [DONE]\n\n"


class EventStream(StreamingResponse):
    """Relays a run's events. Closing it early leaves the run alone.

    Args:
        events: The run's events, in batches that come at least every second.
        run_id: Which run.
        types: The message types to show, all when None.
        tokens: Whether to show replies while they are written.
        ping_interval_s: Seconds of silence before a ping; None for no pings.
    """

    def __init__(
        self,
        events: AsyncIterator[list[RunEvent]],
        *,
        run_id: str,
        types: list[str] | None,
        tokens: bool,
        ping_interval_s: float | None,
    ) -> None:
        self._events = events
        self._run_id = run_id
        self._types = types
        self._deltas = DeltaRelay(run_id) if tokens else None
        self._ping_interval_s = ping_interval_s
        super().__init__(
            self._frames(),
            media_type="text/event-stream",
            headers={"cache-control": "no-cache", "x-accel-buffering": "no"},
        )

    async def _frames(self) -> AsyncIterator[bytes]:
        if self._ping_interval_s is not None:
            yield self._ping()
        last = time.monotonic()
        async for batch in self._events:
            for frame in (frame for event in batch for frame in self._of(event)):
                last = time.monotonic()
                yield frame
            silence_s = time.monotonic() - last
            if self._ping_interval_s is not None and silence_s >= self._ping_interval_s:
                last = time.monotonic()
                yield self._ping()

    def _of(self, event: RunEvent) -> Iterator[bytes]:
        match event.kind:
            case EventKind.MESSAGE:
                message = Message.model_validate(event.body)
                if self._deltas is None or not self._deltas.has_shown(message.id):
                    yield from self._shown(wire_messages(message))
            case EventKind.DELTA:
                if self._deltas is not None:
                    yield from self._shown([self._deltas.show(event.body)])
            case EventKind.CLOSED:
                yield from self._tail(RunClosed.model_validate(event.body))

    def _shown(self, messages: list[WireMessage]) -> Iterator[bytes]:
        for message in shown_types(messages, self._types):
            yield _frame(message)

    def _tail(self, closed: RunClosed) -> Iterator[bytes]:
        yield _frame(stop_reason_body(closed))
        error = error_body(self._run_id, closed)
        yield _frame(usage_body(closed)) if error is None else b"event: error\n" + _frame(error)
        yield _DONE

    def _ping(self) -> bytes:
        now = message_time(datetime.now(UTC))
        ping = envelope("ping", message_id="ping", date=now, otid=None, run_id=self._run_id)
        return _frame(ping)


class DeltaRelay:
    """Shows pieces of replies as V1 does: the same `id` and `otid` for the pieces of one part."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._date = message_time(datetime.now(UTC))
        self._parts: dict[str, list[str]] = {}
        self._calls: dict[tuple[str, int], str] = {}

    def has_shown(self, message_id: str) -> bool:
        """Whether the message has been shown in pieces, so that it is not shown whole."""
        return message_id in self._parts

    def show(self, body: dict[str, Any]) -> WireMessage:
        """One piece."""
        delta = ReplyDelta.model_validate(body)
        message_id = str(body["message_id"])
        parts = self._parts.setdefault(message_id, [])
        if delta.kind not in parts:
            parts.append(delta.kind)
        message_type, fields = self._fields(message_id, delta)
        return (
            envelope(
                message_type,
                message_id=message_id,
                date=self._date,
                otid=part_otid(message_id, parts.index(delta.kind)),
                run_id=self._run_id,
                step_id=str(body["step_id"]),
            )
            | fields
        )

    def _fields(self, message_id: str, delta: ReplyDelta) -> tuple[str, dict[str, Any]]:
        match delta.kind:
            case "text":
                return "assistant_message", {"content": delta.text}
            case "reasoning":
                return "reasoning_message", reasoning_fields(delta.text)
            case "tool_call":
                piece = self._call_piece(message_id, delta)
                return "tool_call_message", {"tool_call": piece, "tool_calls": piece}

    def _call_piece(self, message_id: str, delta: ReplyDelta) -> dict[str, str]:
        """Name and id at first, then arguments with the id; nulls are left out."""
        key = (message_id, delta.call)
        if delta.tool_call_id is not None:
            self._calls[key] = delta.tool_call_id
        piece = {"tool_call_id": self._calls.get(key, "")}
        if delta.name is not None:
            piece["name"] = delta.name
        if delta.text:
            piece["arguments"] = delta.text
        return piece


def _frame(body: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"
