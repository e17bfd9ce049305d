"""The activity that makes passages of a file."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from temporalio import activity

from activities.errors import as_activity_failure
from activities.heartbeat import heartbeating
from o.domain.archives import Archive, Passage, words_key
from o.domain.files.ingestion import FileToRead
from o.domain.files.kinds import HEAD_BYTES, KINDS_IN_WORDS, FileKind, kind_of
from o.domain.files.reading import FileReader, FileRefused, FileText, chunk_tokens
from o.errors import OError
from o.ids import derived_id
from o.storage.database import Database, is_unfit, with_patience
from o.storage.files.ingestion import (
    complete_file,
    content_of,
    forget_attempt,
    keep_content,
    keep_passages,
    refuse_file,
    take_file,
    upload_of,
)
from workflows.text_contract import FileOutcome, FileRef

_BATCH = 200
_PIECE_CHARS = 1 << 20
_GONE = FileOutcome("gone")


class IngestionActivities:
    """Makes passages of files."""

    def __init__(
        self,
        database: Database,
        reader: FileReader,
        embed_soon: Callable[[Archive], None],
        *,
        most_deaths: int = 8,
    ) -> None:
        """Nothing is read yet.

        Args:
            database: Where files stand.
            reader: What makes text of them.
            embed_soon: Is told of an archive that has new passages.
            most_deaths: How many workers may die of a file before it is refused.
        """
        self._database = database
        self._reader = reader
        self._embed_soon = embed_soon
        self._most_deaths = most_deaths

    @activity.defn(name="ingest_file")
    async def ingest_file(self, ref: FileRef) -> FileOutcome:
        """Read a file, store its text and its passages, and note at the file what came of it.

        Safe to retry: it is read again and cut alike, and each passage has the id of its place. A
        file that cannot be read is no failure of the activity, nor is one that was deleted. One
        that its worker died of again and again is refused.
        """
        with as_activity_failure(), heartbeating():
            async with self._database.connect() as connection:
                file = await take_file(connection, ref.file_id)
            if file is None:
                return _GONE
            async with self._counted(file):
                outcome = await self._ingest(file)
        facts = {"file_id": ref.file_id, "status": outcome.status, "passages": outcome.passages}
        activity.logger.info("file read", extra=facts)
        return outcome

    @asynccontextmanager
    async def _counted(self, file: FileToRead) -> AsyncIterator[None]:
        """Whatever leaves here leaves a worker that lives, so that the attempt does not count.

        A database that is away is waited for: until it is back, nobody could read the file.
        """
        try:
            yield
        except BaseException as error:  # a worker that is stopped cancels what it does
            patience_s = math.inf if isinstance(error, Exception) else 0.0
            with suppress(DBAPIError, PoolTimeout, OError):
                await with_patience(partial(self._forget, file.id), patience_s=patience_s)
            raise

    async def _forget(self, file_id: str) -> None:
        async with self._database.connect() as connection:
            await forget_attempt(connection, file_id)

    async def _ingest(self, file: FileToRead) -> FileOutcome:
        try:
            if file.attempt > self._most_deaths:
                raise FileRefused(f"The process that read it died {self._most_deaths} times.")
            return await self._store(file, await self._read(file))
        except FileRefused as error:
            return await self._refuse(file, error.message)
        except DBAPIError as error:
            if not is_unfit(error):
                raise
            return await self._refuse(file, "It cannot be stored.")

    async def _read(self, file: FileToRead) -> FileText:
        tokens = chunk_tokens(file.chunk_size)
        if file.has_upload:
            pieces = upload_of(self._database, file.id)
            first = await anext(pieces)
            kind = kind_of(file.name, file.media_type, first[:HEAD_BYTES])
            if kind is None:
                raise FileRefused(f"It is none of what can be read: {KINDS_IN_WORDS}.")
            return await self._reader.read(kind, _and_more(first, pieces), chunk_tokens=tokens)
        async with self._database.connect() as connection:
            text = await content_of(connection, file.id)
        if text is None:
            return FileText("", [])
        kind = kind_of(file.name, file.media_type, b"") or FileKind.TEXT
        if kind in {FileKind.PDF, FileKind.DOCX, FileKind.HTML}:  # Markdown was made of it
            kind = FileKind.MARKDOWN
        return await self._reader.read(kind, _pieces_of(text), chunk_tokens=tokens)

    async def _store(self, file: FileToRead, found: FileText) -> FileOutcome:
        if file.has_upload or not found.text:  # an empty file has no pieces that were uploaded
            async with self._database.begin() as connection:
                if not await keep_content(connection, file.id, found.text):
                    return _GONE
        for start in range(0, len(found.chunks), _BATCH):
            part = found.chunks[start : start + _BATCH]
            passages = await asyncio.to_thread(_passages, file, start, part)
            async with self._database.begin() as connection:
                if not await keep_passages(connection, file.id, passages):
                    return _GONE
            self._embed_soon(file.archive)
        async with self._database.begin() as connection:
            is_there = await complete_file(connection, file.id, len(found.chunks))
        return FileOutcome("completed", len(found.chunks)) if is_there else _GONE

    async def _refuse(self, file: FileToRead, reason: str) -> FileOutcome:
        async with self._database.begin() as connection:
            await refuse_file(connection, file.id, reason)
        return FileOutcome("error")


def _passages(file: FileToRead, start: int, texts: Sequence[str]) -> list[Passage]:
    """The passages from a place of the file on."""
    return [
        Passage(
            id=derived_id("passage", file.id, ordinal),
            organization_id=file.organization_id,
            archive_id=file.archive.id,
            text=text,
            metadata={},
            key=words_key(text),
            created_at=file.created_at,
            updated_at=file.created_at,
            file_id=file.id,
            ordinal=ordinal,
        )
        for ordinal, text in enumerate(texts, start)
    ]


async def _and_more(first: bytes, others: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in others:
        yield piece


async def _pieces_of(text: str) -> AsyncIterator[bytes]:
    for start in range(0, len(text), _PIECE_CHARS):
        yield text[start : start + _PIECE_CHARS].encode()
