"""Blocks: labelled memory that stands in the context of the agents they are attached to."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

DEFAULT_LIMIT_CHARS = 100_000


class Block(BaseModel):
    """One block. `version` grows by one with every change of its value."""

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
    version: int = 1
    created_by_id: str | None = None
    last_updated_by_id: str | None = None
    created_at: datetime
    updated_at: datetime
