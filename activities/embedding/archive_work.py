"""What is done at one archive until each of its passages has its vector."""

import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from activities.embedding.pauses import unusable
from o.domain.embedding import (
    MOST_CHARS,
    ArchiveToEmbed,
    PassageEmbedder,
    Refused,
    Space,
    Vector,
    WaitingPassage,
)
from o.errors import OError
from o.storage.archives.embedding import (
    aim_at,
    clear_problem,
    end_filling,
    settle_archive,
    switch_space,
    take_archive,
)
from o.storage.archives.vectors import (
    drop_vectors,
    fill_part,
    list_waiting,
    pass_over,
    store_vectors,
)
from o.storage.database import Database
from workflows.options import EMBEDDING_LEASE_S

_BATCH = 32
_FILLED_AT_ONCE = 5_000
_DROPPED_AT_ONCE = 2_000
_START = (datetime(1, 1, 1, tzinfo=UTC), "")
_PROBE = "hello"

MakeIndex = Callable[[int], Awaitable[object]]
"""Sees that the vectors of a space have an index, where they are many."""


class ArchiveWork:
    """Work at one archive. It can stop anywhere: what is done is stored, and found again."""

    def __init__(
        self,
        database: Database,
        embedder: PassageEmbedder,
        make_index: MakeIndex,
        archive: ArchiveToEmbed,
    ) -> None:
        self._database = database
        self._embedder = embedder
        self._make_index = make_index
        self._archive: ArchiveToEmbed = archive
        self.handle = ""
        self.done = 0

    async def aim(self) -> str | None:
        """Find the model, and the space of its vectors; None where there is no model.

        Raises:
            ModelError: It did not answer.
            NotFound: No provider has it.
        """
        archive = self._archive
        handle = await self._embedder.resolve(archive.embedding, archive.organization_id)
        if handle is None:
            return None
        self.handle = handle
        # Where it names its model otherwise, as V1 does, it gets the handle by which it is known.
        if archive.target is None or not archive.target.handle == handle == archive.embedding:
            (vector,) = await self._embed([_PROBE])
            if isinstance(vector, Refused):
                raise unusable(handle, vector.reason)
            await self._aim_at(len(vector))
        return handle

    async def go_on(self, *, for_s: float) -> bool:
        """Work until nothing is left (True), or the time is over.

        Raises:
            ModelError: The model did not answer as it should.
            NotFound: No provider has it any more.
        """
        ends_at = time.monotonic() + for_s
        while time.monotonic() < ends_at:
            target = self._archive.target
            if target is None:  # it was deleted
                return True
            if self._archive.is_filling:
                await self._fill(target)
            elif waiting := await self._waiting():
                await self._embed_batch(target, waiting)
            elif await self._finish():
                return True
        return False

    async def _look_again(self) -> None:
        async with self._database.connect() as connection:
            found = await take_archive(connection, self._archive.id, lease_s=EMBEDDING_LEASE_S)
        self._archive = found or _without_target(self._archive)

    async def _aim_at(self, dimension: int) -> None:
        async with self._database.begin() as connection:
            await aim_at(connection, self._archive, self.handle, dimension)
        await self._look_again()

    async def _fill(self, target: Space) -> None:
        """Have every passage wait that lacks a vector. From the beginning, if it was cut off."""
        after: tuple[datetime, str] | None = _START
        while after is not None:
            async with self._database.begin() as connection:
                after = await fill_part(
                    connection, self._archive.id, target, after, limit=_FILLED_AT_ONCE
                )
        async with self._database.connect() as connection:
            await end_filling(connection, self._archive.id)
        await self._look_again()

    async def _waiting(self) -> list[WaitingPassage]:
        async with self._database.connect() as connection:
            return await list_waiting(
                connection, self._archive.id, limit=_BATCH, most_chars=MOST_CHARS
            )

    async def _embed(self, texts: Sequence[str], handle: str = "") -> list[Vector | Refused]:
        organization_id = self._archive.organization_id
        return await self._embedder.embed_each(handle or self.handle, organization_id, texts)

    async def _embed_batch(self, target: Space, waiting: list[WaitingPassage]) -> None:
        """Give some passages their vectors."""
        if self._archive.space is not None and self._archive.space != target:
            await self._embed_for_now(self._archive.space, [one for one in waiting if one.is_new])
        found = await self._embed([passage.text for passage in waiting])
        made = [
            (passage, one)
            for passage, one in zip(waiting, found, strict=True)
            if not isinstance(one, Refused)
        ]
        lengths = {len(vector) for _, vector in made}
        if lengths - {target.dimension}:
            await self._take_other_length(lengths)
            return
        async with self._database.begin() as connection:
            await clear_problem(connection, self._archive.id)
            if made:
                await store_vectors(connection, target, made, is_target=True)
            for passage, one in zip(waiting, found, strict=True):
                if isinstance(one, Refused):
                    await pass_over(connection, passage, one.reason)
        self.done += len(made)

    async def _embed_for_now(self, space: Space, passages: list[WaitingPassage]) -> None:
        """Let searches find new passages by meaning while all get other vectors, if it works."""
        try:
            found = await self._embed([one.text for one in passages], space.handle)
        except OError:  # that model may be what the archive is to be rid of
            return
        made = [
            (passage, one)
            for passage, one in zip(passages, found, strict=True)
            if not isinstance(one, Refused) and len(one) == space.dimension
        ]
        if made:
            async with self._database.begin() as connection:
                await store_vectors(connection, space, made, is_target=False)

    async def _take_other_length(self, lengths: set[int]) -> None:
        """The model makes vectors of another length than it did: all are made anew, once.

        Raises:
            ModelError: It makes them of this length and that.
        """
        if len(lengths) > 1 or self._archive.next_space is not None:
            raise unusable(self.handle, "its vectors are now of this length and now of that")
        await self._aim_at(lengths.pop())

    async def _finish(self) -> bool:
        """Do what is left when no passage waits; False when one does by now."""
        archive = self._archive
        if archive.next_space is not None:
            await self._make_index(archive.next_space.id)
            async with self._database.begin() as connection:
                await switch_space(connection, archive.id, archive.next_space)
            await self._look_again()
            return False
        if archive.space is not None:
            # Also where nothing was done: passages may have come with their vectors, or whoever
            # made the index have died.
            await self._make_index(archive.space.id)
            while await self._drop_some(archive.space):
                pass
        async with self._database.begin() as connection:
            return await settle_archive(connection, archive.id)

    async def _drop_some(self, kept: Space) -> int:
        async with self._database.connect() as connection:
            return await drop_vectors(connection, self._archive.id, [kept], limit=_DROPPED_AT_ONCE)


def _without_target(archive: ArchiveToEmbed) -> ArchiveToEmbed:
    return ArchiveToEmbed(archive.id, archive.organization_id, None, None, None, is_filling=False)
