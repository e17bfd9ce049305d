"""What the API asks of workers, and what they answer. Both are JSON, and encrypted."""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic_core import from_json
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from o.secrets import Keyring
from workflows import options

RUN_TOOL, LIST_MCP_TOOLS, EMBED = "run_tool", "mcp_list_tools", "embed"
COMPACT = "compact"
INSTALL = "install_requirements"
ASK_MODEL = options.MODEL_CALL
"""The kinds that there are; `server/` says which handler has which."""


@dataclass(frozen=True)
class WorkerRequest:
    """Something that a worker is to do.

    Attributes:
        kind: Which handler of the worker does it.
        result: What came of it; None while nothing did.
        is_started: Whether it may have had an effect outside of this server.
    """

    id: str
    organization_id: str
    kind: str
    request: dict[str, Any]
    result: dict[str, Any] | None = None
    is_started: bool = False


_ADD = text(
    """
    INSERT INTO worker_requests (id, organization_id, kind, request)
    VALUES (:id, :organization_id, :kind, :request)
    """
)
_GET = text(
    """
    SELECT organization_id, kind, request, result, started_at IS NOT NULL AS is_started
    FROM worker_requests WHERE id = :id
    """
)
_START = text(
    """
    UPDATE worker_requests SET started_at = now()
    WHERE id = :id AND started_at IS NULL AND result IS NULL
    RETURNING id
    """
)
_FINISH = text("UPDATE worker_requests SET result = :result WHERE id = :id AND result IS NULL")
_RESULT = text("SELECT result FROM worker_requests WHERE id = :id")
_PURGE = text(
    """
    DELETE FROM worker_requests WHERE id IN (
        SELECT id FROM worker_requests
        WHERE created_at < now() - CAST(:kept AS interval)
        ORDER BY created_at LIMIT :limit)
    """
)


async def add_worker_request(
    connection: AsyncConnection, keyring: Keyring, request: WorkerRequest
) -> None:
    """Store a request. Whoever reads it later needs its id alone."""
    await connection.execute(
        _ADD,
        {
            "id": request.id,
            "organization_id": request.organization_id,
            "kind": request.kind,
            "request": _sealed(keyring, request.id, "request", request.request),
        },
    )


async def get_worker_request(
    connection: AsyncConnection, keyring: Keyring, request_id: str
) -> WorkerRequest | None:
    """The request by that id; None when it was purged.

    Raises:
        SecretUnreadable: It was encrypted with a key that is not here.
    """
    row = (await connection.execute(_GET, {"id": request_id})).one_or_none()
    if row is None:
        return None
    return WorkerRequest(
        request_id,
        row.organization_id,
        row.kind,
        _opened(keyring, request_id, "request", row.request) or {},
        _opened(keyring, request_id, "result", row.result),
        row.is_started,
    )


async def start_worker_request(connection: AsyncConnection, request_id: str) -> bool:
    """Record that it may have an effect from now on; False when that was recorded before."""
    rows = await connection.execute(_START, {"id": request_id})
    return rows.one_or_none() is not None


async def finish_worker_request(
    connection: AsyncConnection, keyring: Keyring, request_id: str, result: dict[str, Any]
) -> None:
    """Store what came of it; the first result stays."""
    sealed = _sealed(keyring, request_id, "result", result)
    await connection.execute(_FINISH, {"id": request_id, "result": sealed})


async def worker_result(
    connection: AsyncConnection, keyring: Keyring, request_id: str
) -> dict[str, Any] | None:
    """What came of a request, None while nothing did."""
    stored = await connection.scalar(_RESULT, {"id": request_id})
    return _opened(keyring, request_id, "result", stored)


async def purge_worker_requests(connection: AsyncConnection, *, kept: timedelta, limit: int) -> int:
    """Remove some that are old, whatever came of them; returns how many."""
    found = await connection.execute(_PURGE, {"kept": kept, "limit": limit})
    return found.rowcount


def _sealed(keyring: Keyring, request_id: str, part: str, content: dict[str, Any]) -> str:
    return keyring.encrypt(json.dumps(content), of=f"{request_id}/{part}")


def _opened(
    keyring: Keyring, request_id: str, part: str, stored: str | None
) -> dict[str, Any] | None:
    if stored is None:
        return None
    found: dict[str, Any] = from_json(keyring.decrypt(stored, of=f"{request_id}/{part}"))
    return found
