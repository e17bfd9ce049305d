"""V1's organizations and users, for administrators: an organization's own sees that one only."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response

from api.access.audit import note_target
from api.access.auth import SHUTS_KEYS
from api.bodies import answer
from api.deps import ReachDep, ReadsDep, TransactionDep
from api.wire.admin import (
    CreateOrganizationBody,
    CreateUserBody,
    OrganizationBody,
    UpdateOrganizationBody,
    UpdateUserBody,
    UserBody,
    UserId,
)
from o.errors import Conflict
from o.storage.organizations import organizations as stored
from o.storage.pages import Page

router = APIRouter(prefix="/admin", tags=["admin"])

OrganizationIdQuery = Annotated[str, Query(alias="org_id", max_length=100)]
UserIdQuery = Annotated[UserId, Query(alias="user_id")]
_OF_ALL = "Only the server's token makes and deletes organizations."


async def _page(
    after: str | None = None, limit: Annotated[int | None, Query(ge=1, le=1_000)] = 50
) -> Page:
    return Page(after=after, limit=limit or 50, ascending=True)


PageDep = Annotated[Page, Depends(_page)]


def _refuse_within(reach: str | None) -> None:
    if reach is not None:
        raise HTTPException(403, _OF_ALL)


@router.get(
    "/orgs/",
    operation_id="list_orgs",
    summary="List organizations",
    response_model=list[OrganizationBody],
)
async def organizations(connection: ReadsDep, reach: ReachDep, page: PageDep) -> Response:
    """Organizations, the oldest first."""
    found = await stored.list_organizations(connection, reach, page)
    return answer([OrganizationBody.of(one) for one in found])


@router.post(
    "/orgs/",
    operation_id="create_organization",
    summary="Create an organization",
    response_model=OrganizationBody,
)
async def create_organization(
    body: CreateOrganizationBody, connection: TransactionDep, reach: ReachDep, request: Request
) -> Response:
    """Create an organization without users."""
    _refuse_within(reach)
    new = body.to_organization(datetime.now(UTC))
    await stored.add_organization(connection, new)
    note_target(request, new.id, new.id)
    return answer(OrganizationBody.of(new))


@router.patch(
    "/orgs/",
    operation_id="update_organization",
    summary="Change an organization",
    response_model=OrganizationBody,
)
async def update_organization(
    org_id: OrganizationIdQuery,
    body: UpdateOrganizationBody,
    connection: TransactionDep,
    reach: ReachDep,
    request: Request,
) -> Response:
    """Give an organization another name."""
    note_target(request, org_id, org_id)
    changed = await stored.rename_organization(connection, reach, org_id, body.name)
    return answer(OrganizationBody.of(changed))


@router.delete(
    "/orgs/",
    operation_id="delete_organization_by_id",
    dependencies=SHUTS_KEYS,
    summary="Delete an organization",
    response_model=OrganizationBody,
)
async def delete_organization(
    org_id: OrganizationIdQuery, connection: TransactionDep, reach: ReachDep, request: Request
) -> Response:
    """Delete an organization with all that it has. Its keys open nothing from now on."""
    _refuse_within(reach)
    note_target(request, org_id, org_id)
    gone = await stored.mark_organization_deleted(connection, org_id, datetime.now(UTC))
    return answer(OrganizationBody.of(gone))


@router.get(
    "/users/", operation_id="list_users", summary="List users", response_model=list[UserBody]
)
async def users(connection: ReadsDep, reach: ReachDep, page: PageDep) -> Response:
    """Users, the oldest first."""
    found = await stored.list_users(connection, reach, page)
    return answer([UserBody.of(one) for one in found])


@router.post(
    "/users/", operation_id="create_user", summary="Create a user", response_model=UserBody
)
async def create_user(
    body: CreateUserBody, connection: TransactionDep, reach: ReachDep, request: Request
) -> Response:
    """Create a user in an organization."""
    new = body.to_user(datetime.now(UTC))
    await stored.add_user(connection, reach, new)
    note_target(request, new.id, new.organization_id)
    return answer(UserBody.of(new))


@router.put("/users/", operation_id="update_user", summary="Change a user", response_model=UserBody)
async def update_user(
    body: UpdateUserBody, connection: TransactionDep, reach: ReachDep, request: Request
) -> Response:
    """Give a user another name. Nobody is moved: keys are of one user in one organization."""
    changed = await stored.change_user(connection, reach, body.id, body.name, datetime.now(UTC))
    note_target(request, changed.id, changed.organization_id)
    if body.organization_id not in (None, changed.organization_id):
        raise Conflict("A user stays in the organization that it was made in: make another one")
    return answer(UserBody.of(changed))


@router.delete(
    "/users/",
    operation_id="delete_user",
    dependencies=SHUTS_KEYS,
    summary="Delete a user",
    response_model=UserBody,
)
async def delete_user(
    user_id: UserIdQuery, connection: TransactionDep, reach: ReachDep, request: Request
) -> Response:
    """Delete a user. The user's keys open nothing from now on; what the user made stays."""
    gone = await stored.mark_user_deleted(connection, reach, user_id, datetime.now(UTC))
    note_target(request, gone.id, gone.organization_id)
    return answer(UserBody.of(gone))
