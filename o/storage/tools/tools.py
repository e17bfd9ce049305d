"""Statements about tools that are rows. Agents have them by name: see `agent_tools` here."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    case,
    delete,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.tools import WEIGHTS, StoredTool
from o.errors import Conflict, NotFound
from o.storage.pages import Page, page_by_time
from o.storage.rows import all_models_of, columns_of, model_of, models_of, readable, row_of
from o.storage.tables.tools import tools

_KEPT = {"id", "organization_id", "name", "created_at", "created_by_id"}
"""What a tool keeps when one by its name is stored again."""


@dataclass(frozen=True)
class ToolFilter:
    """Which tools a list or a count is about; None leaves a criterion out.

    Attributes:
        search: What the name must hold, upper and lower case alike.
        not_types: Types that are left out.
    """

    names: Collection[str] | None = None
    ids: Collection[str] | None = None
    search: str | None = None
    types: Collection[str] | None = None
    not_types: Collection[str] | None = None
    tags: Collection[str] | None = None
    mcp_server_id: str | None = None


async def add_tools(connection: AsyncConnection, new: Sequence[StoredTool]) -> set[str]:
    """Store tools in the order given, but for those by whose names there is one.

    Who stores one by the same name at this moment is waited for.

    Returns:
        The names of those that are stored.
    """
    if not new:
        return set()
    statement = insert(tools).on_conflict_do_nothing(index_elements=["organization_id", "name"])
    stored = await connection.execute(
        statement.returning(tools.c.name), [row_of(tools, tool) for tool in new]
    )
    return set(stored.scalars())


async def upsert_tool(
    connection: AsyncConnection, new: StoredTool, named: Collection[str] | None = None
) -> StoredTool:
    """Store a tool; where there is one by its name, that one is changed and keeps its id.

    Args:
        connection: Any.
        new: The tool.
        named: The columns that an existing tool takes over; None for all.

    Returns:
        The tool as it is stored now.

    Raises:
        Conflict: The name is that of a tool of another kind: a custom one, or one of an MCP
            server (of another one).
    """
    row = row_of(tools, new)
    statement = insert(tools).values(row)
    taken = {name for name in (row if named is None else named) if name not in _KEPT}
    statement = statement.on_conflict_do_update(
        index_elements=["organization_id", "name"],
        set_={
            name: statement.excluded[name]
            for name in sorted(taken | {"updated_at", "last_updated_by_id"})
        },
        where=and_(
            tools.c.tool_type == statement.excluded.tool_type,
            tools.c.mcp_server_id.is_not_distinct_from(statement.excluded.mcp_server_id),
        ),
    )
    rows = await connection.execute(statement.returning(*columns_of(tools, StoredTool)))
    stored = rows.mappings().one_or_none()
    if stored is None:
        raise Conflict(
            f"There is another tool named {new.name!r}, which comes from elsewhere: "
            "choose another name, or delete it first"
        )
    return model_of(StoredTool, stored)


async def get_tool(
    connection: AsyncConnection, actor: Actor, tool_id: str, *, lock: bool = False
) -> StoredTool:
    """The tool by that id; with `lock`, nobody else changes it in this transaction.

    Raises:
        NotFound: There is none for this actor.
    """
    statement = _visible(actor.organization_id).where(tools.c.id == tool_id)
    rows = await connection.execute(statement.with_for_update() if lock else statement)
    row = rows.mappings().one_or_none()
    if row is None:
        raise tool_not_found(tool_id)
    return model_of(StoredTool, row)


async def find_tool(
    connection: AsyncConnection, organization_id: str, name: str
) -> StoredTool | None:
    """The tool by that name, None where there is none."""
    statement = _visible(organization_id).where(tools.c.name == name)
    row = (await connection.execute(statement)).mappings().one_or_none()
    return None if row is None else model_of(StoredTool, row)


async def find_tools(
    connection: AsyncConnection,
    organization_id: str,
    *,
    ids: Collection[str] = (),
    names: Collection[str] = (),
    lock: bool = True,
    for_change: bool = False,
) -> list[StoredTool]:
    """The tools by those ids and by those names, each once; with `lock` they stay as they are.

    With `for_change` whoever else locks them waits, so that they can be changed.

    Whoever gives them to an agent so does not give it one that is just being deleted. They are
    locked in the order of their ids, and before any agent is: see `o.storage.locks`.
    """
    if not ids and not names:
        return []
    wanted = or_(tools.c.id.in_(ids), tools.c.name.in_(names))
    statement = _visible(organization_id).where(wanted).order_by(tools.c.id)
    if lock:
        statement = statement.with_for_update(read=not for_change, key_share=for_change)
    rows = await connection.execute(statement)
    return all_models_of(StoredTool, rows.mappings().all())


async def list_tools(
    connection: AsyncConnection, actor: Actor, wanted: ToolFilter, page: Page
) -> list[StoredTool]:
    """A page of tools by the time they were made.

    Raises:
        NotFound: A cursor names no tool of this actor.
    """
    statement = await page_by_time(
        connection, _visible(actor.organization_id).where(*_conditions(wanted)), page, tools, actor
    )
    return models_of(StoredTool, (await connection.execute(statement)).mappings().all())


async def search_tools(
    connection: AsyncConnection,
    actor: Actor,
    words: Collection[str],
    wanted: ToolFilter,
    *,
    limit: int,
) -> list[tuple[StoredTool, int]]:
    """The tools that have any of the words, those first in which they weigh most.

    Returns:
        Each with its weight (`o.domain.tools.WEIGHTS`); without words, the newest, which weigh 0.
    """
    places = {
        "name": tools.c.name,
        "tags": func.array_to_string(tools.c.tags, " "),
        "description": tools.c.description,
    }
    has = [
        (place.icontains(word, autoescape=True), WEIGHTS[name])
        for word in words
        for name, place in places.items()
    ]
    weight: ColumnElement[int] = literal(0)
    for holds, counts in has:
        weight = weight + case((holds, counts), else_=0)
    statement = _visible(actor.organization_id).add_columns(weight.label("weight"))
    statement = statement.where(*_conditions(wanted), *([weight > 0] if has else []))
    statement = statement.order_by(weight.desc(), tools.c.created_at.desc(), tools.c.id)
    rows = (await connection.execute(statement.limit(limit))).mappings().all()
    return readable(rows, lambda row: (model_of(StoredTool, row), int(row["weight"])))


async def count_tools(connection: AsyncConnection, actor: Actor, wanted: ToolFilter) -> int:
    """How many tools there are of those wanted."""
    statement = select(func.count()).where(
        tools.c.organization_id == actor.organization_id, *_conditions(wanted)
    )
    return int(await connection.scalar(statement) or 0)


async def change_tool(
    connection: AsyncConnection, actor: Actor, tool_id: str, changes: Mapping[str, Any]
) -> StoredTool:
    """Apply `changes` (column to value) to a tool; none change nothing.

    Raises:
        NotFound: There is none for this actor.
        Conflict: Its new name is taken. The transaction is lost.
    """
    if not changes:
        return await get_tool(connection, actor, tool_id)
    statement = (
        update(tools)
        .where(_is(actor, tool_id))
        .values(**changes, last_updated_by_id=actor.user_id, updated_at=func.now())
        .returning(*columns_of(tools, StoredTool))
    )
    try:
        row = (await connection.execute(statement)).mappings().one_or_none()
    except IntegrityError:
        raise name_taken(str(changes.get("name"))) from None
    if row is None:
        raise tool_not_found(tool_id)
    return model_of(StoredTool, row)


async def note_problem(connection: AsyncConnection, tool_id: str, problem: str) -> None:
    """Keep why a tool cannot be run, or that it can: then `problem` is empty."""
    await connection.execute(update(tools).where(tools.c.id == tool_id).values(problem=problem))


async def note_problem_of(
    connection: AsyncConnection,
    tool_id: str,
    requirements: Sequence[Mapping[str, Any]],
    problem: str,
) -> None:
    """The same, while the tool has these `pip_requirements` and no others."""
    of_these = tools.c.pip_requirements == list(requirements)
    await connection.execute(
        update(tools).where(tools.c.id == tool_id, of_these).values(problem=problem)
    )


async def delete_tool(connection: AsyncConnection, actor: Actor, tool_id: str) -> str:
    """Delete a tool; `o.storage.tools.agent_tools.take_away` takes it from its agents.

    Returns:
        Its name.

    Raises:
        NotFound: There is none for this actor.
    """
    gone = await connection.execute(
        delete(tools).where(_is(actor, tool_id)).returning(tools.c.name)
    )
    name = gone.scalar_one_or_none()
    if name is None:
        raise tool_not_found(tool_id)
    return str(name)


def tool_not_found(tool_id: str) -> NotFound:
    """What every question says about a tool that this actor does not have."""
    return NotFound(f"Tool with id {tool_id} not found")


def name_taken(name: str) -> Conflict:
    """What is said to whoever wants a name for a second tool."""
    return Conflict(f"There is a tool named {name!r}: choose another name")


def _is(actor: Actor, tool_id: str) -> ColumnElement[bool]:
    return (tools.c.id == tool_id) & (tools.c.organization_id == actor.organization_id)


def _visible(organization_id: str) -> Select[Any]:
    return select(*columns_of(tools, StoredTool)).where(tools.c.organization_id == organization_id)


def _conditions(wanted: ToolFilter) -> Sequence[ColumnElement[bool]]:
    among = {
        tools.c.name: wanted.names,
        tools.c.id: wanted.ids,
        tools.c.tool_type: wanted.types,
    }
    found: list[ColumnElement[bool]] = [
        column.in_(values) for column, values in among.items() if values is not None
    ]
    if wanted.search:
        found.append(tools.c.name.icontains(wanted.search, autoescape=True))
    if wanted.not_types:
        found.append(tools.c.tool_type.not_in(wanted.not_types))
    if wanted.tags:
        found.append(tools.c.tags.overlap(list(wanted.tags)))
    if wanted.mcp_server_id is not None:
        found.append(tools.c.mcp_server_id == wanted.mcp_server_id)
    return found
