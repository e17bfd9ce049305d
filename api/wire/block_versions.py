"""The history of blocks as O shows it; V1 shows none."""

from typing import Any, Literal, Self

from pydantic import BaseModel, Field

from api.wire.fields import EntityTime
from o.domain.blocks import BlockVersion
from o.ids import is_id

_SHOWN_FIELDS = ("read_only", "metadata", "tags")


class BlockVersionBody(BaseModel):
    """One version in a list: who made it, how and when, without what it held."""

    block_id: str
    version: int
    label: str
    chars: int = Field(description="Characters of the value")
    actor_type: Literal["agent", "user"] | None
    actor_id: str | None
    via: str | None = Field(
        description="The tool that did it, or `api`, `undo`, `redo`, `restore`; null if unknown"
    )
    run_id: str | None = Field(description="The run in whose turn the tool was called")
    origin: int = Field(description="The version that first brought this content")
    undo_to: int | None = Field(description="The version that undo leads to from here")
    redo_to: int | None = Field(description="The version that redo leads to from here")
    created_at: EntityTime

    @classmethod
    def of(cls, version: BlockVersion) -> Self:
        """The version as it is shown."""
        return cls(**_entry(version))


class WholeBlockVersionBody(BlockVersionBody):
    """A block as it was. What an earlier release did not keep is null."""

    value: str
    limit: int
    description: str | None
    read_only: bool | None
    metadata: dict[str, Any] | None
    tags: list[str] | None

    @classmethod
    def of(cls, version: BlockVersion) -> Self:
        """The version as it is shown."""
        fields = version.fields or {}
        return cls(
            **_entry(version),
            **{name: fields.get(name) for name in _SHOWN_FIELDS},
            value=version.value,
            limit=version.limit_chars,
            description=version.description,
        )


class BlockDiffBody(BaseModel):
    """What changed from one version of a block to another."""

    block_id: str
    from_version: int
    to_version: int
    diff: str = Field(description="The lines of the value in the unified format; empty if equal")
    is_exact: bool = Field(
        description="False where comparing line by line would take too long: then all that lies "
        "between the lines that begin and end both values is shown as replaced"
    )
    fields: dict[str, list[Any]] = Field(
        description="What else changed, by its name: what it was, and what it is"
    )


def _entry(version: BlockVersion) -> dict[str, Any]:
    actor = version.actor
    return {
        **version.model_dump(
            include={"block_id", "version", "label", "chars", "via", "run_id", "created_at"}
        ),
        "actor_type": None if actor is None else "agent" if is_id(actor, "agent") else "user",
        "actor_id": actor,
        "origin": version.brought_by,
        "undo_to": version.undone,
        "redo_to": version.redo_to,
    }
