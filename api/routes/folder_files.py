"""The files of folders: upload, list, retrieve, delete."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api.archival import ArrivalDep
from api.bodies import answer
from api.deps import ActorDep, FileId, FolderId, PartsDep, ReadsDep, TransactionDep
from api.documentation import UPLOAD_REFUSED
from api.pagination import page_query
from api.uploads import DuplicateHandling, UploadRequest, Uploads
from api.wire.files import FileBody
from o.domain.files.folders import File
from o.storage.files import files as stored
from o.storage.files.folders import get_folder
from o.storage.pages import Page

router = APIRouter(prefix="/folders", tags=["folders"])

FilesPage = Annotated[Page, Depends(page_query(limit=1_000))]

_MOST_CONTENT_BYTES = 16 * 1024 * 1024
"""What files of one answer may have together that come with their text; one comes in any case."""

FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "string", "format": "binary"}},
                    "required": ["file"],
                }
            }
        },
    }
}
"""What `/docs` shows of the form, which no model reads."""


@router.post(
    "/{folder_id}/upload",
    operation_id="upload_file_to_folder",
    summary="Upload a file",
    response_model=FileBody,
    responses=UPLOAD_REFUSED,
    openapi_extra=FORM,
)
async def upload(
    folder_id: FolderId,
    request: Request,
    parts: PartsDep,
    actor: ActorDep,
    arrival: ArrivalDep,
    duplicate_handling: DuplicateHandling = "suffix",
    name: Annotated[str | None, Query(description="Instead of the one that the file has")] = None,
) -> Response:
    """Store a file of the form's field `file`, and have it read. Nobody waits for that.

    Where its name is taken, it gets a number (`suffix`), takes the place of the file that is there
    (`replace`), is left out, and that file is the answer (`skip`), or the answer is 409 (`error`).
    """
    async with parts.database.connect() as connection:
        folder = await get_folder(connection, actor, folder_id)
    asked = UploadRequest(folder, actor, name, duplicate_handling, is_repeat=arrival.is_repeat)
    uploads = Uploads(parts.database, most_bytes=parts.settings.upload_limit_bytes)
    taken = await uploads.take(request, asked)
    if taken.is_new:
        parts.ingestions.soon(taken.file.id)
    shown = answer(FileBody.of(taken.file))
    if not taken.is_new and not arrival.is_repeat:
        shown.headers["x-upload-result"] = "skipped"
    return shown


@router.get(
    "/{folder_id}/files",
    operation_id="list_files_for_folder",
    summary="List the files of a folder",
    response_model=list[FileBody],
)
async def index(
    folder_id: FolderId,
    connection: ReadsDep,
    actor: ActorDep,
    page: FilesPage,
    order_by: Literal["created_at"] = "created_at",
    include_content: bool = False,
) -> Response:
    """Files by the time they came, the newest first unless asked otherwise.

    With their text, fewer come at once: a client's paging goes on from there.
    """
    await get_folder(connection, actor, folder_id)
    found = await stored.list_files(connection, actor, folder_id, page)
    return answer(await _bodies(connection, found, include_content=include_content))


@router.get(
    "/{folder_id}/files/{file_id}",
    operation_id="retrieve_file",
    summary="Retrieve a file",
    response_model=FileBody,
)
async def retrieve(
    folder_id: FolderId,
    file_id: FileId,
    connection: ReadsDep,
    actor: ActorDep,
    include_content: bool = False,
) -> Response:
    """One file, and how far it is: `processing_status`, `total_chunks`, `chunks_embedded`."""
    file = await stored.get_file(connection, actor, folder_id, file_id)
    (body,) = await _bodies(connection, [file], include_content=include_content)
    return answer(body)


@router.delete(
    "/{folder_id}/{file_id}",
    operation_id="delete_file_from_folder",
    summary="Delete a file",
    status_code=204,
    response_model=None,
)
async def delete(
    folder_id: FolderId, file_id: FileId, connection: TransactionDep, actor: ActorDep
) -> Response:
    """Delete a file. No search finds it from now on; what it holds is removed a moment later."""
    await stored.mark_file_deleted(connection, actor, folder_id, file_id)
    return Response(status_code=204)


async def _bodies(
    connection: AsyncConnection, found: list[File], *, include_content: bool
) -> list[FileBody]:
    """The files as V1 shows them; with their texts, the first ones that fit one answer."""
    if not include_content:
        return [FileBody.of(file) for file in found]
    contents = await stored.contents_of(
        connection, [file.id for file in found], most_bytes=_MOST_CONTENT_BYTES
    )
    return [FileBody.of(file, contents[file.id]) for file in found if file.id in contents]
