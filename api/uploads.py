"""Files that clients upload: taken piece by piece, so that no process ever holds a whole one.

A small file is stored when it is complete. Of a larger one each piece is stored as it comes, as
part of a file that nobody sees; once all is there, the file is. Where a client leaves before, what
is there of it is purged.
"""

import hashlib
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from fastapi import Request
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from api.edge.forms import PartHead, form_parts
from api.errors import file_too_large
from o.domain.actors import Actor
from o.domain.files.folders import UPLOAD_PIECE_BYTES, File, Folder, shown_name
from o.domain.files.kinds import HEAD_BYTES, KINDS_IN_WORDS, kind_of
from o.domain.files.mime_types import media_type_of
from o.domain.files.names import base_name, given_name
from o.errors import Conflict, InvalidInput, OError, TooLarge, UnknownType
from o.ids import new_id
from o.storage.database import Database
from o.storage.files.files import find_named
from o.storage.files.uploads import (
    Uploaded,
    add_piece,
    begin_upload,
    drop_upload,
    end_upload,
    name_taken,
)

DuplicateHandling = Literal["skip", "error", "suffix", "replace"]
"""V1's `DuplicateFileHandling`: what becomes of a file whose name is taken."""

_NO_NAME = "The file has no name: send one with the file, or in the parameter 'name'"
_NO_FILE = "The form has no file: send one in the field 'file'"
_TWO_FILES = "The form has more than one file: send each by itself"
_GONE = "The client left before the file had come"


@dataclass(frozen=True)
class UploadRequest:
    """What is asked for with a file.

    Attributes:
        name: What it is to be called; None for what the client calls it.
        duplicates: What becomes of it where its name is taken.
        is_repeat: Whether the client has sent it before, and did not hear of its end.
    """

    folder: Folder
    actor: Actor
    name: str | None
    duplicates: DuplicateHandling
    is_repeat: bool


class Uploads:
    """Takes files from requests into the database."""

    def __init__(self, database: Database, *, most_bytes: int) -> None:
        self._database = database
        self._most_bytes = most_bytes

    async def take(self, request: Request, asked: UploadRequest) -> Uploaded:
        """Store the file of a request. The folder is not locked while it comes.

        A request that is refused is read to its end first, so that its client reads why.

        Raises:
            Conflict: The name is taken, and that was to be an error.
            InvalidInput: There is no file in it, or none that is complete.
            NotFound: The folder was deleted meanwhile.
            TooLarge: The file is larger than one may be.
            UnknownType: No text can be made of it.
        """
        upload: _Upload | None = None
        refused: OError | None = None
        try:
            async for part in _file_parts(request):
                try:
                    if isinstance(part, PartHead):
                        if upload is not None:
                            raise InvalidInput(_TWO_FILES)
                        upload = await self._begin(part, asked)
                    elif upload is not None and refused is None:
                        await upload.add(part)
                except (Conflict, InvalidInput, UnknownType) as error:
                    refused = refused or error
            if refused is not None:
                raise refused
            if upload is None:
                raise InvalidInput(_NO_FILE)
            return await upload.end()
        except ClientDisconnect:
            raise HTTPException(400, _GONE) from None
        finally:
            if upload is not None:
                await upload.leave()

    async def _begin(self, head: PartHead, asked: UploadRequest) -> "_Upload":
        name = given_name(asked.name or "") or base_name(head.file_name or "")
        if not name:
            raise InvalidInput(_NO_NAME)
        there = None
        if asked.duplicates in ("skip", "error") and not asked.is_repeat:
            async with self._database.connect() as connection:
                shown = shown_name(asked.folder.name, name)
                there = await find_named(connection, asked.folder.id, shown)
        if there is not None and asked.duplicates == "error":
            raise name_taken(name, asked.folder)
        return _Upload(self._database, asked, name, head, there, most_bytes=self._most_bytes)


