"""Keeps traces of model calls, beside the way of a turn: none may cost a step its end."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.exc import SQLAlchemyError

from activities.step.begin import StepToTake
from o.domain.traces import CallRecorder, Recording, TraceDetails, TracesKept
from o.errors import ModelError
from o.storage.database import Database
from o.storage.step_traces import store_trace

_log = logging.getLogger(__name__)
_PATIENCE_S = 2.0
_MOST_AT_ONCE = 50


class StepTraces:
    """Stores what the wires tell of a step's model call, of those steps that are to be traced."""

    def __init__(self, database: Database, recorder: CallRecorder, kept: TracesKept) -> None:
        self._database = database
        self._recorder = recorder
        self._kept = kept
        self._storing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def of(self, step: StepToTake) -> AsyncIterator["Traced"]:
        """Trace the model call of the block.

        A failure is stored before it goes on, which takes two seconds at the most; a success is
        stored in the background, and not at all where fifty are being stored.
        """
        traced = Traced()
        if self._kept == "off":
            yield traced
            return
        with self._recorder.recording() as recording:
            try:
                yield traced
            except ModelError as error:
                await self._store(step, recording, traced.details(step, error))
                raise
        if self._kept == "all" and len(self._storing) < _MOST_AT_ONCE:
            task = asyncio.create_task(self._store(step, recording, traced.details(step)))
            self._storing.add(task)
            task.add_done_callback(self._storing.discard)

    async def _store(self, step: StepToTake, recording: Recording, details: TraceDetails) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                call = await asyncio.to_thread(recording.call)
                if call is None:
                    return
                told = {"status": call.status, "exchanges": call.exchanges}
                details = details.model_copy(update=told)
                async with self._database.connect() as connection:
                    await store_trace(connection, step.step_id, step.attempt, call, details)
        except (SQLAlchemyError, TimeoutError) as error:
            _log.warning("a trace is not kept", extra={"error": type(error).__name__})


class Traced:
    """A call that is traced; whoever makes it says what was changed in its request."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._began = time.monotonic()

    def details(self, step: StepToTake, error: ModelError | None = None) -> TraceDetails:
        """What is known of the call now, beside what was sent and received."""
        return TraceDetails(
            model=step.request.handle,
            error=error.kind if error else None,
            message=error.message if error else None,
            latency_ms=round((time.monotonic() - self._began) * 1_000),
            notes=self.notes or list(getattr(error, "__notes__", ())),
        )
