"""The streamed answer to a send: server-sent events in V1's order and spelling."""

import logging
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime

from fastapi.responses import StreamingResponse

from api.answers.chunks import Chunk, ChunkRenderer, frame, interrupted, refused
from api.answers.live_response import Events, Following
from api.wire.messages import envelope, message_time
from o.domain.runs import Run, RunEvent
from o.errors import OError

_log = logging.getLogger(__name__)
_MEDIA_TYPE = "text/event-stream"


def refused_stream(error: OError, run_id: str) -> StreamingResponse:
    """The stream of a send that is refused: V1 answers 200 and says so in its events."""
    return StreamingResponse(iter(refused(error, run_id)), media_type=_MEDIA_TYPE)


class EventStream(Following):
    """Relays a run's events, shown as the run's own request asked. Closing it leaves the run alone.

    Args:
        events: The run's events from the first, in batches, empty ones in silence.
        run: Which run.
        starting_after: The number of the last chunk that the client has; 0 for none. A stream
            that is read to its end ends with `[DONE]`, whatever the client has.
        ping_interval_s: Seconds of silence before a ping; None for no pings.
    """

    def __init__(
        self,
        events: Events,
        run: Run,
        *,
        starting_after: int = 0,
        ping_interval_s: float | None,
    ) -> None:
        self._run = run
        self._chunks = ChunkRenderer(run)
        self._starting_after = starting_after
        self._last_shown = starting_after or None
        self._ping_interval_s = ping_interval_s
        super().__init__(
            events,
            self._frames(events),
            media_type=_MEDIA_TYPE,
            headers={"cache-control": "no-cache", "x-accel-buffering": "no"},
        )

    async def _frames(self, events: Events) -> AsyncIterator[bytes]:
        if self._ping_interval_s is not None:
            yield self._ping()
        try:
            async for one in self._relayed(events):
                yield one
        except OError as error:  # the run was deleted, say
            reason = None if error.retryable else error.message
            yield interrupted(self._run, self._last_shown, reason)
        except Exception as error:
            facts = {"run_id": self._run.id, "error": type(error).__name__}
            _log.warning("a stream cannot go on", extra=facts)
            yield interrupted(self._run, self._last_shown, None)

    async def _relayed(self, events: Events) -> AsyncIterator[bytes]:
        last = time.monotonic()
        async for batch in events:
            shown = list(self._wanted(batch))
            for chunk in shown:
                if chunk.is_numbered:
                    self._last_shown = chunk.seq_id
                yield chunk.frame
            is_due = self._ping_interval_s and time.monotonic() - last >= self._ping_interval_s
            if is_due and not shown:  # who reads slowly gets no ping behind the end
                yield self._ping()
            if is_due or shown:
                last = time.monotonic()

    def _wanted(self, events: Sequence[RunEvent]) -> Iterator[Chunk]:
        """What of some events the client does not have; the end of a stream is for everyone."""
        for chunk in self._chunks.show(events):
            if chunk.seq_id > self._starting_after or chunk.body is None:
                yield chunk

    def _ping(self) -> bytes:
        """A sign of life with the number of the last message that the client has."""
        now = message_time(datetime.now(UTC))
        ping = envelope("ping", message_id="ping", date=now, otid=None, run_id=self._run.id)
        return frame(ping | {"seq_id": self._last_shown})
