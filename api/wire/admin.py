"""V1's spelling of organizations and users, and O's own of keys and the record of who did what."""

from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.wire.fields import EntityTime, Key, Moment, RequestBody, Text, with_example
from o.domain.actors import Actor
from o.domain.keys import ApiKey, Scope, shown_prefix
from o.domain.organizations import Organization, User
from o.ids import new_id, pattern

Name = Annotated[Text, Field(min_length=1, max_length=1_000)]
UserId = Annotated[Key, Field(pattern=pattern("user"))]
OrganizationId = Annotated[Key, Field(max_length=100)]
_UNNAMED = "unnamed"


class OrganizationBody(BaseModel):
    """V1's `Organization`."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    created_at: EntityTime
    privileged_tools: bool = Field(False, description="Always false: no tool is privileged")

    @classmethod
    def of(cls, organization: Organization) -> Self:
        """The organization as V1 shows it."""
        return cls.model_validate(organization)


class CreateOrganizationBody(RequestBody):
    """V1's `OrganizationCreate`."""

    model_config = with_example(name="Acme")

    name: Name | None = None
    privileged_tools: bool | None = Field(False, description="Taken, and not acted on")

    def to_organization(self, now: datetime) -> Organization:
        """A new one."""
        return Organization(id=new_id("org"), name=self.name or _UNNAMED, created_at=now)


class UpdateOrganizationBody(RequestBody):
    """V1's `OrganizationUpdate`: null changes nothing."""

    model_config = with_example(name="Acme Ltd")

    name: Name | None = None
    privileged_tools: bool | None = Field(False, description="Taken, and not acted on")


class UserBody(BaseModel):
    """V1's `User`."""

    id: str
    organization_id: str
    name: str
    created_at: EntityTime
    updated_at: EntityTime | None
    is_deleted: bool

    @classmethod
    def of(cls, user: User) -> Self:
        """The user as V1 shows it."""
        return cls(
            is_deleted=user.deleted_at is not None, **user.model_dump(exclude={"deleted_at"})
        )


class CreateUserBody(RequestBody):
    """V1's `UserCreate`."""

    model_config = with_example(
        name="Ada", organization_id="org-00000000-0000-4000-8000-000000000000"
    )

    name: Name
    organization_id: OrganizationId

    def to_user(self, now: datetime) -> User:
        """A new one."""
        return User(
            id=new_id("user"),
            organization_id=self.organization_id,
            name=self.name,
            created_at=now,
            updated_at=now,
        )


class UpdateUserBody(RequestBody):
    """V1's `UserUpdate`: null changes nothing."""

    model_config = with_example(id="user-00000000-0000-4000-8000-000000000000", name="Ada")

    id: UserId
    name: Name | None = None
    organization_id: OrganizationId | None = Field(
        None, description="The organization that the user is of: nobody is moved to another one"
    )


def _ahead(moment: datetime) -> datetime:
    if moment <= datetime.now(UTC):
        raise ValueError("is over already")
    return moment


class CreateKeyBody(RequestBody):
    """A key that is to be made."""

    model_config = with_example(name="support bot", scopes=["write", "approve"])

    name: Name
    user_id: UserId | None = Field(None, description="Whose it is; else the asking user's")
    scopes: list[Scope] = Field(default=["write", "approve"], min_length=1, max_length=10)
    expires_at: Annotated[Moment, AfterValidator(_ahead)] | None = None

    def to_key(self, owner: Actor, secret: str, now: datetime) -> ApiKey:
        """The key with this text."""
        return ApiKey(
            id=new_id("key"),
            organization_id=owner.organization_id,
            user_id=owner.user_id,
            name=self.name,
            prefix=shown_prefix(secret),
            scopes=list(dict.fromkeys(self.scopes)),
            created_at=now,
            expires_at=self.expires_at,
        )


class KeyBody(BaseModel):
    """A key, without its text."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    organization_id: str
    user_id: str
    name: str
    prefix: str = Field(description="What its text begins with")
    scopes: list[Scope]
    created_at: EntityTime
    expires_at: EntityTime | None
    last_used_at: EntityTime | None = Field(description="To the minute")
    revoked_at: EntityTime | None


class NewKeyBody(KeyBody):
    """A key that was just made, with its text."""

    key: str = Field(description="Its text, which is shown now and never again")


class AuditRecordBody(BaseModel):
    """That somebody did something."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    organization_id: str
    user_id: str | None = Field(description="A user, `temporal`, or `expiry`")
    key_id: str | None = Field(description="Null by the server's token, or where none is needed")
    what: str = Field(description="The operation, as this document names it")
    target_id: str | None
    details: dict[str, object]
    created_at: EntityTime
