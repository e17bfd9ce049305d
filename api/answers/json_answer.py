"""The JSON answer to a send, when the run is finished."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from fastapi import Response
from fastapi.responses import JSONResponse

from api.answers.live_response import Events, Following
from api.errors import run_failed
from api.wire.answers import answer_body, closing_of
from api.wire.messages import MessageView
from o.domain.runs import EventKind, RunEvent

_CLIENT_IS_GONE = 499  # as nginx has it; nobody reads it but whoever reads the request log
_LOOK_S = 0.9  # somewhat less than the second after which an empty batch comes


@dataclass(frozen=True)
class Shown:
    """V1's answer: which types of messages it shows, all when None, and how the legacy loop's."""

    types: list[str] | None
    view: MessageView

    def __call__(self, log: list[RunEvent]) -> Response:
        """The answer that is made of the whole log of a run."""
        closed = closing_of(log)
        if closed.error is not None:
            return run_failed(closed.error)
        return JSONResponse(answer_body(log, closed, self.types, self.view))


Render = Callable[[list[RunEvent]], Response]
"""What makes an answer of the log of a run that is finished, pieces of replies left out."""


async def json_answer(
    events: Events,
    render: Render,
    *,
    is_gone: Callable[[], Awaitable[bool]],
    check_room: Callable[[], None],
    patience_s: float | None = None,
) -> Response:
    """Wait for the closing event and answer with all messages of the run, or with its error.

    Args:
        events: The run's events from the first, in batches that come at least every second.
        render: Makes the answer.
        is_gone: Whether the client has hung up. Then nobody waits any longer.
        check_room: Raises when the disk is full, so that nothing comes any more; the run goes on
            afterwards.
        patience_s: Seconds of silence that the client bears, None when it has not shown that
            it bears less than the turn takes. Then the answer begins before its end is known.
    """
    log: list[RunEvent] = []
    began = looked = time.monotonic()
    answer: Response | None = None
    try:
        async for batch in events:
            log += _of_answer(batch)
            if batch and batch[-1].kind is EventKind.CLOSED:
                return render(log)
            now = time.monotonic()
            if now - looked >= _LOOK_S:  # by the clock: pieces of a reply may never pause
                looked = now
                if not batch:
                    check_room()
                if await is_gone():
                    return Response(status_code=_CLIENT_IS_GONE)
            if patience_s is not None and now - began >= patience_s:
                rest = _begun(events, log, render, patience_s)
                answer = Following(events, rest, media_type="application/json")
                return answer
    finally:
        if answer is None:
            await events.aclose()
    raise RuntimeError("the events of a run ended before its closing one")


def _of_answer(batch: list[RunEvent]) -> list[RunEvent]:
    """Pieces of replies are for streams; one who waits for the whole does not keep them."""
    return [event for event in batch if event.kind is not EventKind.DELTA]


async def _begun(
    events: Events, log: list[RunEvent], render: Render, patience_s: float
) -> AsyncIterator[bytes]:
    """Spaces, which JSON may begin with, as signs of life; then the answer.

    The status is out already. So when the run fails the connection is broken off, and whoever
    asks again gets the error at once, with its own status.
    """
    yield b" "
    last = time.monotonic()
    async for batch in events:
        log += _of_answer(batch)
        if time.monotonic() - last >= patience_s:
            last = time.monotonic()
            yield b" "
    answer = render(log)
    if answer.status_code != 200:
        raise ConnectionAbortedError("the run failed after its answer had begun")
    yield bytes(answer.body)
