"""The writer of a reply's pieces while the model is still at it."""

import asyncio
from types import TracebackType
from typing import Self

from activities.step.begin import StepToTake
from o.domain.llm import ReplyDelta
from o.domain.loops import is_legacy
from o.domain.messages import reply_message_id, tool_call_id
from o.domain.text import storable
from o.domain.thoughts import LegacyDeltas
from o.storage.database import Database
from o.storage.turn.events import add_deltas

_COALESCE_S = 0.03


class DeltaWriter:
    """Appends pieces to the run's events: the first at once, then those of 30 ms together."""

    def __init__(self, database: Database, step: StepToTake) -> None:
        self._database = database
        self._step = step
        self._message_id = reply_message_id(step.step_id, step.attempt)
        self._foresight = step.foresight()
        self._legacy = LegacyDeltas() if is_legacy(step.agent) else None
        self._prefilled: set[int] = set()  # calls that are shown whole, when the reply is
        self._waiting: list[ReplyDelta] = []
        self._writing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def write(self, delta: ReplyDelta) -> None:
        """Take a piece; it is stored within about 30 ms. Raises what storing an earlier one met."""
        for piece in self._legacy.of(delta) if self._legacy else [delta]:
            kept = piece.model_copy(update=self._as_kept(piece))
            if kept.kind != "tool_call" or kept.call not in self._prefilled:
                self._add(kept)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_while_they_come())
        elif self._writing.done():
            self._writing.result()
            self._writing = asyncio.create_task(self._write_while_they_come())

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Store what is left, so that the pieces stand before the commit that follows."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=error is not None)
        if error is None:
            await self._write()

    def _as_kept(self, piece: ReplyDelta) -> dict[str, object]:
        """What of a piece is shown otherwise than it came, as the whole reply will be."""
        kept: dict[str, object] = {"text": storable(piece.text)}
        if piece.tool_call_id is not None:
            kept["tool_call_id"] = tool_call_id(self._message_id, piece.call)
            name = storable(piece.name or "")
            kept["name"] = name
            found = self._foresight.of_next(name)
            kept["gate"] = found.gate
            if found.rules.fills_in(name):
                self._prefilled.add(piece.call)
        return kept

    def _add(self, delta: ReplyDelta) -> None:
        last = self._waiting[-1] if self._waiting else None
        if (
            last
            and (last.kind, last.call) == (delta.kind, delta.call)
            and delta.kind != "redacted"
            and delta.tool_call_id is None
            and last.tool_call_id is None
        ):
            self._waiting[-1] = last.model_copy(update={"text": last.text + delta.text})
        else:
            self._waiting.append(delta)

    async def _write_while_they_come(self) -> None:
        while self._waiting:
            await self._write()
            await asyncio.sleep(_COALESCE_S)

    async def _write(self) -> None:
        deltas, self._waiting = self._waiting, []
        if not deltas:
            return
        async with self._database.connect() as connection:
            await add_deltas(
                connection,
                self._step.run.id,
                self._step.attempt,
                self._message_id,
                self._step.step_id,
                deltas,
            )
