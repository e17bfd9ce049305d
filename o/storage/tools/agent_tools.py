"""Tools that are rows as agents have them: by name, in `agents.tool_names` and in their rules."""

import json
from collections.abc import Callable, Collection

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.rules.naming import Rules, with_tool_renamed, without_tools
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


_CHANGE = text(
    """
    UPDATE agents SET
        tool_names = ARRAY(SELECT jsonb_array_elements_text(CAST(changed.names AS jsonb))),
        tool_rules = coalesce(CAST(changed.rules AS jsonb), tool_rules),
        updated_at = now()
    FROM unnest(CAST(:ids AS text[]), CAST(:names AS text[]), CAST(:rules AS text[]))
        AS changed (id, names, rules)
    WHERE agents.id = changed.id
    """
)


async def rename_in_agents(
    connection: AsyncConnection, organization_id: str, name: str, new: str
) -> None:
    """Have every agent of the organization know its tool by another name, in its rules as well."""
    await _change(
        connection,
        organization_id,
        [name],
        names_after=lambda names: [new if one == name else one for one in names],
        rules_after=lambda rules: with_tool_renamed(rules, name, new),
    )


async def take_away(
    connection: AsyncConnection, organization_id: str, names: Collection[str]
) -> None:
    """Take tools from every agent of the organization, with the rules about them."""
    gone = frozenset(names)
    await _change(
        connection,
        organization_id,
        gone,
        names_after=lambda names: [one for one in names if one not in gone],
        rules_after=lambda rules: without_tools(rules, gone),
    )


async def _change(
    connection: AsyncConnection,
    organization_id: str,
    names: Collection[str],
    *,
    names_after: Callable[[list[str]], list[str]],
    rules_after: Callable[[Rules], Rules],
) -> None:
    """Change the tools of all agents that have one of these, and the rules that can be read.

    The agents are locked in their order, and changed in one statement however many they are.
    """
    found = await connection.execute(
        select(agents.c.id, agents.c.tool_names, agents.c.tool_rules)
        .where(
            agents.c.organization_id == organization_id,
            agents.c.tool_names.overlap(list(names)),
        )
        .order_by(agents.c.id)
        .with_for_update(key_share=True)
    )
    changed = [
        (
            row.id,
            json.dumps(names_after(row.tool_names)),
            json.dumps(rules_after(row.tool_rules)) if isinstance(row.tool_rules, list) else None,
        )
        for row in found
    ]
    if changed:
        given = zip(("ids", "names", "rules"), map(list, zip(*changed, strict=True)), strict=True)
        await connection.execute(_CHANGE, dict(given))
