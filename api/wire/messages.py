"""V1's spelling of messages: one stored message is shown as one for each of its parts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Self

from api.wire.approvals import call_fields, response_fields, return_fields
from o.domain.agents import PendingApproval
from o.domain.json_bounds import parse_json
from o.domain.messages import (
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    RedactedPart,
    Role,
    TextPart,
    ToolCall,
    ToolReturn,
)
from o.domain.runs import RequestConfig
from o.domain.text import storable
from o.ids import part_otid
from o.memory.summaries import unpacked_summary

WireMessage = dict[str, Any]


@dataclass(frozen=True)
class MessageView:
    """How a client wants messages of the legacy loop shown.

    Attributes:
        use_assistant_message: Show calls of `tool_name` as assistant messages whose content is
            the argument `tool_kwarg`, and hide their returns.
        compaction: How summaries are shown: as lists have them, in what the model reads; in
            answers as what happened, or not at all.
    """

    use_assistant_message: bool = True
    tool_name: str = "send_message"
    tool_kwarg: str = "message"
    compaction: Literal["stored", "events", "hidden"] = "stored"

    @classmethod
    def of(cls, config: RequestConfig) -> Self:
        """How a run's request asked for them."""
        return cls(
            config.use_assistant_message,
            config.assistant_message_tool_name,
            config.assistant_message_tool_kwarg,
            "events" if config.include_compaction_messages else "hidden",
        )

    @property
    def speaking_tool(self) -> str | None:
        """The tool by which the agent speaks, None when its calls are shown as they are."""
        return self.tool_name if self.use_assistant_message else None

    def says(self, name: str) -> bool:
        """Whether a call of this tool is shown as what the agent says."""
        return self.use_assistant_message and name == self.tool_name

    def said_by(self, call: ToolCall) -> str | None:
        """What the agent says by this call; None when it says nothing or is to be shown as is."""
        if not self.says(call.name):
            return None
        try:
            arguments = parse_json(call.arguments)
        except ValueError:
            return None
        said = arguments.get(self.tool_kwarg) if isinstance(arguments, dict) else None
        return storable(said) if isinstance(said, str) else None


V1_VIEW = MessageView()


def wire_messages(message: Message, view: MessageView = V1_VIEW) -> list[WireMessage]:
    """The message as V1 shows it, reasoning first, calls last; `otid` numbers the parts."""
    shown: list[WireMessage] = []
    for place, (message_type, fields) in enumerate(_parts(message, view)):
        envelope = _envelope(message, message_type, place)
        shown.append(envelope | fields)
    return shown


def pending_body(pending: PendingApproval | None) -> WireMessage | None:
    """V1's `pending_approval`: the request that waits, less the calls that were answered."""
    return wire_messages(pending.remaining)[0] if pending else None


def shown_types(messages: Sequence[WireMessage], wanted: Sequence[str] | None) -> list[WireMessage]:
    """Only the message types that the client asked for, all when it did not say."""
    if wanted is None:
        return list(messages)
    return [message for message in messages if message["message_type"] in wanted]


def message_time(moment: datetime) -> str:
    """V1 shows the times of messages in whole seconds, with `+00:00`."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def envelope(
    message_type: str,
    *,
    message_id: str,
    date: str,
    otid: str | None,
    run_id: str | None,
    step_id: str | None = None,
    name: str | None = None,
    sender_id: str | None = None,
) -> WireMessage:
    """The fields that every message has, nulls included."""
    return {
        "id": message_id,
        "date": date,
        "name": name,
        "message_type": message_type,
        "otid": otid,
        "sender_id": sender_id,
        "step_id": step_id,
        "is_err": None,
        "seq_id": None,
        "run_id": run_id,
    }


def otid_of(message_id: str, message_type: str, place: int) -> str:
    """V1 numbers the parts of a message, but gives a request for approval the message's own id."""
    is_request = message_type == "approval_request_message"
    return message_id if is_request else part_otid(message_id, place)


def _envelope(message: Message, message_type: str, place: int) -> WireMessage:
    return envelope(
        message_type,
        message_id=message.shown_id,
        date=message_time(message.created_at),
        otid=message.otid or otid_of(message.shown_id, message_type, place),
        run_id=message.run_id,
        step_id=message.step_id,
        name=message.name,
        sender_id=message.sender_id,
    )


def _parts(message: Message, view: MessageView) -> Iterator[tuple[str, dict[str, Any]]]:
    match message.role:
        case Role.SYSTEM | Role.USER:
            yield f"{message.role}_message", {"content": _said(message)}
        case Role.SUMMARY:
            yield from _compaction(message, view)
        case Role.ASSISTANT:
            yield from _reasoning(message.parts)
            if message.text:
                yield "assistant_message", {"content": message.text}
            yield from _calls([call for call in message.tool_calls if not call.gate], view)
            if gated := message.gated_calls:
                yield "approval_request_message", call_fields(gated)
        case Role.APPROVAL:
            if message.approval is not None:
                yield "approval_response_message", response_fields(message.approval)
        case Role.TOOL:
            returned = message.tool_return
            # A call that failed said nothing, and is shown with its error.
            if returned and not (view.says(returned.name) and returned.status == "success"):
                yield "tool_return_message", returned_fields(returned)


def _compaction(message: Message, view: MessageView) -> Iterator[tuple[str, dict[str, Any]]]:
    """A compaction: what it did, and the summary that now stands for a part of history."""
    if view.compaction == "stored":
        yield "user_message", {"content": message.text}
    if view.compaction == "events":
        summary, stats = unpacked_summary(message.text)
        yield "event_message", {"event_type": "compaction", "event_data": stats or {}}
        yield "summary_message", {"summary": summary, "compaction_stats": stats}


def _reasoning(parts: Sequence[Part]) -> Iterator[tuple[str, dict[str, Any]]]:
    for part in parts:
        if isinstance(part, ReasoningPart):
            fields = reasoning_fields(part.reasoning, part.source, part.signature)
            yield "reasoning_message", fields
        elif isinstance(part, RedactedPart):
            yield "hidden_reasoning_message", hidden_fields(part.data)


def reasoning_fields(reasoning: str, source: str, signature: str | None = None) -> dict[str, Any]:
    """What a `reasoning_message` holds; `source` is V1's, reasoner_model or non_reasoner_model."""
    return {"source": source, "reasoning": reasoning, "signature": signature}


def hidden_fields(data: str) -> dict[str, Any]:
    """What a `hidden_reasoning_message` holds: reasoning that the provider encrypted."""
    return {"state": "redacted", "hidden_reasoning": data}


def _said(message: Message) -> str | list[dict[str, Any]]:
    parts = message.parts
    if message.role is Role.SYSTEM:
        return message.text
    if len(parts) == 1 and isinstance(parts[0], TextPart):
        return parts[0].text
    return [part.model_dump() for part in parts if isinstance(part, TextPart | ImagePart)]


def _calls(calls: Sequence[ToolCall], view: MessageView) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is said by calls, then the others."""
    said = [view.said_by(call) for call in calls]
    yield from (("assistant_message", {"content": text}) for text in said if text is not None)
    shown = [call for call, text in zip(calls, said, strict=True) if text is None]
    if shown:
        yield "tool_call_message", call_fields(shown)


def returned_fields(returned: ToolReturn) -> dict[str, Any]:
    """`tool_returns`, and its first entry once more in the older flat form."""
    flat = return_fields(returned, returned.tool_call_id)
    return flat | {"tool_returns": [{"type": "tool"} | flat]}
