"""Imports of agent files: read, planned and stored."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from api.agent_files.judged_servers import judge_servers
from api.agent_files.storing import ImportStore
from api.agents.new_agents import find_model
from api.deps import Parts
from api.tools.new_tools import derived_schema
from api.wire.llm import EmbeddingFields
from o.domain.actors import Actor
from o.domain.tools import SourceType
from o.errors import InvalidArgument, NotFound
from o.letta.agents import embedding_fields, model_fields
from o.letta.file_models import AgentFile
from o.letta.notes import Notes
from o.letta.planned_agents import plan_import
from o.letta.plans import ImportOptions, Model, Setting
from o.letta.reading import read_file, unreadable
from o.llm.providers.catalogue import CatalogueEntry
from o.storage.tools.mcp_servers import list_mcp_servers
from o.tools.registry import BUILT_IN_TOOLS

_ANY = "letta/auto"
"""V1's handle of whichever model is there."""


@dataclass(frozen=True)
class Asked:
    """What an import is asked to do.

    Attributes:
        model: The handle of the model that every agent is to have; None for its own.
        embedding: The same of the model that embeds.
    """

    options: ImportOptions
    model: str | None = None
    embedding: str | None = None


@dataclass(frozen=True)
class Imported:
    """What came of it: the agents' ids in the order of the file, and what there is to tell."""

    agent_ids: list[str]
    notes: list[str]


async def import_file(
    content: bytes, asked: Asked, actor: Actor, parts: Parts, *, adds_servers: bool
) -> Imported:
    """Import a file as new agents of the actor's organization.

    Reading and planning a large file takes seconds: they are done in a thread. Without
    `adds_servers` no MCP server is added, and no tool to one that is here.

    Raises:
        InvalidInput: It cannot be imported; the message names the place, and nothing is stored.
        NotFound: A model that the request names is not there.
        Conflict: Somebody else makes an MCP server by the same name at this moment.
    """
    file = await asyncio.to_thread(read_file, content)
    refused: dict[str, str] = {}
    if adds_servers and file.mcp_servers:
        async with parts.database.connect() as connection:
            here = {one.server_name for one in await list_mcp_servers(connection, actor)}
        file, refused = await judge_servers(file, here, parts.mcp)
    setting = await _setting(file, asked, actor, parts)
    setting = replace(setting, adds_servers=adds_servers, refused_servers=refused)
    notes = Notes()
    plan = await asyncio.to_thread(plan_import, file, setting, notes)
    async with parts.database.begin() as connection:
        file_ids = await ImportStore(connection, parts, setting, plan, notes).store()
    for file_id in file_ids:
        parts.ingestions.soon(file_id)
    for planned in plan.archives:
        if planned.passages:
            parts.embeddings.soon(planned.archive.id)
    return Imported([planned.agent.id for planned in plan.agents], notes.lines())


async def _setting(file: AgentFile, asked: Asked, actor: Actor, parts: Parts) -> Setting:
    catalogue = parts.catalogue
    model = None if asked.model is None else await find_model(asked.model, actor, catalogue)
    if asked.embedding is not None:
        await find_model(asked.embedding, actor, catalogue)
    named = {model_fields(one.fields, Notes(), "")["model"] for one in file.agents}
    models = {handle: await _find(handle, actor, parts) for handle in named if handle}
    default = None
    if model is None and (None in models.values() or "" in named):
        default = await catalogue.default(actor.organization_id) or await _find(_ANY, actor, parts)
    return Setting(
        actor=actor,
        now=datetime.now(UTC),
        options=asked.options,
        model=_model(model),
        models={handle: _model(entry) for handle, entry in models.items()},
        default_model=_model(default),
        embedding=asked.embedding,
        embedding_config=EmbeddingFields(embedding=asked.embedding).embedding_shown(),
        embeddings=await _embeddings(file, actor, parts),
        schemas=await _schemas(file),
    )


async def _embeddings(file: AgentFile, actor: Actor, parts: Parts) -> frozenset[str]:
    """The embedding models that the file names and that are here."""
    whose: list[Mapping[str, Any]] = [one.__dict__ for one in file.agents]
    whose += [one.__dict__ for one in (*file.sources, *file.o_archives)]
    named = {embedding_fields(one)["embedding"] for one in whose} - {None}
    found = {handle for handle in named if await _find(handle, actor, parts) is not None}
    return frozenset(found)


async def _find(handle: str, actor: Actor, parts: Parts) -> CatalogueEntry | None:
    try:
        return await parts.catalogue.get(handle, actor.organization_id)
    except NotFound:
        return None


def _model(entry: CatalogueEntry | None) -> Model | None:
    return None if entry is None else Model(entry.handle, entry.context_window)


async def _schemas(file: AgentFile) -> dict[str, dict[str, Any]]:
    """Schemas of the tools that bring a source and no schema; the source is not run."""
    found: dict[str, dict[str, Any]] = {}
    for place, one in enumerate(file.tools):
        if one.json_schema or not one.source_code or one.name in BUILT_IN_TOOLS:
            continue
        kind: SourceType = "typescript" if one.source_type == "typescript" else "python"
        try:
            found[one.id] = await derived_schema(one.source_code, kind, one.args_json_schema)
        except InvalidArgument as error:
            raise unreadable(f"tools[{place}].source_code: {error.message}") from None
    return found
