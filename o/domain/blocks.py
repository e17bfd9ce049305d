"""Blocks: labelled memory that stands in the context of the agents they are attached to."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

DEFAULT_LIMIT_CHARS = 100_000
MAX_VALUE_CHARS = 1_000_000
"""What a block may hold, whatever its limit says: it stands in every prompt of its agents."""

MAX_LABEL_CHARS = 200
_VERBS = ("attach/", "detach/")


def limit_fault(chars: int, limit_chars: int, *, before: int = 0) -> str | None:
    """Why a value of so many characters cannot be, None when it can.

    One that was over the limit `before` (it was lowered, or not enforced) may become shorter.
    """
    if chars <= limit_chars or chars < before:
        return None
    return f"its limit is {limit_chars} characters, and it would have {chars}"


def label_fault(label: str) -> str | None:
    """Why this cannot be a label, None when it can.

    A label is a tag of the prompt and the end of an address, `…/core-memory/blocks/{label}`.
    """
    if not 1 <= len(label) <= MAX_LABEL_CHARS:
        return f"A label has 1 to {MAX_LABEL_CHARS} characters."
    if len(label.splitlines()) != 1 or not label.replace(" ", "").isprintable():
        return "A label is one line, without control characters."
    if any(part in ("", ".", "..") for part in label.split("/")) or label.startswith(_VERBS):
        return (
            "A label with slashes is like a path: no part is empty, '.' or '..'; it does not "
            "begin with 'attach/' or 'detach/'."
        )
    return None


class Block(BaseModel):
    """One block.

    Attributes:
        limit_chars: Shown to the model, and enforced where the operator says so (`limit_fault`).
        read_only: Tools may not edit it; the API may.
        is_template: Kept and shown for clients that sort blocks by it, as are the ids of
            templates, deployments and projects; O does nothing with them.
        hidden: Left out of lists.
        version: Grows by one with every change; each is kept in the block's history.
        changed_by: Who made this version: a user's id, or that of the agent whose tool did.
        changed_via: How: the tool's name, or `api`, `undo`, `redo`, `restore`; None where an
            earlier release did.
        changed_in: The run whose turn the tool was called in.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    organization_id: str
    label: str
    value: str
    limit_chars: int = DEFAULT_LIMIT_CHARS
    description: str | None = None
    read_only: bool = False
    metadata: dict[str, Any] = {}
    tags: list[str] = []
    project_id: str | None = None
    is_template: bool = False
    template_name: str | None = None
    template_id: str | None = None
    base_template_id: str | None = None
    deployment_id: str | None = None
    entity_id: str | None = None
    preserve_on_migration: bool = False
    hidden: bool | None = None
    version: int = 1
    changed_by: str | None = None
    changed_via: str | None = "api"
    changed_in: str | None = None
    created_by_id: str | None = None
    last_updated_by_id: str | None = None
    created_at: datetime
    updated_at: datetime


class BlockVersion(BaseModel):
    """A block as it was, and how it came to be so.

    Undo and redo make versions too: nothing is taken out of a history. They go along `undo_to` and
    `redo_to`, which name the versions that first brought what they lead back to.

    Attributes:
        value: None in lists, which say how long it is (`chars`) instead.
        actor: Whose change it was: the id of a user or an agent.
        via: How; see `Block.changed_via`.
        run_id: The run in whose turn a tool did it.
        fields: What it held beside the rest; None in versions that an earlier release made.
        origin: The version that first brought this content; None in those of an earlier release.
        undo_to: The origin that undo leads to.
        redo_to: The origin that redo leads to, which only what undo made can have.
    """

    model_config = ConfigDict(frozen=True)

    block_id: str
    version: int
    label: str
    value: str | None = None
    chars: int
    description: str | None = None
    limit_chars: int
    fields: dict[str, Any] | None = None
    actor: str | None = None
    via: str | None = None
    run_id: str | None = None
    origin: int | None = None
    undo_to: int | None = None
    redo_to: int | None = None
    created_at: datetime

    @property
    def brought_by(self) -> int:
        """The version that first brought this content."""
        return self.version if self.origin is None else self.origin

    @property
    def undone(self) -> int | None:
        """The version that undo leads to; earlier releases kept them in line, and nothing else."""
        if self.origin is None:
            return self.version - 1 if self.version > 1 else None
        return self.undo_to

    @property
    def content(self) -> dict[str, Any]:
        """Column to value, for all that the block held."""
        return {
            "value": self.value,
            "label": self.label,
            "description": self.description,
            "limit_chars": self.limit_chars,
            **(self.fields or {}),
        }
