"""What a stream says when a reply that it has shown a part of is begun anew.

V1's clients know no such event, and none of them takes back what it has shown. Each ends with the
right text all the same: the new attempt has a message id of its own, so that no client joins the
two; a call that was shown gets a return, so that nobody waits for it or decides on it; and an
`event_message` names the message that is void.
"""

from collections.abc import Iterator

from api.wire.messages import WireMessage, envelope, otid_of, returned_fields
from o.domain.messages import ToolReturn
from o.ids import derived_id

_NOT_MADE = "The call was not made: the model's reply broke off, and the model is asked again."
_IS_VOID = "the model's reply broke off; what was shown of it is void"


def returns_of_void(
    void_id: str, calls: list[tuple[str, str]], *, date: str, run_id: str, step_id: str
) -> Iterator[WireMessage]:
    """A return for each call that was shown, as (id, name)."""
    for ordinal, (call_id, name) in enumerate(calls):
        message_id = derived_id("message", void_id, "void", ordinal)
        returned = ToolReturn(tool_call_id=call_id, name=name, status="error", content=_NOT_MADE)
        yield envelope(
            "tool_return_message",
            message_id=message_id,
            date=date,
            otid=otid_of(message_id, "tool_return_message", 0),
            run_id=run_id,
            step_id=step_id,
            name=name,
        ) | returned_fields(returned)


def notice_of_void(
    void_id: str, attempt: int, *, date: str, run_id: str, step_id: str
) -> WireMessage:
    """The event; `retry` is the type by which the Letta Code CLI knows it.

    Args:
        void_id: The message that is void.
        attempt: Which attempt takes its place, from 2.
        date: When, in V1's spelling.
        run_id: Of which run.
        step_id: Of which step.
    """
    message_id = derived_id("message", void_id, "void")
    event_data = {"message_id": void_id, "attempt": attempt, "message": _IS_VOID}
    return envelope(
        "event_message",
        message_id=message_id,
        date=date,
        otid=otid_of(message_id, "event_message", 0),
        run_id=run_id,
        step_id=step_id,
    ) | {"event_type": "retry", "event_data": event_data}
