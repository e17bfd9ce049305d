"""By which model an archive is embedded, and how far that is; O's own."""

from fastapi import APIRouter

from api.archival import check_embedding
from api.deps import ActorDep, ArchiveId, Parts, PartsDep
from api.wire.archive_embedding import EmbeddingBody, ReembedBody
from o.domain.actors import Actor
from o.errors import NotFound
from o.storage.archives.archives import get_archive
from o.storage.archives.embedding import embed_anew, embedding_progress

router = APIRouter(prefix="/archives", tags=["archives"])


@router.get(
    "/{archive_id}/embedding",
    operation_id="retrieve_archive_embedding",
    summary="See how far an archive is embedded",
)
async def retrieve(archive_id: ArchiveId, actor: ActorDep, parts: PartsDep) -> EmbeddingBody:
    """How many passages have their vector, and what is wrong where they do not get it."""
    return await _progress(parts, actor, archive_id)


@router.post(
    "/{archive_id}/reembed",
    operation_id="reembed_archive",
    summary="Embed an archive by another model",
)
async def reembed(
    archive_id: ArchiveId, actor: ActorDep, parts: PartsDep, body: ReembedBody | None = None
) -> EmbeddingBody:
    """Have vectors made by a model beside those that are there, which searches use until then.

    Without a model, the archive's own tries again what it has refused. A repeat changes nothing.
    """
    body = body or ReembedBody()
    handle = body.embedding_handle()
    await check_embedding(parts, actor, handle)
    async with parts.database.connect() as connection:
        await get_archive(connection, actor, archive_id)
        shown = body.embedding_shown()
        if not await embed_anew(connection, actor.organization_id, archive_id, handle, shown):
            raise _not_found(archive_id)
    parts.embeddings.soon(archive_id, is_changed=True)
    return await _progress(parts, actor, archive_id)


async def _progress(parts: Parts, actor: Actor, archive_id: str) -> EmbeddingBody:
    async with parts.database.connect() as connection:
        await get_archive(connection, actor, archive_id)  # what a folder has is none
        found = await embedding_progress(connection, actor.organization_id, archive_id)
    if found is None:
        raise _not_found(archive_id)
    return EmbeddingBody.of(archive_id, found)


def _not_found(archive_id: str) -> NotFound:
    return NotFound(f"Archive with id {archive_id} not found")
