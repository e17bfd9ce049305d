"""The JSON answer to a send, when the run is at rest."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from fastapi import Response
from fastapi.responses import JSONResponse, StreamingResponse

from api.errors import run_failed
from api.wire.answers import answer_body, closing_of
from api.wire.messages import MessageView
from o.domain.runs import EventKind, RunEvent


@dataclass(frozen=True)
class Shown:
    """How an answer shows messages: which types, all when None, and those of the legacy loop."""

    types: list[str] | None
    view: MessageView


async def json_answer(
    events: AsyncIterator[list[RunEvent]], shown: Shown, *, patience_s: float | None = None
) -> Response:
    """Wait for the closing event and answer with all messages of the run, or with its error.

    Args:
        events: The run's events from the first, in batches that come at least every second.
        shown: How its messages are shown.
        patience_s: Seconds of silence that the client bears, None when it has not shown that
            it bears less than the turn takes. Then the answer begins before its end is known.
    """
    told: list[RunEvent] = []
    began = time.monotonic()
    async for batch in events:
        told += batch
        is_over = bool(batch) and batch[-1].kind is EventKind.CLOSED
        if patience_s is not None and not is_over and time.monotonic() - began >= patience_s:
            rest = _begun(events, told, shown, patience_s)
            return StreamingResponse(rest, media_type="application/json")
    return _whole(told, shown)


def _whole(told: list[RunEvent], shown: Shown) -> JSONResponse:
    closed = closing_of(told)
    if closed.error is not None:
        return run_failed(closed.error)
    messages = [event for event in told if event.kind is not EventKind.DELTA]
    return JSONResponse(answer_body(messages, closed, shown.types, shown.view))


async def _begun(
    events: AsyncIterator[list[RunEvent]], told: list[RunEvent], shown: Shown, patience_s: float
) -> AsyncIterator[bytes]:
    """Spaces, which JSON may begin with, as signs of life; then the answer.

    The status is out already. So when the run fails the connection is broken off, and whoever
    asks again is told the error at once, with its own status.
    """
    yield b" "
    last = time.monotonic()
    async for batch in events:
        told += batch
        if time.monotonic() - last >= patience_s:
            last = time.monotonic()
            yield b" "
    answer = _whole(told, shown)
    if answer.status_code != 200:
        raise ConnectionAbortedError("the run failed after its answer had begun")
    yield bytes(answer.body)
