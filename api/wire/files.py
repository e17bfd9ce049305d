"""V1's spelling of files, of what is said in them, and of how agents stand to them."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from api.wire.fields import EntityTime
from o.domain.archives import Passage
from o.domain.files.folders import File, ProcessingStatus, agent_file_id
from o.storage.files.agent_folders import HeldFile


class FileBody(BaseModel):
    """V1's `FileMetadata`."""

    id: str
    organization_id: str
    source_id: str
    folder_id: str
    file_name: str
    original_file_name: str
    file_path: str | None
    file_type: str | None
    file_size: int | None
    file_creation_date: str | None
    file_last_modified_date: str | None
    processing_status: ProcessingStatus
    error_message: str | None
    total_chunks: int | None
    chunks_embedded: int | None
    content: str | None = None
    created_at: EntityTime
    updated_at: EntityTime

    @classmethod
    def of(cls, file: File, content: str | None = None) -> Self:
        """The file as V1 shows it, with its text where that was asked for."""
        return cls(
            **{name: getattr(file, name) for name in _AS_THEY_ARE},
            source_id=file.folder_id,
            chunks_embedded=file.chunks_embedded,
            processing_status=file.status,
            content=content,
        )


_AS_THEY_ARE = sorted((set(FileBody.model_fields) & set(File.model_fields)) - {"processing_status"})


class FilePassageBody(BaseModel):
    """V1's `Passage`, of a file; vectors are never sent."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    created_by_id: str | None
    last_updated_by_id: str | None
    created_at: EntityTime
    updated_at: EntityTime
    is_deleted: bool = False
    organization_id: str
    archive_id: None = None
    source_id: str
    file_id: str | None
    file_name: str | None
    metadata: dict[str, Any]
    tags: list[str]
    text: str
    embedding: list[float] | None = None
    embedding_config: dict[str, Any] | None = None

    @classmethod
    def of(cls, passage: Passage, folder_id: str, names: Mapping[str, str]) -> Self:
        """The passage as V1 shows it, with the name of its file."""
        values = passage.model_dump(exclude={"archive_id"})
        name = names.get(passage.file_id or "")
        return cls(**values, source_id=folder_id, file_name=name)


class AgentFileBody(BaseModel):
    """V1's `AgentFileAttachment`."""

    id: str
    file_id: str
    file_name: str
    folder_id: str
    folder_name: str
    is_open: bool
    last_accessed_at: EntityTime | None
    visible_content: str | None
    start_line: int | None
    end_line: int | None

    @classmethod
    def of(cls, held: HeldFile, visible: str | None) -> Self:
        """The file as the agent has it, with what it sees of it."""
        file = held.file
        return cls(
            id=agent_file_id(file.agent_id, file.file_id),
            file_id=file.file_id,
            file_name=held.file_name,
            folder_id=file.folder_id,
            folder_name=held.folder_name,
            is_open=file.is_open,
            last_accessed_at=file.last_accessed_at,
            visible_content=visible,
            start_line=file.view_start,
            end_line=file.view_end,
        )


class AgentFilesBody(BaseModel):
    """V1's `PaginatedAgentFiles`."""

    files: list[AgentFileBody]
    next_cursor: str | None
    has_more: bool

    @classmethod
    def of(cls, found: Sequence[HeldFile], visible: Mapping[str, str], *, has_more: bool) -> Self:
        """A page of files; `visible` says what the agent sees of those that are open."""
        files = [AgentFileBody.of(one, visible.get(one.file.file_id)) for one in found]
        return cls(
            files=files,
            next_cursor=files[-1].id if files and has_more else None,
            has_more=has_more,
        )
