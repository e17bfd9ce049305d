"""V1's spelling of messages: one stored message is shown as one for each of its parts."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from o.domain.messages import (
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    ToolCall,
    ToolReturn,
)
from o.ids import part_otid

WireMessage = dict[str, Any]


def wire_messages(message: Message) -> list[WireMessage]:
    """The message as V1 shows it, reasoning first, calls last; `otid` numbers the parts."""
    shown: list[WireMessage] = []
    for place, (message_type, fields) in enumerate(_parts(message)):
        envelope = _envelope(message, message_type, place)
        shown.append(envelope | fields)
    return shown


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


def _envelope(message: Message, message_type: str, place: int) -> WireMessage:
    return envelope(
        message_type,
        message_id=message.id,
        date=message_time(message.created_at),
        otid=message.otid or part_otid(message.id, place),
        run_id=message.run_id,
        step_id=message.step_id,
        name=message.name,
        sender_id=message.sender_id,
    )


def _parts(message: Message) -> Iterator[tuple[str, dict[str, Any]]]:
    match message.role:
        case Role.SYSTEM:
            yield "system_message", {"content": message.text}
        case Role.USER:
            yield "user_message", {"content": _content(message.parts)}
        case Role.ASSISTANT:
            for part in message.parts:
                if isinstance(part, ReasoningPart):
                    yield "reasoning_message", reasoning_fields(part.reasoning, part.signature)
            if message.text:
                yield "assistant_message", {"content": message.text}
            if message.tool_calls:
                yield "tool_call_message", _calls(message.tool_calls)
        case Role.TOOL:
            if message.tool_return:
                yield "tool_return_message", _returned(message.tool_return)


def reasoning_fields(reasoning: str, signature: str | None = None) -> dict[str, Any]:
    """What a `reasoning_message` holds."""
    return {"source": "reasoner_model", "reasoning": reasoning, "signature": signature}


def _content(parts: Sequence[Part]) -> str | list[dict[str, Any]]:
    if len(parts) == 1 and isinstance(parts[0], TextPart):
        return parts[0].text
    return [part.model_dump() for part in parts if isinstance(part, TextPart | ImagePart)]


def _calls(calls: Sequence[ToolCall]) -> dict[str, Any]:
    """`tool_call` repeats the first call, for older clients."""
    shown = [
        {"name": call.name, "arguments": call.arguments, "tool_call_id": call.id} for call in calls
    ]
    return {"tool_call": shown[0], "tool_calls": shown}


def _returned(returned: ToolReturn) -> dict[str, Any]:
    """`tool_returns`, and its first entry once more in the older flat form."""
    flat = {
        "tool_return": returned.content,
        "status": returned.status,
        "tool_call_id": returned.tool_call_id,
        "stdout": None,
        "stderr": None,
    }
    return flat | {"tool_returns": [{"type": "tool"} | flat]}
