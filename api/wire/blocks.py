"""V1's spelling of blocks."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.wire.fields import Json, RequestBody, Several, Text, changed_columns, with_example
from o.domain.actors import Actor
from o.domain.blocks import (
    DEFAULT_LIMIT_CHARS,
    MAX_LABEL_CHARS,
    MAX_VALUE_CHARS,
    Block,
    label_fault,
)
from o.ids import new_id

_CAN_BE_CLEARED = frozenset(
    {
        "description",
        "project_id",
        "template_name",
        "template_id",
        "base_template_id",
        "deployment_id",
        "entity_id",
        "hidden",
    }
)


def _checked_label(label: str) -> str:
    if (fault := label_fault(label)) is not None:
        raise ValueError(fault)
    return label


Label = Annotated[
    Text, Field(min_length=1, max_length=MAX_LABEL_CHARS), AfterValidator(_checked_label)
]
Value = Annotated[Text, Field(max_length=MAX_VALUE_CHARS)]


class BlockBody(BaseModel):
    """V1's `BlockResponse`, and O's own `version`.

    `limit` is in characters; it is shown to the model, and holds where the operator says so.
    """

    model_config = ConfigDict(from_attributes=True)

    id: str
    label: str
    value: str
    limit: int = Field(validation_alias="limit_chars")
    description: str | None
    read_only: bool
    metadata: dict[str, Any]
    tags: list[str]
    created_by_id: str | None
    last_updated_by_id: str | None
    is_template: bool
    project_id: str | None
    template_name: str | None
    template_id: str | None
    base_template_id: str | None
    deployment_id: str | None
    entity_id: str | None
    preserve_on_migration: bool
    hidden: bool | None
    version: int

    @classmethod
    def of(cls, block: Block) -> Self:
        """The block as V1 shows it."""
        return cls.model_validate(block)


class MemoryBody(BaseModel):
    """V1's `Memory`, also the deprecated `memory` of agents. Open files are no blocks here."""

    agent_type: str
    git_enabled: bool = False
    blocks: list[BlockBody]
    file_blocks: list[BlockBody] = []
    prompt_template: str = ""


class _TemplateFields(RequestBody):
    """What V1 keeps of a block's template, kept and shown here too."""

    project_id: Text | None = None
    is_template: bool | None = None
    template_name: Text | None = None
    template_id: Text | None = None
    base_template_id: Text | None = None
    deployment_id: Text | None = None
    entity_id: Text | None = None
    preserve_on_migration: bool | None = None
    hidden: bool | None = None


class CreateBlockBody(_TemplateFields):
    """V1's `CreateBlock`."""

    model_config = with_example(label="human", value="Their name is Ada.")

    label: Label
    value: Value
    limit: int = Field(DEFAULT_LIMIT_CHARS, ge=1, le=2_000_000_000)
    description: Text | None = None
    read_only: bool = False
    metadata: Json | None = None
    tags: Several[Text] | None = None

    def to_block(self, actor: Actor, now: datetime) -> Block:
        """A new block of this actor's."""
        given = self.model_dump(exclude_none=True, exclude={"limit"})
        return Block(
            **given,
            id=new_id("block"),
            organization_id=actor.organization_id,
            limit_chars=self.limit,
            created_by_id=actor.user_id,
            last_updated_by_id=actor.user_id,
            created_at=now,
            updated_at=now,
        )


class UpdateBlockBody(_TemplateFields):
    """V1's `BlockUpdate`: only what the client names is changed."""

    model_config = with_example(value="Their name is Ada. They like tea.")

    value: Value | None = None
    label: Label | None = None
    limit: int | None = Field(None, ge=1, le=2_000_000_000)
    description: Text | None = None
    read_only: bool | None = None
    metadata: Json | None = None
    tags: Several[Text] | None = None

    def changes(self) -> dict[str, Any]:
        """Column to value, for what was given. Null clears what may be absent, else nothing."""
        given = self.model_dump(exclude_unset=True)
        if "limit" in given:
            given["limit_chars"] = given.pop("limit")
        return changed_columns(given, _CAN_BE_CLEARED)


def block_bodies(blocks: Sequence[Block]) -> list[BlockBody]:
    """The blocks as V1 shows them."""
    return [BlockBody.of(block) for block in blocks]
