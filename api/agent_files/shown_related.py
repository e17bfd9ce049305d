"""Folders, files, groups and identities in V1's spelling of agent files."""

from collections.abc import Mapping, Sequence
from typing import Any

from api.agent_files.shown import Kept
from o.domain.agents import Agent
from o.domain.files.folders import AgentFile, Folder
from o.domain.groups import Group
from o.domain.identities import Identity
from o.letta.kept import FIELDS
from o.letta.shown_messages import LocalIds
from o.storage.history.exports import WholeFile

_FILE = (
    *("file_name", "original_file_name", "file_path", "file_type", "file_size"),
    *("file_creation_date", "file_last_modified_date", "error_message", "total_chunks"),
)


def show_folder(folder: Folder, ids: LocalIds, kept: Kept) -> dict[str, Any]:
    """A folder, which V1 calls a source."""
    return {
        "id": ids.of("source", folder.id),
        "name": folder.name,
        "description": folder.description,
        "instructions": folder.instructions,
        "metadata": folder.metadata,
        "embedding": folder.embedding,
        "embedding_chunk_size": None,
        "embedding_config": folder.embedding_config,
        **kept.get(folder.id, {}).get(FIELDS, {}),
    }


def show_file(whole: WholeFile, ids: LocalIds) -> dict[str, Any]:
    """A file with its text."""
    file = whole.file
    return {
        "id": ids.of("file", file.id),
        "source_id": ids.of("source", file.folder_id),
        **{name: getattr(file, name) for name in _FILE},
        "processing_status": file.status.value,
        "chunks_embedded": file.chunks_embedded,
        "content": whole.text,
    }


def show_views(
    agent: Agent, held: Sequence[WholeFile], views: Mapping[str, AgentFile], ids: LocalIds
) -> list[dict[str, Any]]:
    """How an agent stands to the files of its folders."""
    shown: list[dict[str, Any]] = []
    for whole in held:
        file = whole.file
        view = views.get(file.id)
        accessed_at = view.last_accessed_at if view else None
        shown.append(
            {
                "id": ids.new("file_agent"),
                "agent_id": ids.of("agent", agent.id),
                "file_id": ids.of("file", file.id),
                "source_id": ids.of("source", file.folder_id),
                "file_name": file.file_name,
                "is_open": view.is_open if view else False,
                "visible_content": None,
                "last_accessed_at": accessed_at.isoformat() if accessed_at else None,
                "start_line": view.view_start if view else None,
                "end_line": view.view_end if view else None,
            }
        )
    return shown


def show_group(group: Group, ids: LocalIds) -> dict[str, Any]:
    """A group; who leads it stands in `manager_config`."""
    config = group.manager_config.model_dump(exclude_none=True)
    if group.manager_agent_id is not None:
        config["manager_agent_id"] = ids.of("agent", group.manager_agent_id)
    return {
        "id": ids.of("group", group.id),
        "agent_ids": [ids.of("agent", id_) for id_ in group.agent_ids],
        "description": group.description,
        "manager_config": {"manager_type": group.manager_type, **config},
        "project_id": group.project_id,
        "shared_block_ids": [ids.of("block", id_) for id_ in group.shared_block_ids],
        "hidden": group.hidden,
    }


def show_identity(identity: Identity, ids: LocalIds) -> dict[str, Any]:
    """An identity, as O adds it to V1's form."""
    return {
        "id": ids.of("identity", identity.id),
        "identifier_key": identity.identifier_key,
        "name": identity.name,
        "identity_type": identity.identity_type,
        "project_id": identity.project_id,
        "properties": [one.model_dump(mode="json") for one in identity.properties],
        "agent_ids": sorted(ids.of("agent", id_) for id_ in identity.agent_ids),
        "block_ids": sorted(ids.of("block", id_) for id_ in identity.block_ids),
    }
