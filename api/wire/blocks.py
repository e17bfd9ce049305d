"""V1's spelling of blocks."""

from typing import Any, Self

from pydantic import BaseModel, Field

from api.wire.fields import Json, RequestBody, Text
from o.domain.blocks import DEFAULT_LIMIT_CHARS, Block


class BlockBody(BaseModel):
    """V1's `BlockResponse`. `limit` is in characters, shown to the model and not enforced."""

    id: str
    label: str
    value: str
    limit: int
    description: str | None
    read_only: bool
    metadata: dict[str, Any]
    tags: list[str]
    created_by_id: str | None
    last_updated_by_id: str | None
    is_template: bool = False
    project_id: str | None = None
    template_name: str | None = None
    template_id: str | None = None
    base_template_id: str | None = None
    deployment_id: str | None = None
    entity_id: str | None = None
    preserve_on_migration: bool = False
    hidden: bool | None = None

    @classmethod
    def of(cls, block: Block) -> Self:
        """The block as V1 shows it."""
        return cls(
            id=block.id,
            label=block.label,
            value=block.value,
            limit=block.limit_chars,
            description=block.description,
            read_only=block.read_only,
            metadata=block.metadata,
            tags=block.tags,
            created_by_id=block.created_by_id,
            last_updated_by_id=block.last_updated_by_id,
        )


class CreateBlockBody(RequestBody):
    """V1's `CreateBlock`."""

    label: Text = Field(min_length=1, max_length=200)
    value: Text
    limit: int = Field(DEFAULT_LIMIT_CHARS, ge=1, le=2_000_000_000)
    description: Text | None = None
    read_only: bool = False
    metadata: Json | None = None
    tags: list[Text] | None = None


class UpdateBlockBody(RequestBody):
    """V1's `BlockUpdate`: only what the client names is changed."""

    value: Text | None = None
    label: Text | None = Field(None, min_length=1, max_length=200)
    limit: int | None = Field(None, ge=1, le=2_000_000_000)
    description: Text | None = None
    read_only: bool | None = None
    metadata: Json | None = None
    tags: list[Text] | None = None

    def changes(self) -> dict[str, Any]:
        """Column to value, for what was given. Only a description is cleared by null."""
        given = self.model_dump(exclude_unset=True)
        if "limit" in given:
            given["limit_chars"] = given.pop("limit")
        return {
            name: value
            for name, value in given.items()
            if value is not None or name == "description"
        }
