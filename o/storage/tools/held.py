"""Tools that are rows as agents have them: by name, in `agents.tool_names` and in their rules."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, Text, cast, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.rules.naming import with_tool_renamed, without_tool
from o.domain.tools import StoredTool
from o.storage.tables.core import agents
from o.storage.tables.tools import tools

_NOT_TOLD = {"source_code", "args_json_schema", "metadata"}
_TOLD = ", ".join(
    column.name
    for column in tools.columns
    if column.name in StoredTool.model_fields and column.name not in _NOT_TOLD
)

TOLD_TOOLS = f"""(
    SELECT coalesce(json_agg(told), '[]')
    FROM (
        SELECT {_TOLD} FROM tools
        WHERE tools.organization_id = agents.organization_id
          AND tools.name = ANY(agents.tool_names)
    ) AS told
)"""  # noqa: S608
"""In SQL, as JSON, what models are told of the tools of a row `agents`: no source code."""

SHOWN_TOOLS = """(
    SELECT coalesce(json_agg(tools), '[]') FROM tools
    WHERE tools.organization_id = agents.organization_id
      AND tools.name = ANY(agents.tool_names)
)"""
"""The same with everything, as the API shows it."""


async def rename_in_agents(
    connection: AsyncConnection, organization_id: str, name: str, new: str
) -> None:
    """Have every agent of the organization know its tool by another name, in its rules as well."""
    await _change(connection, organization_id, name, new)


async def take_away(
    connection: AsyncConnection, organization_id: str, names: Collection[str]
) -> None:
    """Take tools from every agent of the organization, with the rules about them."""
    if len(names) > 1:  # else each of them would lock its agents, behind those of another one
        await connection.execute(_holding(organization_id, names))
    for name in names:
        await _change(connection, organization_id, name, None)


def _holding(organization_id: str, names: Collection[str]) -> Select[Any]:
    """The agents that have one of these tools, with their rules; they are locked in their order."""
    return (
        select(agents.c.id, agents.c.tool_rules)
        .where(
            agents.c.organization_id == organization_id,
            agents.c.tool_names.overlap(list(names)),
        )
        .order_by(agents.c.id)
        .with_for_update(key_share=True)
    )


async def _change(
    connection: AsyncConnection, organization_id: str, name: str, new: str | None
) -> None:
    found = (await connection.execute(_holding(organization_id, [name]))).all()
    if not found:
        return
    names = agents.c.tool_names
    changed = (
        func.array_remove(names, name)
        if new is None
        else func.array_replace(names, cast(name, Text), cast(new, Text))
    )
    await connection.execute(
        update(agents)
        .where(agents.c.id.in_([row.id for row in found]))
        .values(tool_names=changed, updated_at=func.now())
    )
    for row in found:
        if not isinstance(row.tool_rules, list):  # cannot be read
            continue
        rules = (
            without_tool(row.tool_rules, name)
            if new is None
            else with_tool_renamed(row.tool_rules, name, new)
        )
        if rules != row.tool_rules:
            await connection.execute(
                update(agents).where(agents.c.id == row.id).values(tool_rules=rules)
            )
