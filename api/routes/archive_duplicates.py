"""What an archive holds twice, by its vectors or its words. V1 has nothing like it."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.bodies import answer
from api.deps import ActorDep, ArchiveId, PartsDep
from api.wire.duplicates import DuplicatesBody
from o.ids import pattern
from o.storage.archives.archives import get_archive
from o.storage.archives.duplicates import list_equal, list_near
from o.storage.search.session import searching

router = APIRouter(prefix="/archives", tags=["archives"])

_TIMEOUT_S = 20.0
_CURSOR = f"^[0-9a-f]{{64}}$|{pattern('passage')}"


@router.get(
    "/{archive_id}/duplicates",
    operation_id="list_duplicates",
    summary="List passages of an archive that say the same",
    response_model=DuplicatesBody,
)
async def index(
    archive_id: ArchiveId,
    parts: PartsDep,
    actor: ActorDep,
    threshold: Annotated[
        float, Query(ge=0.5, le=1.0, description="How similar their vectors are at least")
    ] = 0.95,
    after: Annotated[
        str | None, Query(pattern=_CURSOR, description="`after` of the page before")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """By meaning where the archive has vectors, else by words; ask on until `after` is null.

    A page may be empty while there are more: each looks at a bounded part of the archive.
    """
    async with searching(parts.database, timeout_s=_TIMEOUT_S) as connection:
        archive = await get_archive(connection, actor, archive_id)
        is_by_words = after is not None and not after.startswith("passage-")
        if is_by_words or archive.space_id is None:
            page = await list_equal(connection, archive_id, after=after or "", limit=limit)
            return answer(DuplicatesBody.of("words", page))
        page = await list_near(
            connection,
            archive,
            archive.space_id,
            threshold=threshold,
            after=after or "",
            limit=limit,
        )
    return answer(DuplicatesBody.of("vectors", page))
