"""Statements about parts that are kept for exports: see the migration 0027."""

from collections.abc import Collection, Mapping
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.text import storable_json
from o.storage.tables.kept import kept_parts

Source = Literal["af", "letta"]
"""Where a part came from: an agent file, or a V1 database."""


async def keep_parts(
    connection: AsyncConnection,
    organization_id: str,
    owner_id: str,
    source: Source,
    parts: Mapping[str, Any],
) -> None:
    """Keep parts with a row, by their names; one that is there by that name is replaced.

    Args:
        connection: Any.
        organization_id: Whose row it is.
        owner_id: The row's id: of an agent, a block, a tool, an MCP server or a folder.
        source: Where they came from.
        parts: What each is, as JSON; it is made storable here.
    """
    if not parts:
        return
    own = {"organization_id": organization_id, "owner_id": owner_id, "source": source}
    rows = [own | {"name": name, "part": storable_json(part)} for name, part in parts.items()]
    statement = insert(kept_parts).values(rows)
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=["owner_id", "source", "name"],
            set_={"part": statement.excluded.part},
        )
    )


async def list_kept_parts(
    connection: AsyncConnection, owner_ids: Collection[str]
) -> dict[str, dict[str, Any]]:
    """The parts of these rows: by owner, what is kept by which name, whatever it came from."""
    rows = await connection.execute(
        select(kept_parts.c.owner_id, kept_parts.c.name, kept_parts.c.part)
        .where(kept_parts.c.owner_id.in_(owner_ids))
        .order_by(kept_parts.c.owner_id, kept_parts.c.source, kept_parts.c.name)
    )
    found: dict[str, dict[str, Any]] = {}
    for owner_id, name, part in rows:
        found.setdefault(owner_id, {})[name] = part
    return found
