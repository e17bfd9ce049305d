"""The JSON answer to a send: V1's `LettaResponse`, when the run is at rest."""

from collections.abc import AsyncIterator

from fastapi import Response
from fastapi.responses import JSONResponse

from api.errors import run_failed
from api.wire.messages import MessageView, WireMessage, shown_types, wire_messages
from api.wire.turns import stop_reason_body, usage_body
from o.domain.messages import Message
from o.domain.runs import EventKind, RunClosed, RunEvent


async def json_answer(
    events: AsyncIterator[list[RunEvent]], types: list[str] | None, view: MessageView
) -> Response:
    """Wait for the closing event and answer with all messages of the run, or with its error."""
    messages: list[WireMessage] = []
    closed: RunClosed | None = None
    async for batch in events:
        for event in batch:
            if event.kind is EventKind.MESSAGE:
                messages += wire_messages(Message.model_validate(event.body), view)
            elif event.kind is EventKind.CLOSED:
                closed = RunClosed.model_validate(event.body)
    if closed is None:
        raise RuntimeError("the events of a run ended before its closing one")
    if closed.error is not None:
        return run_failed(closed.error)
    return JSONResponse(
        {
            "messages": shown_types(messages, types),
            "stop_reason": stop_reason_body(closed),
            "usage": usage_body(closed),
            "logprobs": None,
            "turns": None,
        }
    )
