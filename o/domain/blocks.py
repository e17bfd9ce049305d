"""Blocks: labelled memory that stands in the context of the agents they are attached to."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

DEFAULT_LIMIT_CHARS = 100_000
MAX_VALUE_CHARS = 1_000_000
"""What a block may hold, whatever its limit says: it stands in every prompt of its agents."""

MAX_LABEL_CHARS = 200
_VERBS = ("attach/", "detach/")


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
        limit_chars: Shown to the model and not enforced, as in V1.
        read_only: Tools may not edit it; the API may.
        is_template: Kept and shown for clients that sort blocks by it, as are the ids of
            templates, deployments and projects; O does nothing with them.
        hidden: Left out of lists.
        version: Grows by one with every change; each is kept in the block's history.
        changed_by: Who made this version: a user's id, or that of the agent whose tool did.
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
    created_by_id: str | None = None
    last_updated_by_id: str | None = None
    created_at: datetime
    updated_at: datetime
