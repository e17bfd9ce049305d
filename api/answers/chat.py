"""A run as a client of OpenAI's reads it: one reply, whole or in pieces."""

import logging
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Response

from api.answers.chunks import DONE, ChunkRenderer, frame
from api.answers.live_response import Events, Following
from api.bodies import answer
from api.errors import run_failed
from api.wire.answers import error_words
from api.wire.completions import (
    CalledTool,
    ChatUsage,
    ChoiceBody,
    CompletionBody,
    Delta,
    FinishReason,
    ReplyBody,
    chunk_body,
    completion_id,
)
from api.wire.messages import WireMessage
from o.domain.messages import Message, Role
from o.domain.runs import EventKind, Run, RunClosed, RunEvent, StopReason
from o.errors import OError

_log = logging.getLogger(__name__)
_BREAK = "\n\n"
_KEEP_ALIVE = b": keep-alive\n\n"
_BEGINS_ANEW = "[The reply broke off here, and begins anew.]"
_CANCELLED = "[The run was cancelled.]"
_GOES_ON = "The stream was interrupted; its run ({run_id}) goes on, and the agent remembers it."


@dataclass(frozen=True)
class _Asked:
    """An approval request that a run ended with."""

    message: Message

    @property
    def calls(self) -> list[CalledTool]:
        """The calls that are the client's to make."""
        return [CalledTool.of(call) for call in self.message.gated_calls if call.gate == "client"]

    @property
    def sentence(self) -> str:
        """What is said where a person has to answer."""
        names = ", ".join(call.name for call in self.message.gated_calls)
        return (
            f"[This waits for a person's approval of: {names}. Answer the request "
            f"{self.message.shown_id} with POST /v1/agents/{self.message.agent_id}/messages, or in "
            "Temporal. Until then the conversation takes no other message.]"
        )


class ReplyReader:
    """Makes one reply of the events of a run, which are fed in order from the first.

    Attributes:
        closed: How the run ended; None while it goes on.
    """

    def __init__(self, run: Run) -> None:
        self.closed: RunClosed | None = None
        self._chunks = ChunkRenderer(run)
        self._asked: _Asked | None = None
        self._speaking: str | None = None
        self._has_said = False

    @property
    def finish_reason(self) -> FinishReason:
        """Why the reply ends, in OpenAI's words."""
        reason = self.closed.stop_reason if self.closed else None
        if reason is StopReason.REQUIRES_APPROVAL and self._asked and self._asked.calls:
            return "tool_calls"
        return "length" if reason is StopReason.MAX_STEPS else "stop"

    def read(self, events: Sequence[RunEvent]) -> Iterator[Delta]:
        """What the next events add to the reply, which may be nothing."""
        for event in events:
            if event.kind is EventKind.MESSAGE and event.body.get("role") == Role.ASSISTANT:
                message = Message.model_validate(event.body)
                self._asked = _Asked(message) if message.gated_calls else None
        for chunk in self._chunks.show(events):
            if chunk.body is not None:
                yield from self._of_message(chunk.body)
        if events and events[-1].kind is EventKind.CLOSED:
            self.closed = RunClosed.model_validate(events[-1].body)
            yield from self._ending(self.closed)

    def _of_message(self, message: WireMessage) -> Iterator[Delta]:
        match message["message_type"]:
            case "assistant_message":
                yield from self._says(message["content"], message["id"])
            case "reasoning_message":
                yield {"reasoning_content": message["reasoning"]}
            case "event_message" if message["event_data"].get("message_id") == self._speaking:
                yield from self._says(_BEGINS_ANEW, None)

    def _says(self, text: str, message_id: str | None) -> Iterator[Delta]:
        """Text of a message; messages are apart from one another."""
        if not text:
            return
        is_apart = self._has_said and message_id != self._speaking
        self._speaking = message_id
        self._has_said = True
        yield {"content": _BREAK + text if is_apart else text}

    def _ending(self, closed: RunClosed) -> Iterator[Delta]:
        if closed.stop_reason is StopReason.CANCELLED:
            yield from self._says(_CANCELLED, None)
        if closed.stop_reason is not StopReason.REQUIRES_APPROVAL or self._asked is None:
            return
        if calls := self._asked.calls:
            shown = [{"index": n} | call.model_dump() for n, call in enumerate(calls)]
            yield {"tool_calls": shown}
        else:
            yield from self._says(self._asked.sentence, None)


