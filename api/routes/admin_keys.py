"""Keys and the record of who did what, for administrators. V1 has neither."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from api.access.audit import note_nothing_done, note_target
from api.access.auth import SHUTS_KEYS
from api.bodies import answer
from api.deps import ActorDep, ReachDep, ReadsDep, TransactionDep
from api.pagination import page_query
from api.wire.admin import AuditRecordBody, CreateKeyBody, KeyBody, NewKeyBody
from api.wire.fields import Moment
from o.domain.actors import Actor
from o.domain.keys import hash_of, new_secret
from o.ids import pattern
from o.storage.organizations import keys as stored
from o.storage.organizations.audit import RecordFilter, list_records
from o.storage.organizations.organizations import get_user
from o.storage.pages import Page

router = APIRouter(prefix="/admin", tags=["admin"])

KeyId = Annotated[str, Path(pattern=pattern("key"))]
PageDep = Annotated[Page, Depends(page_query(limit=50, most=1_000))]


@router.get("/keys/", operation_id="list_keys", summary="List keys", response_model=list[KeyBody])
async def keys(connection: ReadsDep, reach: ReachDep, page: PageDep) -> Response:
    """Keys without their texts, revoked and expired ones too, the newest first."""
    found = await stored.list_keys(connection, reach, page)
    return answer([KeyBody.model_validate(one) for one in found])


@router.post("/keys/", operation_id="create_key", summary="Create a key", response_model=NewKeyBody)
async def create(
    body: CreateKeyBody,
    connection: TransactionDep,
    actor: ActorDep,
    reach: ReachDep,
    request: Request,
) -> Response:
    """Create a key. Its text is in this answer, and is never shown again."""
    user = await get_user(connection, reach, body.user_id or actor.user_id, lock=True)
    secret = new_secret()
    new = body.to_key(Actor(user.id, user.organization_id), secret, datetime.now(UTC))
    await stored.add_key(connection, new, hash_of(secret))
    note_target(request, new.id, new.organization_id, new.told)
    shown = answer(NewKeyBody(key=secret, **new.model_dump()))
    shown.headers["cache-control"] = "no-store"
    return shown


@router.delete(
    "/keys/{key_id}",
    operation_id="revoke_key",
    dependencies=SHUTS_KEYS,
    summary="Revoke a key",
    response_model=KeyBody,
)
async def revoke(
    key_id: KeyId, connection: TransactionDep, reach: ReachDep, request: Request
) -> Response:
    """Have a key open nothing any more, within seconds, in every process. It stays listed."""
    revoked, is_done = await stored.revoke_key(connection, reach, key_id, datetime.now(UTC))
    note_target(request, revoked.id, revoked.organization_id, {"prefix": revoked.prefix})
    if not is_done:
        note_nothing_done(request)
    return answer(KeyBody.model_validate(revoked))


async def _filter(
    what: str | None = None,
    user_id: str | None = None,
    key_id: str | None = None,
    target_id: str | None = None,
    start_date: Moment | None = None,
    end_date: Moment | None = None,
) -> RecordFilter:
    return RecordFilter(
        what=what,
        user_id=user_id,
        key_id=key_id,
        target_id=target_id,
        since=start_date,
        until=end_date,
    )


@router.get(
    "/audit",
    operation_id="list_audit_records",
    summary="List who did what",
    response_model=list[AuditRecordBody],
)
async def audit(
    connection: ReadsDep,
    reach: ReachDep,
    page: PageDep,
    only: Annotated[RecordFilter, Depends(_filter)],
    organization_id: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """What was decided, deleted, and changed of keys, providers and secrets, the newest first."""
    within = [one for one in (reach, organization_id) if one is not None]
    found = await list_records(connection, within, only, page)
    return answer([AuditRecordBody.model_validate(one) for one in found])
