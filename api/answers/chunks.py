"""The log of a run as numbered chunks: what its streams are made of, and cut by."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from api.answers.attempts import Attempts
from api.answers.deltas import DeltaRelay
from api.wire.messages import MessageView, WireMessage, shown_types, wire_messages
from api.wire.turns import error_body, stop_reason_body, usage_body
from o.domain.messages import Message
from o.domain.runs import EventKind, Run, RunClosed, RunError, RunEvent, StopReason, Usage
from o.errors import OError

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Chunk:
    """One server-sent event.

    Attributes:
        seq_id: Its number in the run's stream, from 1.
        body: What it says; None for the end of the stream.
        is_numbered: Whether it shows its number, as V1 does on messages and nothing else.
    """

    seq_id: int
    body: WireMessage | None
    is_numbered: bool = False

    @property
    def frame(self) -> bytes:
        """What is sent."""
        if self.body is None:
            return DONE
        is_error = self.body["message_type"] == "error_message"
        return (b"event: error\n" if is_error else b"") + frame(self.body)


class ChunkRenderer:
    """Shows the events of one run, fed in order from the first, as its request asked for them.

    What comes out depends on the log and on what the run keeps of its request, and on nothing
    else: whoever reads the log again gets the same chunks under the same numbers. Only what is
    known to be void by then is left out, and leaves a gap in the numbers.
    """

    def __init__(self, run: Run) -> None:
        config = run.options.request_config
        self._run_id = run.id
        self._view = MessageView.of(config)
        self._types = config.include_return_message_types
        self._deltas = DeltaRelay(run, self._view) if run.options.stream_tokens else None
        self._attempts = Attempts()
        self._last = 0

    def show(self, events: Sequence[RunEvent]) -> Iterator[Chunk]:
        """What the next events are shown as, which may be nothing."""
        entries = self._attempts.of(events)
        void_ids = {entry.void_id for entry in entries if entry.void_id is not None}
        for entry in entries:
            if entry.is_late:
                continue
            if entry.void_id is not None:
                yield from self._void(entry.void_id, entry.event)
            for chunk in self._show(entry.event):
                if entry.event.body.get("message_id") not in void_ids:
                    yield chunk

    def _show(self, event: RunEvent) -> Iterator[Chunk]:
        match event.kind:
            case EventKind.MESSAGE:
                shown = wire_messages(Message.model_validate(event.body), self._view)
                yield from self._messages(self._deltas.unseen(shown) if self._deltas else shown)
            case EventKind.DELTA:
                if self._deltas is not None:
                    yield from self._messages(self._deltas.show(event.body))
            case EventKind.CLOSED:
                yield from self._tail(RunClosed.model_validate(event.body))

    def _void(self, void_id: str, event: RunEvent) -> Iterator[Chunk]:
        """The notice is for whoever saw pieces, whatever types of messages were asked for."""
        if self._deltas is None:
            return
        returns, notice = self._deltas.void(void_id, event)
        yield from self._messages(returns)
        if notice is not None:
            yield self._numbered(notice)

    def _messages(self, messages: Sequence[WireMessage]) -> Iterator[Chunk]:
        for message in shown_types(messages, self._types):
            yield self._numbered(message)

    def _numbered(self, message: WireMessage) -> Chunk:
        number = self._next()
        return Chunk(number, message | {"seq_id": number}, is_numbered=True)

    def _tail(self, closed: RunClosed) -> Iterator[Chunk]:
        yield Chunk(self._next(), stop_reason_body(closed))
        yield Chunk(self._next(), error_body(self._run_id, closed) or usage_body(closed))
        yield Chunk(self._next(), None)

    def _next(self) -> int:
        self._last += 1
        return self._last


def refused(error: OError, run_id: str) -> list[bytes]:
    """A stream that says why nothing is done: V1 answers 200 and says so in its events.

    Args:
        error: Why.
        run_id: The run that is in the way.
    """
    run_error = RunError(type="internal_error", message=error.message, detail=error.message)
    closed = RunClosed(stop_reason=StopReason.ERROR, usage=Usage(), error=run_error)
    return [
        frame(stop_reason_body(closed)),
        b"event: error\n" + frame(error_body(run_id, closed) or {}),
        DONE,
    ]


def interrupted(run: Run, last_shown: int | None, reason: str | None) -> bytes:
    """The end of a stream that cannot go on, without `[DONE]`: the run is not over.

    Args:
        run: Which run.
        last_shown: The number of the last message that the client has, None for none.
        reason: Why, where reading on would not help; None where it would.
    """
    resume = (
        "The stream was interrupted; its run goes on. To resume, POST to "
        f"/v1/conversations/{run.conversation_id}/stream with run_id {run.id} and "
        f"starting_after {last_shown or 0}."
    )
    body = {
        "message_type": "error_message",
        "run_id": run.id,
        "error_type": "stream_incomplete",
        "message": reason or resume,
        "detail": "" if reason else "resume",
        "seq_id": last_shown,
    }
    return b"event: error\n" + frame(body)


def frame(body: dict[str, Any]) -> bytes:
    """A server-sent event that holds this JSON."""
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"