class _Upload:
    """One file on its way."""

    def __init__(
        self,
        database: Database,
        asked: UploadRequest,
        name: str,
        head: PartHead,
        there: File | None,
        *,
        most_bytes: int,
    ) -> None:
        self._database = database
        self._asked = asked
        self._name = name
        self._head = head
        self._there = there
        self._most_bytes = most_bytes
        self._id = new_id("file")
        self._now = datetime.now(UTC)
        self._media_type: str | None = None
        self._held = bytearray()
        self._size = 0
        self._digest = hashlib.sha256()
        self._pieces = 0
        self._is_over = there is not None

    async def add(self, data: bytes) -> None:
        """Take what comes next.

        Raises:
            NotFound: The folder was deleted meanwhile.
            TooLarge: It is more than a file may have.
            UnknownType: No text can be made of it.
        """
        self._size += len(data)
        if self._size > self._most_bytes:
            raise TooLarge(file_too_large(self._most_bytes))
        if self._is_over:  # a file that is there is taken for it
            return
        self._digest.update(data)
        self._held += data
        if self._media_type is None and len(self._held) >= HEAD_BYTES:
            self._look()
        while len(self._held) > UPLOAD_PIECE_BYTES:
            await self._store_piece(bytes(self._held[:UPLOAD_PIECE_BYTES]))
            del self._held[:UPLOAD_PIECE_BYTES]

    async def end(self) -> Uploaded:
        """Make a file of what has come."""
        if self._there is not None:
            return Uploaded(self._there, is_new=False)
        if self._media_type is None:
            self._look()
        async with self._database.begin() as connection:
            if not self._pieces:
                await begin_upload(connection, self._file())
            if self._held:
                await add_piece(connection, self._id, self._pieces, bytes(self._held))
            ended = await end_upload(
                connection,
                self._asked.actor,
                self._file(),
                duplicates=self._asked.duplicates,
                is_repeat=self._asked.is_repeat,
            )
            if not ended.is_new:
                await drop_upload(connection, self._id)
        self._is_over = True
        return ended

    async def leave(self) -> None:
        """Have what is stored purged, if the file has not come to its end."""
        if self._is_over or not self._pieces:
            return
        with suppress(SQLAlchemyError):  # the sweeper finds it a while later
            async with self._database.begin() as connection:
                await drop_upload(connection, self._id)

    def _look(self) -> None:
        """Find out what it is, by its beginning."""
        known_as = self._head.file_name or self._name
        kind = kind_of(known_as, self._head.media_type, bytes(self._held[:HEAD_BYTES]))
        if kind is None and known_as != self._name:
            kind = kind_of(self._name, self._head.media_type, bytes(self._held[:HEAD_BYTES]))
        if kind is None:
            raise UnknownType(f"No text can be made of '{self._name}': upload {KINDS_IN_WORDS}")
        self._media_type = media_type_of(kind, self._head.media_type)

    async def _store_piece(self, body: bytes) -> None:
        async with self._database.begin() as connection:
            if not self._pieces:
                await begin_upload(connection, self._file())
            await add_piece(connection, self._id, self._pieces, body)
        self._pieces += 1

    def _file(self) -> File:
        folder, actor = self._asked.folder, self._asked.actor
        return File(
            id=self._id,
            organization_id=folder.organization_id,
            folder_id=folder.id,
            file_name=shown_name(folder.name, self._name),
            original_file_name=self._name,
            file_type=self._media_type,
            file_size=self._size,
            content_key=self._digest.hexdigest(),
            created_by_id=actor.user_id,
            last_updated_by_id=actor.user_id,
            created_at=self._now,
            updated_at=self._now,
        )


async def _file_parts(request: Request) -> AsyncIterator[PartHead | bytes]:
    """The heads of files in a form's field `file`, and what they hold."""
    is_file = False
    async for part in form_parts(request.headers.get("content-type"), request.stream()):
        if isinstance(part, PartHead):
            is_file = part.name == "file" and part.file_name is not None
        if is_file:
            yield part
