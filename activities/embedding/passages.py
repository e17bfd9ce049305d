"""The activity that gives passages their vectors."""

from temporalio import activity

from activities.embedding.archive_work import ArchiveWork, MakeIndex
from activities.embedding.pauses import pause_after, problem_of
from activities.errors import as_activity_failure
from activities.heartbeat import heartbeating
from o.domain.embedding import ArchiveToEmbed, PassageEmbedder
from o.errors import ModelError, NotBuilt, NotFound, OError, Unavailable
from o.storage.archives.embedding import rest_archive, take_archive
from o.storage.database import Database
from workflows.options import EMBEDDING_LEASE_S, EMBEDDING_S
from workflows.text_contract import ArchiveRef, EmbedOutcome


class EmbeddingActivities:
    """Gives passages their vectors."""

    def __init__(
        self, database: Database, embedder: PassageEmbedder, make_index: MakeIndex
    ) -> None:
        self._database = database
        self._embedder = embedder
        self._make_index = make_index

    @activity.defn(name="embed_passages")
    async def embed_passages(self, ref: ArchiveRef) -> EmbedOutcome:
        """Embed what waits in an archive, for some seconds.

        Safe to retry: what is stored waits no more, and storing it again changes nothing. A model
        that fails is noted at the archive and is no failure of the activity.
        """
        with as_activity_failure(), heartbeating():
            archive = await self._take(ref.archive_id)
            if archive is None:
                return EmbedOutcome(is_settled=True)
            work = ArchiveWork(self._database, self._embedder, self._make_index, archive)
            try:
                handle = await work.aim()
                if handle is None:
                    await self._rest(archive.id, _missing(archive.embedding), wait_s=None)
                    return EmbedOutcome(is_settled=True)
                is_settled = await work.go_on(for_s=EMBEDDING_S)
            except (ModelError, NotFound, NotBuilt, Unavailable) as error:
                pause_s = await self._failed(ref, error)
                return EmbedOutcome(work.handle, work.done, retry_in_s=pause_s)
        facts = {"archive_id": ref.archive_id, "model": handle, "passages": work.done}
        activity.logger.info("passages embedded", extra=facts)
        return EmbedOutcome(handle, work.done, is_settled)

    async def _take(self, archive_id: str) -> ArchiveToEmbed | None:
        async with self._database.connect() as connection:
            return await take_archive(connection, archive_id, lease_s=EMBEDDING_LEASE_S)

    async def _rest(self, archive_id: str, problem: str, *, wait_s: float | None) -> None:
        async with self._database.connect() as connection:
            await rest_archive(connection, archive_id, problem, wait_s=wait_s)

    async def _failed(self, ref: ArchiveRef, error: OError) -> float:
        """Note why the model failed; returns for how long it is left alone."""
        pause_s = pause_after(ref.failures, error)
        await self._rest(ref.archive_id, problem_of(error), wait_s=pause_s + EMBEDDING_LEASE_S)
        facts = {"archive_id": ref.archive_id, "error": type(error).__name__, "pause_s": pause_s}
        activity.logger.warning("embedding model failed", extra=facts)
        return pause_s


def _missing(handle: str | None) -> str:
    """What is wrong where no model is there: nothing where the archive asks for none."""
    if handle is None:
        return ""
    return (
        f"{handle} stands for the default embedding model, and there is none: O_DEFAULT_EMBEDDING"
    )
