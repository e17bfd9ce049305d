"""Agents as clients ask for them: what is made of a request before it is stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from api.tools.named_tools import NamedTools
from api.wire.agent_requests import CreateAgentBody, UpdateAgentBody, random_name
from api.wire.llm import EmbeddingFields, ModelFields
from o.domain.actors import Actor
from o.domain.agents import Agent
from o.domain.blocks import Block
from o.domain.instructions import default_system
from o.domain.llm import ToolSpec
from o.domain.rules.approval import with_default_approvals
from o.errors import InvalidArgument
from o.ids import new_id
from o.llm.providers.catalogue import Catalogue, CatalogueEntry
from o.tools.agent_types import SERVED_TYPES

_A_HANDLE = "model must be a handle 'provider/model' that GET /v1/models/ lists"
_AN_EMBEDDING_HANDLE = (
    "embedding must be a handle 'provider/model' that GET /v1/models/embedding lists"
)


@dataclass(frozen=True)
class NewAgent:
    """An agent to be stored, with the blocks that are made with it."""

    agent: Agent
    blocks: list[Block]


async def model_asked_for(
    body: ModelFields, actor: Actor, catalogue: Catalogue
) -> CatalogueEntry | None:
    """The model that a request names, None when it names none.

    Raises:
        InvalidArgument: What it names is no handle.
        NotFound: There is no such model, or none of those that the agent is to turn to.
    """
    await check_fallbacks(body.fallbacks(), actor, catalogue)
    handle = body.handle()
    return None if handle is None else await find_model(handle, actor, catalogue)


async def check_fallbacks(handles: Sequence[str], actor: Actor, catalogue: Catalogue) -> None:
    """See that the models to turn to are there.

    Raises:
        InvalidArgument: One is no handle.
        NotFound: One is not there.
    """
    for handle in handles:
        await find_model(handle, actor, catalogue)


async def find_model(handle: str, actor: Actor, catalogue: Catalogue) -> CatalogueEntry:
    """The model by that handle, as clients name it.

    Raises:
        InvalidArgument: It is no handle.
        NotFound: There is no such model.
    """
    if "/" not in handle:
        raise InvalidArgument(f"INVALID_ARGUMENT: {_A_HANDLE}")
    return await catalogue.get(handle, actor.organization_id)


async def check_embedding(body: EmbeddingFields, actor: Actor, catalogue: Catalogue) -> None:
    """See that the embedding model that a request names by its handle is there.

    An `embedding_config` says by itself where its model is, and is kept as it comes.

    Raises:
        InvalidArgument: It is no handle.
        NotFound: There is no such model.
    """
    if not body.embedding:
        return
    if "/" not in body.embedding:
        raise InvalidArgument(f"INVALID_ARGUMENT: {_AN_EMBEDDING_HANDLE}")
    await catalogue.check_embedding(body.embedding, actor.organization_id)


async def model_of_new(body: CreateAgentBody, actor: Actor, catalogue: Catalogue) -> CatalogueEntry:
    """The model that a new agent is to have: the one that is asked for, else the default.

    Raises:
        InvalidArgument: There is neither, or the agent's type is not served.
        NotFound: There is no such model.
    """
    if body.agent_type not in SERVED_TYPES:
        served = ", ".join(sorted(SERVED_TYPES))
        raise InvalidArgument(
            f"INVALID_ARGUMENT: agent_type {body.agent_type!r} is not served; use one of {served}"
        )
    entry = await model_asked_for(body, actor, catalogue)
    entry = entry or await catalogue.default(actor.organization_id)
    if entry is None:
        raise InvalidArgument(
            "INVALID_ARGUMENT: no model is named, and there is no default one (O_DEFAULT_MODEL): "
            f"{_A_HANDLE}"
        )
    return entry


def new_agent(
    body: CreateAgentBody,
    actor: Actor,
    entry: CatalogueEntry,
    tools: NamedTools,
    project_id: str | None,
) -> NewAgent:
    """The agent that a client asks for, with this model and these tools."""
    now = datetime.now(UTC)
    values: dict[str, Any] = {
        "name": random_name(),
        "system": default_system(body.agent_type),
        "project_id": project_id,
        **body.columns(),
        "tool_rules": with_default_approvals(body.rules(tools.names), tools.specs),
        "message_buffer_autoclear": body.autoclears(),
    }
    agent = Agent(
        **values,
        id=new_id("agent"),
        organization_id=actor.organization_id,
        agent_type=body.agent_type,
        model=entry.handle,
        embedding=body.embedding_handle(),
        model_settings=body.settings({}),
        llm_options=body.options({}),
        context_window=body.context_window() or entry.context_window,
        tool_names=tools.names,
        created_by_id=actor.user_id,
        last_updated_by_id=actor.user_id,
        created_at=now,
        updated_at=now,
    )
    return NewAgent(agent, [block.to_block(actor, now) for block in body.memory_blocks or ()])


def agent_changes(
    body: UpdateAgentBody, agent: Agent, entry: CatalogueEntry | None, tools: NamedTools | None
) -> dict[str, Any]:
    """Column to value, for what a client changes of an agent.

    Args:
        body: The request.
        agent: As it is; single settings are merged into what it has.
        entry: The model that the request names.
        tools: All that it is to have from now on, None when it keeps its own.
    """
    changes = body.columns()
    settings = agent.model_settings
    if entry is not None:
        changes["model"] = entry.handle
        changes["context_window"] = entry.context_window
        settings = {name: value for name, value in settings.items() if name != "provider_type"}
    changes |= {
        "model_settings": body.settings(settings),
        "llm_options": body.options(agent.llm_options),
    }
    if (embedding := body.embedding_handle()) is not None:
        changes["embedding"] = embedding
    if (context_window := body.context_window()) is not None:
        changes["context_window"] = context_window
    if tools is not None:
        changes |= tools_given(agent, tools.specs, changes.get("tool_rules"))
    return changes


def tools_given(
    agent: Agent, tools: Sequence[ToolSpec], tool_rules: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """Column to value, for an agent that is to have these tools.

    Args:
        agent: As it is.
        tools: All that it is to have; of those that it has, only the names matter.
        tool_rules: The rules that it is given at the same time, None when it keeps its own.
    """
    added = [tool for tool in tools if tool.name not in agent.tool_names]
    return {
        "tool_names": [tool.name for tool in tools],
        "tool_rules": with_default_approvals(
            agent.tool_rules if tool_rules is None else tool_rules, added
        ),
    }


def tool_attached(agent: Agent, tool: ToolSpec) -> dict[str, Any]:
    """Column to value, for an agent that gets one tool more."""
    return {
        "tool_names": [*agent.tool_names, tool.name],
        "tool_rules": with_default_approvals(agent.tool_rules, [tool]),
    }
