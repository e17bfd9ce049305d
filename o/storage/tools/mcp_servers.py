"""Statements about MCP servers and the rows of their tools."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.mcp import McpServer
from o.domain.tools import StoredTool
from o.errors import Conflict, NotFound
from o.storage.database import Database
from o.storage.locks import lock_rows
from o.storage.rows import columns_of, model_of, models_of, row_of
from o.storage.tables.tools import mcp_servers, tools
from o.storage.tools.agent_tools import take_away

_MOST = 1_000
_AT_ONCE = 500


async def add_mcp_server(connection: AsyncConnection, new: McpServer) -> McpServer:
    """Store a new server.

    Raises:
        Conflict: The organization has one by that name.
    """
    stored = await connection.execute(
        insert(mcp_servers)
        .values(row_of(mcp_servers, new))
        .on_conflict_do_nothing(index_elements=["organization_id", "server_name"])
        .returning(mcp_servers.c.id)
    )
    if stored.one_or_none() is None:
        raise _name_taken(new.server_name)
    return new


async def list_mcp_servers(connection: AsyncConnection, actor: Actor) -> list[McpServer]:
    """Every server of an organization, the oldest first; at most a thousand."""
    rows = await connection.execute(
        _visible(actor.organization_id)
        .order_by(mcp_servers.c.created_at, mcp_servers.c.id)
        .limit(_MOST)
    )
    return models_of(McpServer, rows.mappings().all())


async def get_mcp_server(
    connection: AsyncConnection, actor: Actor, server_id: str, *, lock: bool = False
) -> McpServer:
    """The server by that id; with `lock`, nobody else changes it or its tools meanwhile.

    Raises:
        NotFound: There is none for this actor.
    """
    statement = _visible(actor.organization_id).where(mcp_servers.c.id == server_id)
    rows = await connection.execute(statement.with_for_update() if lock else statement)
    row = rows.mappings().one_or_none()
    if row is None:
        raise _not_found(server_id)
    return model_of(McpServer, row)


async def find_mcp_server(connection: AsyncConnection, actor: Actor, name: str) -> McpServer | None:
    """The server by that name, if the organization has one."""
    rows = await connection.execute(
        _visible(actor.organization_id).where(mcp_servers.c.server_name == name)
    )
    row = rows.mappings().one_or_none()
    return None if row is None else model_of(McpServer, row)


async def get_mcp_server_by_name(connection: AsyncConnection, actor: Actor, name: str) -> McpServer:
    """The server by that name.

    Raises:
        NotFound: There is none for this actor.
    """
    if (found := await find_mcp_server(connection, actor, name)) is None:
        raise NotFound(f"MCP server with name {name} not found")
    return found


async def change_mcp_server(
    connection: AsyncConnection, actor: Actor, server_id: str, changes: Mapping[str, Any]
) -> McpServer:
    """Apply `changes` (column to value) to a server.

    Raises:
        NotFound: There is none for this actor.
        Conflict: Its new name is taken. The transaction is lost.
    """
    statement = (
        update(mcp_servers)
        .where(_is(actor.organization_id, server_id))
        .values(**changes, last_updated_by_id=actor.user_id, updated_at=func.now())
        .returning(*columns_of(mcp_servers, McpServer))
    )
    try:
        row = (await connection.execute(statement)).mappings().one_or_none()
    except IntegrityError:
        raise _name_taken(str(changes.get("server_name"))) from None
    if row is None:
        raise _not_found(server_id)
    return model_of(McpServer, row)


async def delete_mcp_server(connection: AsyncConnection, actor: Actor, server_id: str) -> None:
    """Delete a server with its tools, which every agent loses.

    Raises:
        NotFound: There is none for this actor.
    """
    await get_mcp_server(connection, actor, server_id, lock=True)
    await lock_rows(connection, _is_tool_of(actor, server_id), tools.c.id)
    of_it = select(tools.c.id, tools.c.name).where(_is_tool_of(actor, server_id))
    rows = await connection.execute(of_it)
    await _delete_tools(connection, actor, {row.id: row.name for row in rows})
    await connection.execute(delete(mcp_servers).where(_is(actor.organization_id, server_id)))


async def list_server_tools(
    connection: AsyncConnection, actor: Actor, server_id: str, *, lock: bool = False
) -> list[StoredTool]:
    """Every tool of a server, by name. They are as many as the server has."""
    if lock:
        await lock_rows(connection, _is_tool_of(actor, server_id), tools.c.id)
    rows = await connection.execute(
        select(*columns_of(tools, StoredTool))
        .where(_is_tool_of(actor, server_id))
        .order_by(tools.c.name)
    )
    return models_of(StoredTool, rows.mappings().all())


async def names_of_other_tools(
    connection: AsyncConnection, actor: Actor, server_id: str
) -> set[str]:
    """The names of an organization's tools that are rows, but for those of a server."""
    rows = await connection.execute(
        select(tools.c.name).where(
            tools.c.organization_id == actor.organization_id,
            or_(tools.c.mcp_server_id.is_(None), tools.c.mcp_server_id != server_id),
        )
    )
    return set(rows.scalars())


