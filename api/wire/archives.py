"""V1's spelling of archives."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from api.wire.fields import EntityTime, Text, changed_columns, with_example
from api.wire.llm import EmbeddingFields
from o.domain.actors import Actor
from o.domain.archives import Archive
from o.ids import new_id

_CAN_BE_CLEARED = frozenset({"description"})
Name = Annotated[Text, Field(min_length=1, max_length=500)]


class ArchiveBody(BaseModel):
    """V1's `Archive`."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    created_by_id: str | None
    last_updated_by_id: str | None
    created_at: EntityTime
    updated_at: EntityTime
    name: str
    description: str | None
    organization_id: str
    vector_db_provider: Literal["native"] = "native"
    embedding_config: dict[str, Any] | None
    metadata: dict[str, Any] | None

    @classmethod
    def of(cls, archive: Archive) -> Self:
        """The archive as V1 shows it, with the default model's fields where that embeds it."""
        shown = cls.model_validate(archive)
        if shown.embedding_config is None:
            shown.embedding_config = EmbeddingFields(embedding=archive.embedding).embedding_shown()
        return shown


class CreateArchiveBody(EmbeddingFields):
    """V1's `ArchiveCreateRequest`. Without `embedding`, the server's default model is used."""

    model_config = with_example(name="Travel notes", description="Where we have been.")

    name: Name
    description: Text | None = None

    def to_archive(self, actor: Actor, now: datetime) -> Archive:
        """A new archive of this actor's."""
        return Archive(
            id=new_id("archive"),
            organization_id=actor.organization_id,
            name=self.name,
            description=self.description,
            embedding=self.embedding_handle(),
            embedding_config=self.embedding_shown(),
            created_by_id=actor.user_id,
            last_updated_by_id=actor.user_id,
            created_at=now,
            updated_at=now,
        )


class UpdateArchiveBody(EmbeddingFields):
    """V1's `ArchiveUpdateRequest`, and the embedding model: what is there is embedded anew."""

    model_config = with_example(name="Travel notes of 2026")

    name: Name | None = None
    description: Text | None = None

    def changes(self) -> dict[str, Any]:
        """Column to value, for what was given. Null clears the description, else nothing."""
        given = self.model_dump(include={"name", "description"}, exclude_unset=True)
        return changed_columns(given, _CAN_BE_CLEARED) | self.embedding_changes()