@dataclass(frozen=True)
class WholeReply:
    """Makes the JSON answer of the log of a run that is finished."""

    run: Run
    model: str

    def __call__(self, log: list[RunEvent]) -> Response:
        """The completion, or the run's error."""
        reader = ReplyReader(self.run)
        deltas = list(reader.read(log))
        closed = reader.closed
        if closed is None:
            raise RuntimeError("the events of a run ended before its closing one")
        if closed.error is not None:
            return run_failed(closed.error)
        calls = [call for delta in deltas for call in delta.get("tool_calls", [])]
        content = _joined(deltas, "content")
        reply = ReplyBody(
            content=content or (None if calls else ""),
            reasoning_content=_joined(deltas, "reasoning_content") or None,
            tool_calls=[CalledTool.model_validate(call) for call in calls] or None,
        )
        return answer(
            CompletionBody(
                id=completion_id(self.run),
                created=int(self.run.created_at.timestamp()),
                model=self.model,
                choices=[ChoiceBody(message=reply, finish_reason=reader.finish_reason)],
                usage=ChatUsage.of(closed.usage),
            )
        )


def _joined(deltas: Sequence[Delta], field: str) -> str:
    return "".join(delta.get(field, "") for delta in deltas)


class ChatStream(Following):
    """Relays a run's events as chunks of one completion. Closing it leaves the run alone.

    Args:
        events: The run's events from the first, in batches, empty ones in silence.
        run: Which run.
        model: As the request names it.
        shows_usage: Whether a last chunk says what the run cost.
        keep_alive_s: Seconds of silence before a comment that says that the stream is alive.
    """

    def __init__(
        self, events: Events, run: Run, *, model: str, shows_usage: bool, keep_alive_s: float
    ) -> None:
        self._run = run
        self._model = model
        self._shows_usage = shows_usage
        self._keep_alive_s = keep_alive_s
        self._reader = ReplyReader(run)
        super().__init__(
            events,
            self._frames(events),
            media_type="text/event-stream",
            headers={"cache-control": "no-cache", "x-accel-buffering": "no"},
        )

    async def _frames(self, events: Events) -> AsyncIterator[bytes]:
        # Several clients want `content` in the first piece, and the role in no other.
        yield self._chunk({"role": "assistant", "content": ""})
        try:
            async for one in self._relayed(events):
                yield one
        except OError as error:  # the run was deleted, say, or the server is stopped
            yield _error(error.message, type(error).__name__)
        except Exception as error:
            facts = {"run_id": self._run.id, "error": type(error).__name__}
            _log.warning("a stream cannot go on", extra=facts)
            yield _error(_GOES_ON.format(run_id=self._run.id), "stream_incomplete")

    async def _relayed(self, events: Events) -> AsyncIterator[bytes]:
        last = time.monotonic()
        async for batch in events:
            is_silent = True
            for delta in self._reader.read(batch):
                is_silent = False
                yield self._chunk(delta)
            if is_silent and time.monotonic() - last < self._keep_alive_s:
                continue
            last = time.monotonic()
            if is_silent and self._reader.closed is None:
                yield _KEEP_ALIVE
        for one in self._ending():
            yield one

    def _ending(self) -> Iterator[bytes]:
        closed = self._reader.closed
        if closed is None:
            return
        if closed.error is not None:
            yield _error(error_words(closed.error.message, closed.error.detail), closed.error.type)
        else:
            yield self._chunk({}, self._reader.finish_reason)
            if self._shows_usage:
                usage = ChatUsage.of(closed.usage).model_dump()
                yield frame(chunk_body(self._run, self._model, None) | {"usage": usage})
        yield DONE

    def _chunk(self, delta: Delta, finish_reason: FinishReason | None = None) -> bytes:
        body = chunk_body(self._run, self._model, delta, finish_reason)
        return frame(body | {"usage": None} if self._shows_usage else body)


def _error(message: str, code: str) -> bytes:
    """What official clients raise when it comes in a stream."""
    error: dict[str, Any] = {"message": message, "type": "server_error", "param": None}
    return frame({"error": error | {"code": code}})
