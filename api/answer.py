"""The JSON answer to a send, when the run is at rest."""

from collections.abc import AsyncIterator

from fastapi import Response
from fastapi.responses import JSONResponse

from api.errors import run_failed
from api.wire.answers import answer_body, closing_of
from api.wire.messages import MessageView
from o.domain.runs import EventKind, RunEvent


async def json_answer(
    events: AsyncIterator[list[RunEvent]], types: list[str] | None, view: MessageView
) -> Response:
    """Wait for the closing event and answer with all messages of the run, or with its error."""
    told = [event async for batch in events for event in batch if event.kind is not EventKind.DELTA]
    closed = closing_of(told)
    if closed.error is not None:
        return run_failed(closed.error)
    return JSONResponse(answer_body(told, closed, types, view))
