"""Agents, blocks, tools and the like in V1's spelling of agent files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from api.wire.llm import shown_config
from api.wire.tools import ToolBody
from o.domain.agents import Agent
from o.domain.archives import Passage
from o.domain.blocks import Block
from o.domain.mcp import McpServer
from o.domain.tools import StoredTool
from o.letta.kept import FIELDS
from o.letta.shown_messages import LocalIds
from o.storage.history.exports import HeldArchive

_BLOCK = (
    *("value", "project_id", "template_name", "is_template", "template_id", "base_template_id"),
    *("deployment_id", "entity_id", "preserve_on_migration", "label", "read_only", "description"),
    *("metadata", "hidden", "tags"),
)
_AGENT = (
    *("system", "description", "metadata", "tags", "project_id", "template_id"),
    *("base_template_id", "message_buffer_autoclear", "enable_sleeptime", "response_format"),
    *("timezone", "max_files_open", "per_file_view_window_char_limit", "hidden"),
    *("compaction_settings", "embedding_config", "embedding"),
)
# What V1 writes of an agent that is made already.
_MADE: dict[str, Any] = {
    "memory_blocks": [],
    "tools": [],
    "initial_message_sequence": None,
    "include_base_tools": False,
    "include_multi_agent_tools": False,
    "include_base_tool_rules": False,
    "include_default_source": False,
    "model": None,
    "model_settings": None,
    "context_window_limit": None,
}
_TOOL = (
    *("tool_type", "description", "source_type", "name", "tags", "source_code", "json_schema"),
    *("args_json_schema", "return_char_limit", "pip_requirements", "npm_requirements"),
    *("default_requires_approval", "enable_parallel_execution", "metadata_", "project_id"),
)

Kept = Mapping[str, Mapping[str, Any]]
"""By owner, what is kept with it by name."""


@dataclass(frozen=True)
class ShownHistory:
    """A history as a file has it.

    Attributes:
        messages: What stands for its rows, see `LongLists`; a list where there are none.
        in_context: The ids of what stands in the context window.
    """

    messages: str | list[Any] = field(default_factory=list)
    in_context: list[str] = field(default_factory=list)


def show_agent(
    agent: Agent,
    history: ShownHistory,
    ids: LocalIds,
    *,
    tool_ids: Sequence[str],
    block_ids: Sequence[str],
    variables: Sequence[str],
    kept: Mapping[str, Any],
) -> dict[str, Any]:
    """An agent. Of its variables no more than their names, with empty values, as in V1."""
    hidden = dict.fromkeys(variables, "")
    shown: dict[str, Any] = {
        "id": ids.of("agent", agent.id),
        "name": agent.name,
        "agent_type": kept.get("agent_type", agent.agent_type),
        **{name: getattr(agent, name) for name in _AGENT},
        **_MADE,
        "llm_config": shown_config(agent),
        "tool_rules": [*agent.tool_rules, *kept.get("tool_rules", ())],
        "tool_ids": list(tool_ids),
        "block_ids": list(block_ids),
        "source_ids": [],
        "folder_ids": None,
        "files_agents": [],
        "group_ids": [],
        "identity_ids": None,
        "secrets": hidden,
        "tool_exec_environment_variables": hidden,
        "in_context_message_ids": history.in_context,
        "messages": history.messages,
        "o_llm": {"model_settings": agent.model_settings, "llm_options": agent.llm_options},
        "o_approval_timeout_s": agent.approval_timeout_s,
    }
    if "response_format" in kept:
        shown["response_format"] = kept["response_format"]
    return shown | dict(kept.get(FIELDS, {}))


def show_block(block: Block, ids: LocalIds, kept: Kept) -> dict[str, Any]:
    """A block."""
    return {
        **{name: getattr(block, name) for name in _BLOCK},
        "limit": block.limit_chars,
        "id": ids.of("block", block.id),
        **kept.get(block.id, {}).get(FIELDS, {}),
    }


def show_tool(
    tool: ToolBody, stored: StoredTool | None, server: str | None, ids: LocalIds, kept: Kept
) -> dict[str, Any]:
    """A tool; `server` is the name of the MCP server that it is of."""
    whole = tool.model_dump(mode="json")
    shown = {name: whole[name] for name in _TOOL} | {"id": ids.of("tool", tool.id)}
    if stored is None:
        return shown
    if server is not None and (tag := f"mcp:{server}") not in shown["tags"]:
        shown["tags"] = [*shown["tags"], tag]
    if stored.is_idempotent:
        shown["o_is_idempotent"] = True
    if stored.allowed_hosts is not None:
        shown["o_allowed_hosts"] = stored.allowed_hosts
    return shown | dict(kept.get(stored.id, {}).get(FIELDS, {}))


def show_server(server: McpServer, ids: LocalIds, kept: Kept) -> dict[str, Any]:
    """An MCP server, without its token, headers and environment."""
    stdio = None
    if server.server_type == "stdio":
        stdio = {
            "server_name": server.server_name,
            "type": "stdio",
            "command": server.command,
            "args": server.args,
        }
    return {
        "id": ids.of("mcp_server", server.id),
        "server_type": server.server_type,
        "server_name": server.server_name,
        "server_url": server.server_url,
        "stdio_config": stdio,
        "metadata_": None,
        **kept.get(server.id, {}).get(FIELDS, {}),
    }


def show_archive(held: HeldArchive, passages: str, ids: LocalIds) -> dict[str, Any]:
    """An archive as O adds it to V1's form; `passages` stands for them, see `LongLists`."""
    archive = held.archive
    return {
        "name": archive.name,
        "description": archive.description,
        "metadata": archive.metadata,
        "embedding": archive.embedding,
        "embedding_config": archive.embedding_config,
        "agent_ids": [ids.of("agent", agent_id) for agent_id in held.agents],
        "owner_ids": [ids.of("agent", id_) for id_, is_owner in held.agents.items() if is_owner],
        "passages": passages,
    }


def show_passage(passage: Passage) -> dict[str, Any]:
    """A passage of an archive; its vector is made anew."""
    return {
        "text": passage.text,
        "metadata": passage.metadata,
        "tags": passage.tags,
        "created_at": passage.created_at.isoformat(),
    }
