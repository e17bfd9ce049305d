"""V1's spelling of identities."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, RootModel

from api.wire.fields import Json, Key, RequestBody, Several, Text, with_example
from o.domain.actors import Actor
from o.domain.identities import Identity, IdentityType, Property, PropertyType, with_properties
from o.ids import new_id

# PostgreSQL takes 2,704 bytes into an index, and a character may be four.
IdentifierKey = Annotated[Key, Field(max_length=400)]
Name = Annotated[Text, Field(max_length=2_000)]
_Number = Annotated[float, Field(allow_inf_nan=False)]
ProjectId = Annotated[Key, Field(max_length=200)]


class PropertyBody(RequestBody):
    """V1's `IdentityProperty`."""

    model_config = ConfigDict(from_attributes=True)

    key: Annotated[Text, Field(max_length=1_000)]
    value: Text | int | _Number | bool | Json
    type: PropertyType

    def to_property(self) -> Property:
        """The property as it is kept."""
        return Property(key=self.key, value=self.value, type=self.type)


class PropertiesBody(RootModel[Several[PropertyBody]]):
    """Properties that an identity is given: V1 takes the list alone."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={"examples": [[{"key": "age", "value": 36, "type": "number"}]]},
    )


class IdentityBody(BaseModel):
    """V1's `Identity`."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    identifier_key: str
    name: str
    identity_type: IdentityType
    project_id: str | None
    agent_ids: list[str] = Field(deprecated=True)
    block_ids: list[str] = Field(deprecated=True)
    organization_id: str
    properties: list[Property]

    @classmethod
    def of(cls, identity: Identity) -> Self:
        """The identity as V1 shows it."""
        return cls.model_validate(identity)


class _IdentityFields(RequestBody):
    """What a client can say of an identity at any time. None says nothing."""

    agent_ids: Several[Text] | None = Field(None, deprecated=True)
    block_ids: Several[Text] | None = Field(None, deprecated=True)
    properties: Several[PropertyBody] | None = None

    def holders(self) -> tuple[list[str] | None, list[str] | None]:
        """The agents and the blocks that are named; None where none are."""
        fields = self.__dict__  # read there, deprecated fields warn nobody
        return fields["agent_ids"], fields["block_ids"]

    def given_properties(self) -> list[Property] | None:
        """The properties, each key once, the last of each counting."""
        return None if self.properties is None else kept_properties([], self.properties)


class CreateIdentityBody(_IdentityFields):
    """V1's `IdentityCreate` and `IdentityUpsert`."""

    model_config = with_example(identifier_key="user_1", name="Caren", identity_type="user")

    identifier_key: IdentifierKey
    name: Name
    identity_type: IdentityType
    project_id: ProjectId | None = None

    def to_identity(self, actor: Actor, project_id: str | None, now: datetime) -> Identity:
        """A new identity of this actor's, without who has it."""
        return Identity(
            id=new_id("identity"),
            organization_id=actor.organization_id,
            identifier_key=self.identifier_key,
            name=self.name,
            identity_type=self.identity_type,
            properties=self.given_properties() or [],
            project_id=project_id,
            created_by_id=actor.user_id,
            last_updated_by_id=actor.user_id,
            created_at=now,
            updated_at=now,
        )

    def changes(self) -> dict[str, Any]:
        """Column to value, for an identity that is there by the key: what is given takes over."""
        changes: dict[str, Any] = {"name": self.name, "identity_type": self.identity_type}
        if (properties := self.given_properties()) is not None:
            changes["properties"] = stored_properties(properties)
        return changes


class UpdateIdentityBody(_IdentityFields):
    """V1's `IdentityUpdate`: only what the client names is changed, and null changes nothing."""

    model_config = with_example(
        properties=[{"key": "email", "value": "caren@example.com", "type": "string"}]
    )

    identifier_key: IdentifierKey | None = None
    name: Name | None = None
    identity_type: IdentityType | None = None

    def changes(self, before: Identity) -> dict[str, Any]:
        """Column to value, for what was given; properties are added to those that are there."""
        named = ("identifier_key", "name", "identity_type")
        given = {name: getattr(self, name) for name in named}
        changes: dict[str, Any] = {name: one for name, one in given.items() if one is not None}
        if self.properties is not None:
            merged = kept_properties(before.properties, self.properties)
            changes["properties"] = stored_properties(merged)
        return changes


def kept_properties(before: list[Property], given: Sequence[PropertyBody]) -> list[Property]:
    """What an identity has once it is given these."""
    return with_properties(before, [one.to_property() for one in given])


def stored_properties(properties: Sequence[Property]) -> list[dict[str, Any]]:
    """The properties as their column takes them."""
    return [one.model_dump(mode="json") for one in properties]


def identity_bodies(identities: Sequence[Identity]) -> list[IdentityBody]:
    """The identities as V1 shows them."""
    return [IdentityBody.of(identity) for identity in identities]
