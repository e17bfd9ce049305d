"""V1's `LettaResponse`: what a run has said, when it is finished."""

from collections.abc import Iterable, Sequence
from typing import Any

from api.wire.messages import MessageView, WireMessage, shown_types, wire_messages
from api.wire.turns import stop_reason_body, usage_body
from o.domain.messages import Message
from o.domain.runs import EventKind, RunClosed, RunError, RunEvent


def closing_of(events: Sequence[RunEvent]) -> RunClosed:
    """How the run ended whose whole log this is."""
    if not events or events[-1].kind is not EventKind.CLOSED:
        raise RuntimeError("the events of a run ended before its closing one")
    return RunClosed.model_validate(events[-1].body)


def answer_body(
    events: Iterable[RunEvent], closed: RunClosed, types: list[str] | None, view: MessageView
) -> dict[str, Any]:
    """All messages of the run, why it stopped and what it cost; or its error.

    Args:
        events: The whole log.
        closed: How it ended.
        types: The message types to show, all when None.
        view: How messages of the legacy loop are shown.
    """
    if closed.error is not None:
        return failure_body(closed.error)
    messages: list[WireMessage] = [
        shown
        for event in events
        if event.kind is EventKind.MESSAGE
        for shown in wire_messages(Message.model_validate(event.body), view)
    ]
    return {
        "messages": shown_types(messages, types),
        "stop_reason": stop_reason_body(closed),
        "usage": usage_body(closed),
        "logprobs": None,
        "turns": None,
    }


def failure_body(error: RunError) -> dict[str, Any]:
    """V1's answer when a run failed."""
    return {"error": {"type": error.type, "message": error.message, "detail": error.detail}}


def error_words(message: str | None, detail: str | None) -> str:
    """What a failure says in one text: ours, and behind it the provider's where it says more."""
    said = message or ""
    return f"{said} {detail}".strip() if detail and detail not in said else said
