"""Blocks: labelled memory that stands in the context of the agents they are attached to."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

DEFAULT_LIMIT_CHARS = 100_000


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
