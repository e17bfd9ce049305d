"""Identities: whose an agent or a block is, in the words of the application that uses O."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

IdentityType = Literal["org", "user", "other"]
PropertyType = Literal["string", "number", "boolean", "json"]


class Property(BaseModel):
    """One thing that an application knows of an identity; `key` is its name, `type` V1's word."""

    model_config = ConfigDict(frozen=True)

    key: str
    value: Any
    type: PropertyType


class Identity(BaseModel):
    """A user, an organization or something else that agents and blocks belong to.

    Attributes:
        identifier_key: What the application knows it by: one of a kind in its project.
        properties: In the order in which they were first given; each key once.
        agent_ids: Who has it, of those that live.
        block_ids: Which blocks have it.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    organization_id: str
    identifier_key: str
    name: str
    identity_type: IdentityType
    properties: list[Property] = []
    project_id: str | None = None
    agent_ids: list[str] = []
    block_ids: list[str] = []
    created_by_id: str | None = None
    last_updated_by_id: str | None = None
    created_at: datetime
    updated_at: datetime


def with_properties(before: list[Property], given: list[Property]) -> list[Property]:
    """The properties of an identity that is given some: a key that it has gets the new value."""
    return list({one.key: one for one in (*before, *given)}.values())
