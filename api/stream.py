"""The streamed answer to a send: server-sent events in V1's order and spelling."""

import json
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

from fastapi.responses import StreamingResponse

from api.deltas import DeltaRelay
from api.wire.messages import (
    MessageView,
    WireMessage,
    envelope,
    message_time,
    shown_types,
    wire_messages,
)
from api.wire.turns import error_body, stop_reason_body, usage_body
from o.domain.messages import Message
from o.domain.runs import EventKind, RunClosed, RunEvent

_DONE = b"data: [DONE]\n\n"


class EventStream(StreamingResponse):
    """Relays a run's events. Closing it early leaves the run alone.

    Args:
        events: The run's events, in batches that come at least every second.
        run_id: Which run.
        types: The message types to show, all when None.
        view: How messages of the legacy loop are shown.
        tokens: Whether to show replies while they are written.
        ping_interval_s: Seconds of silence before a ping; None for no pings.
    """

    def __init__(
        self,
        events: AsyncIterator[list[RunEvent]],
        *,
        run_id: str,
        types: list[str] | None,
        view: MessageView,
        tokens: bool,
        ping_interval_s: float | None,
    ) -> None:
        self._events = events
        self._run_id = run_id
        self._types = types
        self._view = view
        self._deltas = DeltaRelay(run_id, view) if tokens else None
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
                shown = wire_messages(Message.model_validate(event.body), self._view)
                yield from self._shown(self._deltas.unseen(shown) if self._deltas else shown)
            case EventKind.DELTA:
                if self._deltas is not None:
                    yield from self._shown(self._deltas.show(event.body))
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


def _frame(body: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"