async def put_server_tools(connection: AsyncConnection, new: Sequence[StoredTool]) -> None:
    """Store tools of a server, which are locked with it; those that are there are changed.

    Raises:
        IntegrityError: Somebody else has just taken one of their names. The transaction is lost.
    """
    # By name, so that no two servers that bring the same names wait for each other.
    named = sorted(new, key=lambda tool: tool.name)
    for start in range(0, len(named), _AT_ONCE):  # a statement has 65,535 parameters at most
        await _put(connection, named[start : start + _AT_ONCE])


async def _put(connection: AsyncConnection, new: Sequence[StoredTool]) -> None:
    statement = insert(tools).values([row_of(tools, tool) for tool in new])
    kept = {"id", "organization_id", "name", "created_at", "created_by_id"}
    taken = {
        column.name: statement.excluded[column.name]
        for column in tools.columns
        if column.name in StoredTool.model_fields and column.name not in kept
    }
    await connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=taken))


async def delete_server_tools(
    connection: AsyncConnection, actor: Actor, gone: Sequence[StoredTool]
) -> None:
    """Delete tools, which the caller has locked with their server; every agent loses them."""
    await _delete_tools(connection, actor, {tool.id: tool.name for tool in gone})


async def _delete_tools(connection: AsyncConnection, actor: Actor, gone: Mapping[str, str]) -> None:
    """Delete tools, of which the names are known by id; every agent loses them."""
    if not gone:
        return
    await connection.execute(delete(tools).where(tools.c.id.in_(gone)))
    await take_away(connection, actor.organization_id, list(gone.values()))


def mcp_server_reader(
    database: Database,
) -> Callable[[str, str], Awaitable[McpServer | None]]:
    """What reads a server by the ids of its organization and its own, on its own connection."""

    async def read(organization_id: str, server_id: str) -> McpServer | None:
        async with database.connect() as connection:
            rows = await connection.execute(
                _visible(organization_id).where(mcp_servers.c.id == server_id)
            )
            row = rows.mappings().one_or_none()
        return None if row is None else model_of(McpServer, row)

    return read


def _name_taken(name: str) -> Conflict:
    return Conflict(f"There is an MCP server named {name!r}: choose another name, or change it")


def _not_found(server_id: str) -> NotFound:
    return NotFound(f"MCP server with id {server_id} not found")


def _is(organization_id: str, server_id: str) -> ColumnElement[bool]:
    return (mcp_servers.c.id == server_id) & (mcp_servers.c.organization_id == organization_id)


def _is_tool_of(actor: Actor, server_id: str) -> ColumnElement[bool]:
    return (tools.c.organization_id == actor.organization_id) & (tools.c.mcp_server_id == server_id)


def _visible(organization_id: str) -> Select[Any]:
    return select(*columns_of(mcp_servers, McpServer)).where(
        mcp_servers.c.organization_id == organization_id
    )
