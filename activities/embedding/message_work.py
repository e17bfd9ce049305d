"""What is done at an organization's messages until those that wait have their vectors."""

import asyncio
import time

from activities.embedding.archive_work import MakeIndex
from activities.embedding.pauses import unusable
from o.domain.embedding import (
    MessagesToEmbed,
    PassageEmbedder,
    Refused,
    Space,
    Vector,
    WaitingMessage,
    is_worth_embedding,
)
from o.storage.database import Database
from o.storage.history.embedding import (
    aim_messages_at,
    drop_message_vectors,
    settle_messages,
    take_messages,
)
from o.storage.history.vectors import (
    copy_message_vectors,
    end_waiting,
    list_waiting_messages,
    store_message_vectors,
)
from workflows.options import EMBEDDING_LEASE_S, PATIENT_MESSAGES_S, QUIET_MESSAGES_S

_BATCH = 16
_MOST_CHARS = 8_000
"""How much of a message is embedded: the local model reads no more of it."""

_NEW_FOR_S = 3_600.0
_DROPPED_AT_ONCE = 2_000
_PROBE = "hello"


class MessageWork:
    """Work at the messages of one organization. It can stop anywhere: what is done is stored."""

    def __init__(
        self,
        database: Database,
        embedder: PassageEmbedder,
        make_index: MakeIndex,
        messages: MessagesToEmbed,
    ) -> None:
        self._database = database
        self._embedder = embedder
        self._make_index = make_index
        self._messages = messages
        self._organization_id = messages.organization_id
        self.done = 0

    async def aim(self) -> str | None:
        """Find the model, and the space of its vectors; None where messages are not embedded.

        Raises:
            ModelError: It did not answer.
            NotFound: No provider has it.
        """
        handle = self._messages.handle
        if handle is None:
            return None
        space = self._messages.space
        if space is None or space.handle != handle:
            (vector,) = await self._embedder.embed_each(handle, self._organization_id, [_PROBE])
            if isinstance(vector, Refused):
                raise unusable(handle, vector.reason)
            await self._aim_at(handle, len(vector))
        return handle

    async def go_on(self, *, for_s: float) -> bool:
        """Work until none waits (True), or the time is over.

        Messages that came with a history from elsewhere, or were there before any was embedded,
        leave the machine to others for as long as they have had it; so do all while people talk.

        Raises:
            ModelError: The model did not answer as it should.
            NotFound: No provider has it any more.
        """
        ends_at = time.monotonic() + for_s
        while (began := time.monotonic()) < ends_at:
            space = self._messages.space
            waiting = await self._waiting()
            if space is None or not waiting:
                await self._finish(space)
                return True
            if not await self._embed_batch(space, waiting):
                return True  # somebody holds them: the sweeper has them taken up again
            if waiting[0].is_patient:
                await asyncio.sleep(min(time.monotonic() - began, for_s))
        return False

    async def _waiting(self) -> list[WaitingMessage]:
        async with self._database.connect() as connection:
            return await list_waiting_messages(
                connection,
                self._organization_id,
                limit=_BATCH,
                most_chars=_MOST_CHARS,
                quiet_s=QUIET_MESSAGES_S,
                patience_s=PATIENT_MESSAGES_S,
                new_for_s=_NEW_FOR_S,
            )

    async def _aim_at(self, handle: str, dimension: int) -> None:
        async with self._database.begin() as connection:
            await aim_messages_at(connection, self._messages, handle, dimension)
            self._messages = await take_messages(
                connection, self._organization_id, lease_s=EMBEDDING_LEASE_S
            )

    async def _embed_batch(self, space: Space, waiting: list[WaitingMessage]) -> bool:
        """Give some messages their vectors; whether any of them waits no more."""
        owner = self._organization_id
        async with self._database.begin() as connection:
            copied = await copy_message_vectors(connection, owner, space, [m.id for m in waiting])
        wanted = [m for m in waiting if m.id not in copied and is_worth_embedding(m.text)]
        made: list[tuple[WaitingMessage, Vector]] = []
        if wanted:
            texts = [message.text for message in wanted]
            found = await self._embedder.embed_each(space.handle, owner, texts)
            made = [
                (m, v) for m, v in zip(wanted, found, strict=True) if not isinstance(v, Refused)
            ]
        lengths = {len(vector) for _, vector in made}
        if lengths - {space.dimension}:
            if len(lengths) > 1:
                why = "its vectors are now of this length and now of that"
                raise unusable(space.handle, why)
            await self._aim_at(space.handle, lengths.pop())
            return True
        async with self._database.begin() as connection:
            kept = await store_message_vectors(connection, owner, space, made) if made else set()
            held = {message.id for message, _ in made} - kept
            # One that the model refuses is found by its words.
            done = [message for message in waiting if message.id not in held]
            await end_waiting(connection, done)
        self.done += len(kept) + len(copied)
        return bool(done)

    async def _finish(self, space: Space | None) -> None:
        """Do what is left when none waits."""
        if space is not None:
            await self._make_index(space.id)
            while await self._drop_some(space):
                pass
        async with self._database.begin() as connection:
            await settle_messages(connection, self._organization_id)

    async def _drop_some(self, kept: Space) -> int:
        async with self._database.begin() as connection:
            return await drop_message_vectors(
                connection, self._organization_id, kept, limit=_DROPPED_AT_ONCE
            )
