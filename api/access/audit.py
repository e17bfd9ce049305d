"""Requests that are put on record: deletions, and what only an administrator may change.

Both are told from method and address, so that a new route is on record without doing anything for
it. It is written in the transaction of the route (`TransactionDep`), by the dependency itself. What
has transactions of its own, or is no request, calls `put_on_record`.
"""

from collections.abc import Mapping
from dataclasses import replace

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncConnection

from api.access.auth import current_actor
from api.access.scopes import wanted_scopes
from api.edge.calls import call_of
from o.storage.organizations.audit import put_on_record

_READS = frozenset({"GET", "HEAD"})
_ID_CHARS = 200


def is_recorded(method: str, path: str) -> bool:
    """Whether a request of this kind is put on record when it has changed something."""
    return method == "DELETE" or (
        method not in _READS and wanted_scopes(method, path) == frozenset({"admin"})
    )


def note_target(
    request: Request,
    target_id: str,
    organization_id: str | None = None,
    details: Mapping[str, object] | None = None,
) -> None:
    """Note what a request is about, where its path does not say.

    Args:
        request: That is put on record.
        target_id: What it changes.
        organization_id: Whose that is, where it may be another one's than who asks: it is on the
            record of those whom it concerns.
        details: More of it, and never contents or secrets.
    """
    request.state.target_id = target_id
    request.state.target_organization_id = organization_id
    request.state.target_details = dict(details or {})


def note_nothing_done(request: Request) -> None:
    """Note that all was as it is to be already: a repeat is not put on record."""
    request.state.is_repeat = True


async def put_request_on_record(connection: AsyncConnection, request: Request) -> None:
    """Keep that a request did what it asked for, where that is to be kept.

    Args:
        connection: In the transaction that did it.
        request: Whose route has returned.
    """
    is_repeat = getattr(request.state, "is_repeat", False)
    if is_repeat or not is_recorded(request.method, request.scope["path"]):
        return
    target = getattr(request.state, "target_id", None)
    if target is None and request.path_params:
        target = str(list(request.path_params.values())[-1])
    call, actor = call_of(request.scope), await current_actor(request)
    owner = getattr(request.state, "target_organization_id", None) or actor.organization_id
    details = dict(getattr(request.state, "target_details", {}))
    if call is not None:
        details["by_tool_of"] = call.agent_id
    await put_on_record(
        connection,
        replace(actor, organization_id=owner),
        request.scope["route"].operation_id,
        target and target[:_ID_CHARS],
        details,
    )
