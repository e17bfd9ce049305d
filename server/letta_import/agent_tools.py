"""Which tools agents have here, by name, of those that they have in V1."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from o.tools.registry import BUILT_IN_TOOLS
from server.letta_import.kind import Context
from server.letta_import.source import Row

# Their order is lost in V1: base tools come first, as they do in agents that are made there.
_LINKS = """
    SELECT l.agent_id, a.organization_id, t.name, t.tool_type, coalesce(t.is_deleted, true) AS gone
    FROM tools_agents AS l JOIN agents AS a ON a.id = l.agent_id
    LEFT JOIN tools AS t ON t.id = l.tool_id
    WHERE l.agent_id = ANY(%(ids)s)
    ORDER BY l.agent_id, t.tool_type = 'letta_core' DESC, t.tool_type LIKE 'letta\\_%%' DESC,
        t.created_at, t.name
"""
_HERE = """
    SELECT organization_id, name FROM tools WHERE name = ANY(%(names)s)
"""
_GONE = "its tool is left out"


@dataclass
class HeldTools:
    """The tools of an agent.

    Attributes:
        names: What it has them by here, in the order in which models see them.
        rows: How many links V1 has for it (`tools_agents`).
        left: How many of them lead to nothing here, by reason.
        told: Which.
    """

    names: list[str] = field(default_factory=list)
    rows: int = 0
    left: dict[str, int] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)


def tools_held(context: Context, agent_ids: Sequence[str]) -> dict[str, HeldTools]:
    """The tools of these agents; tools have been moved before."""
    held = {one: HeldTools() for one in agent_ids}
    links = context.source.all(_LINKS, {"ids": list(agent_ids)})
    found = context.target.query(_HERE, {"names": list({one["name"] for one in links})})
    here = {(one["organization_id"], one["name"]) for one in found}
    for link in links:
        _hold(held[link["agent_id"]], link, here, is_dry=context.is_dry)
    return held


def _hold(tools: HeldTools, link: Row, here: set[tuple[str, str]], *, is_dry: bool) -> None:
    tools.rows += 1
    name = link["name"]
    is_base = str(link["tool_type"]).startswith("letta_")
    is_here = (
        name in BUILT_IN_TOOLS
        if is_base
        else not link["gone"] and (is_dry or (link["organization_id"], name) in here)
    )
    if is_here and name not in tools.names:
        tools.names.append(name)
        return
    tools.left[_GONE] = tools.left.get(_GONE, 0) + 1
    if not link["gone"]:
        tools.told.append(f"it had the tool {name}, which is not here")
