"""Replies while they are written, as V1 shows them piece by piece."""

from collections.abc import Sequence
from typing import Any

from api.answers.restarted_reply import notice_of_void, returns_of_void
from api.wire.messages import (
    MessageView,
    WireMessage,
    envelope,
    hidden_fields,
    message_time,
    otid_of,
    reasoning_fields,
)
from o.domain.argument_stream import ArgumentReader
from o.domain.llm import ReplyDelta
from o.domain.runs import Run, RunEvent
from o.domain.text import storable

_SOURCES = {"reasoning": "reasoner_model", "thought": "non_reasoner_model"}


class DeltaRelay:
    """Shows pieces of replies: the same `id` and `otid` for the pieces of one part.

    The same pieces are shown the same whenever the run's log is read: their date is the run's.
    """

    def __init__(self, run: Run, view: MessageView) -> None:
        self._run_id = run.id
        self._view = view
        self._date = message_time(run.created_at)
        self._parts: dict[str, list[str]] = {}
        self._calls: dict[tuple[str, int], _Call] = {}
        self._seen: set[tuple[str, str]] = set()

    def unseen(self, messages: Sequence[WireMessage]) -> list[WireMessage]:
        """What of the messages that a whole reply is shown as no piece has shown.

        A message of calls is left with those that were not shown in pieces: clients join the
        arguments that they are sent for one call.
        """
        left = (self._unseen(message) for message in messages)
        return [message for message in left if message is not None]

    def _unseen(self, message: WireMessage) -> WireMessage | None:
        if "tool_calls" not in message:
            return None if (message["id"], message["message_type"]) in self._seen else message
        shown = {
            call.id
            for (message_id, _), call in self._calls.items()
            if message_id == message["id"] and not call.says
        }
        calls = [one for one in message["tool_calls"] if one["tool_call_id"] not in shown]
        return message | {"tool_call": calls[0], "tool_calls": calls} if calls else None

    def show(self, body: dict[str, Any]) -> list[WireMessage]:
        """What one piece is shown as, which may be nothing."""
        delta = ReplyDelta.model_validate(body)
        message_id = str(body["message_id"])
        parts = self._parts.setdefault(message_id, [])
        if delta.kind not in parts or delta.kind == "redacted":  # of which each is a part
            parts.append(delta.kind)
        content = self._fields(message_id, delta)
        if content is None:
            return []
        message_type, fields = content
        place = len(parts) - 1 - parts[::-1].index(delta.kind)
        self._seen.add((message_id, message_type))
        shown = envelope(
            message_type,
            message_id=message_id,
            date=self._date,
            otid=otid_of(message_id, message_type, place),
            run_id=self._run_id,
            step_id=str(body["step_id"]),
        )
        return [shown | fields]

    def void(self, void_id: str, event: RunEvent) -> tuple[list[WireMessage], WireMessage | None]:
        """What is said when `event` makes a reply void: returns of its calls, and a notice.

        Nothing where nothing of the reply was shown. What is known of it is forgotten.
        """
        calls = {key: call for key, call in self._calls.items() if key[0] == void_id}
        was_shown = any(message_id == void_id for message_id, _ in self._seen)
        self._parts.pop(void_id, None)
        self._calls = {key: call for key, call in self._calls.items() if key not in calls}
        self._seen = {seen for seen in self._seen if seen[0] != void_id}
        if not was_shown:
            return [], None
        common = {"date": self._date, "run_id": self._run_id, "step_id": str(event.body["step_id"])}
        shown = [(call.id, call.name) for call in calls.values() if not call.says]
        return (
            list(returns_of_void(void_id, shown, **common)),
            notice_of_void(void_id, event.attempt, **common),
        )

    def _fields(self, message_id: str, delta: ReplyDelta) -> tuple[str, dict[str, Any]] | None:
        match delta.kind:
            case "text":
                return "assistant_message", {"content": delta.text}
            case "reasoning" | "thought":
                return "reasoning_message", reasoning_fields(delta.text, _SOURCES[delta.kind])
            case "redacted":
                return "hidden_reasoning_message", hidden_fields(delta.text)
            case "tool_call":
                return self._call_fields(message_id, delta)

    def _call_fields(self, message_id: str, delta: ReplyDelta) -> tuple[str, dict[str, Any]] | None:
        key = (message_id, delta.call)
        if key not in self._calls:
            says = self._view.says(delta.name or "")
            self._calls[key] = _Call(
                delta.tool_call_id or "",
                delta.name or "",
                self._view.tool_kwarg if says and not delta.gate else None,
                is_gated=delta.gate is not None,
            )
        call = self._calls[key]
        if not call.says:
            piece = call.piece(delta)
            return call.message_type, {"tool_call": piece, "tool_calls": piece}
        said = call.said(delta.text)
        return ("assistant_message", {"content": said}) if said else None


class _Call:
    """One call of a reply; with `kwarg`, that argument is what the agent says."""

    def __init__(self, tool_call_id: str, name: str, kwarg: str | None, *, is_gated: bool) -> None:
        self.id = tool_call_id
        self.name = name
        self._kwarg = kwarg
        self.message_type = "approval_request_message" if is_gated else "tool_call_message"
        self._reader = ArgumentReader()

    @property
    def says(self) -> bool:
        """Whether the call is shown as what the agent says."""
        return self._kwarg is not None

    def said(self, more: str) -> str:
        """What more of the arguments adds to what is said."""
        pieces = self._reader.feed(more)
        return storable("".join(piece.text for piece in pieces if piece.name == self._kwarg))

    def piece(self, delta: ReplyDelta) -> dict[str, str]:
        """Name and id at first, then arguments with the id; nulls are left out."""
        piece = {"tool_call_id": self.id}
        if delta.name is not None:
            piece["name"] = delta.name
        if delta.text:
            piece["arguments"] = delta.text
        return piece
