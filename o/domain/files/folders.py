"""Folders of files that agents read and search."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

UPLOAD_PIECE_BYTES = 1 << 20
"""An upload is stored in pieces of so many bytes; the last one may be shorter."""


class ProcessingStatus(StrEnum):
    """How far a file is, in V1's words."""

    PENDING = "pending"
    PARSING = "parsing"
    EMBEDDING = "embedding"
    COMPLETED = "completed"
    ERROR = "error"


class Folder(BaseModel):
    """A collection of files, which agents that it is attached to open and search.

    Attributes:
        embedding: The handle that was named when it was made; None where none was.
        embedding_config: V1's spelling of the same, shown to clients.
        archive_id: The archive that the passages of its files stand in, which no list shows.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    organization_id: str
    name: str
    description: str | None = None
    instructions: str | None = None
    metadata: dict[str, Any] | None = None
    embedding: str | None = None
    embedding_config: dict[str, Any] | None = None
    archive_id: str
    created_by_id: str | None = None
    last_updated_by_id: str | None = None
    created_at: datetime
    updated_at: datetime


class File(BaseModel):
    """A file of a folder: what it is called, and how far it is read.

    Attributes:
        file_name: `<name of the folder>/<its own>`, as V1 shows it; one of a kind in the folder.
        original_file_name: As it was uploaded, without folders.
        file_type: Its MIME type.
        file_size: In bytes.
        processing_status: As it is stored: `embedding` or `completed` once its passages are there.
        error_message: Why it could not be read, for people.
        total_chunks: Its passages; None before it is read.
        waiting_chunks: Those that have no vector yet and will get one.
        content_key: SHA-256 of what was uploaded.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    organization_id: str
    folder_id: str
    file_name: str
    original_file_name: str
    file_path: str | None = None
    file_type: str | None = None
    file_size: int | None = None
    file_creation_date: str | None = None
    file_last_modified_date: str | None = None
    processing_status: ProcessingStatus = ProcessingStatus.PENDING
    error_message: str | None = None
    total_chunks: int | None = None
    waiting_chunks: int = 0
    content_key: str | None = None
    created_by_id: str | None = None
    last_updated_by_id: str | None = None
    created_at: datetime
    updated_at: datetime

    @property
    def status(self) -> ProcessingStatus:
        """How far it is: a file that is read is complete when no passage waits for its vector."""
        if self.processing_status in {ProcessingStatus.EMBEDDING, ProcessingStatus.COMPLETED}:
            is_embedding = self.waiting_chunks > 0
            return ProcessingStatus.EMBEDDING if is_embedding else ProcessingStatus.COMPLETED
        return self.processing_status

    @property
    def chunks_embedded(self) -> int | None:
        """Passages that wait for nothing; None before it is read."""
        if self.total_chunks is None:
            return None
        return max(0, self.total_chunks - self.waiting_chunks)


class AgentFile(BaseModel):
    """How an agent stands to a file of one of its folders.

    Attributes:
        is_open: Whether the agent sees it in its prompt.
        view_start: The first line that it sees, from 1; None from the beginning.
        view_end: The last line that it sees; None for as far as there is room.
        last_accessed_at: When the agent opened or searched it last.
    """

    model_config = ConfigDict(frozen=True)

    agent_id: str
    file_id: str
    folder_id: str
    is_open: bool = False
    view_start: int | None = None
    view_end: int | None = None
    last_accessed_at: datetime | None = None


def shown_name(folder_name: str, own_name: str) -> str:
    """V1's `file_name`: what a file is called, under the name of its folder."""
    return f"{folder_name}/{own_name}"


def agent_file_id(agent_id: str, file_id: str) -> str:
    """V1's id of how an agent stands to a file, made of both ids so that nobody stores it."""
    mixed = _mixed(agent_id.removeprefix("agent-"), file_id.removeprefix("file-"))
    return f"file_agent-{mixed}"


def file_meant(agent_id: str, known_as: str) -> str:
    """The id of the file that an agent has by an `agent_file_id`, or by the file's own id."""
    mixed = known_as.removeprefix("file_agent-")
    if mixed == known_as:
        return known_as
    return f"file-{_mixed(agent_id.removeprefix('agent-'), mixed)}"


def _mixed(one: str, other: str) -> str:
    """Two UUIDs as a third, which gives back either when it is mixed with the other one."""
    try:
        return str(uuid.UUID(int=uuid.UUID(one).int ^ uuid.UUID(other).int, version=4))
    except ValueError:
        return other
