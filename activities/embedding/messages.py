"""The activity that gives messages their vectors."""

from temporalio import activity

from activities.embedding.archive_work import MakeIndex
from activities.embedding.message_work import MessageWork
from activities.embedding.pauses import pause_after, problem_of
from activities.errors import as_activity_failure
from activities.heartbeat import heartbeating
from o.domain.embedding import PassageEmbedder
from o.errors import ModelError, NotBuilt, NotFound, OError, Unavailable
from o.storage.database import Database
from o.storage.history.embedding import rest_messages, settle_messages, take_messages
from workflows.options import EMBEDDING_LEASE_S, EMBEDDING_S
from workflows.text_contract import EmbedOutcome, MessagesRef


class MessageEmbeddingActivities:
    """Gives messages their vectors."""

    def __init__(
        self, database: Database, embedder: PassageEmbedder, make_index: MakeIndex
    ) -> None:
        self._database = database
        self._embedder = embedder
        self._make_index = make_index

    @activity.defn(name="embed_messages")
    async def embed_messages(self, ref: MessagesRef) -> EmbedOutcome:
        """Embed what waits of an organization's messages, for some seconds.

        Safe to retry: what is stored waits no more, and storing it again changes nothing. A model
        that fails is noted and is no failure of the activity.
        """
        with as_activity_failure(), heartbeating():
            async with self._database.begin() as connection:
                messages = await take_messages(
                    connection, ref.organization_id, lease_s=EMBEDDING_LEASE_S
                )
            work = MessageWork(self._database, self._embedder, self._make_index, messages)
            try:
                handle = await work.aim()
                if handle is None:
                    async with self._database.connect() as connection:
                        await settle_messages(connection, ref.organization_id)
                    return EmbedOutcome(is_settled=True)
                is_settled = await work.go_on(for_s=EMBEDDING_S)
            except (ModelError, NotFound, NotBuilt, Unavailable) as error:
                pause_s = await self._failed(ref, error)
                return EmbedOutcome(messages.handle or "", work.done, retry_in_s=pause_s)
        facts = {"organization_id": ref.organization_id, "model": handle, "messages": work.done}
        activity.logger.info("messages embedded", extra=facts)
        return EmbedOutcome(handle, work.done, is_settled)

    async def _failed(self, ref: MessagesRef, error: OError) -> float:
        """Note why the model failed; returns for how long it is left alone."""
        pause_s = pause_after(ref.failures, error)
        async with self._database.connect() as connection:
            wait_s = pause_s + EMBEDDING_LEASE_S
            await rest_messages(connection, ref.organization_id, problem_of(error), wait_s=wait_s)
        facts = {"error": type(error).__name__, "pause_s": pause_s}
        activity.logger.warning("embedding model failed", extra=facts)
        return pause_s
