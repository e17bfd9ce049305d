"""V1's spelling of folders, which it called sources before."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.wire.fields import EntityTime, Json, Text, changed_columns, with_example
from api.wire.llm import EmbeddingFields
from o.domain.actors import Actor
from o.domain.files.folders import Folder
from o.domain.files.names import MAX_FOLDER_NAME_CHARS
from o.ids import new_id
from o.storage.files.folders import FileSize, FolderSum

_CAN_BE_CLEARED = frozenset({"description", "instructions"})


def _not_blank(name: str) -> str:
    if not name.strip():
        raise ValueError("is empty")
    return name


FolderName = Annotated[
    Text, Field(min_length=1, max_length=MAX_FOLDER_NAME_CHARS), AfterValidator(_not_blank)
]


class FolderBody(BaseModel):
    """V1's `Folder`, and its older form `Source`."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    description: str | None
    instructions: str | None
    metadata: dict[str, Any] | None
    embedding_config: dict[str, Any] | None
    organization_id: str
    vector_db_provider: Literal["native"] = "native"
    created_by_id: str | None
    last_updated_by_id: str | None
    created_at: EntityTime
    updated_at: EntityTime

    @classmethod
    def of(cls, folder: Folder, default_embedding: str | None = None) -> Self:
        """The folder as V1 shows it, with the fields of the default model where that embeds it.

        V1's clients read them of every folder, so something is there whatever is known.
        """
        shown = cls.model_validate(folder)
        if folder.embedding is None:
            said = EmbeddingFields(
                embedding=default_embedding or "letta/auto",
                embedding_config=folder.embedding_config,
            )
            shown.embedding_config = said.embedding_shown()
        return shown


class CreateFolderBody(EmbeddingFields):
    """V1's `SourceCreate`. Without `embedding`, the server's default model is used."""

    model_config = with_example(name="Handbook", description="How we work.")

    name: FolderName
    description: Text | None = None
    instructions: Text | None = None
    metadata: Json | None = None
    embedding_chunk_size: int | None = Field(
        None, ge=1, le=100_000, description="Tokens that a passage of its files has at most"
    )

    def to_folder(self, actor: Actor, now: datetime) -> Folder:
        """A new folder of this actor's."""
        config = self.embedding_shown()
        if self.embedding_chunk_size is not None:
            config = (config or {}) | {"embedding_chunk_size": self.embedding_chunk_size}
        return Folder(
            id=new_id("source"),
            organization_id=actor.organization_id,
            name=self.name,
            description=self.description,
            instructions=self.instructions,
            metadata=self.metadata,
            embedding=self.embedding_handle(),
            embedding_config=config,
            archive_id=new_id("archive"),
            created_by_id=actor.user_id,
            last_updated_by_id=actor.user_id,
            created_at=now,
            updated_at=now,
        )


class UpdateFolderBody(EmbeddingFields):
    """V1's `SourceUpdate`; with another embedding model, what is there is embedded anew."""

    model_config = with_example(name="Handbook of 2026")

    name: FolderName | None = None
    description: Text | None = None
    instructions: Text | None = None
    metadata: Json | None = None

    def changes(self) -> dict[str, Any]:
        """Column to value, for what was given. Null clears descriptions, else nothing."""
        fields = {"name", "description", "instructions", "metadata"}
        given = self.model_dump(include=fields, exclude_unset=True)
        return changed_columns(given, _CAN_BE_CLEARED) | self.embedding_changes()


class FileStatsBody(BaseModel):
    """V1's `FileStats`."""

    file_id: str
    file_name: str
    file_size: int | None


class FolderStatsBody(BaseModel):
    """V1's `SourceStats`."""

    source_id: str
    source_name: str
    file_count: int
    total_size: int
    files: list[FileStatsBody]


class FoldersStatsBody(BaseModel):
    """V1's `OrganizationSourcesStats`; sizes are in bytes."""

    total_sources: int
    total_files: int
    total_size: int
    sources: list[FolderStatsBody]

    @classmethod
    def of(cls, sums: Sequence[FolderSum], sizes: Sequence[FileSize] | None) -> Self:
        """What there is in all, and of each folder where the files are given."""
        files: dict[str, list[FileStatsBody]] = defaultdict(list)
        for file in sizes or ():
            files[file.folder_id].append(
                FileStatsBody(file_id=file.id, file_name=file.file_name, file_size=file.file_size)
            )
        each = [
            FolderStatsBody(
                source_id=one.id,
                source_name=one.name,
                file_count=one.file_count,
                total_size=one.total_size,
                files=files[one.id],
            )
            for one in sums
        ]
        return cls(
            total_sources=len(sums),
            total_files=sum(one.file_count for one in sums),
            total_size=sum(one.total_size for one in sums),
            sources=[] if sizes is None else each,
        )
