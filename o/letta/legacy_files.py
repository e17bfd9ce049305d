"""Agent files of V1's releases 0.6 to 0.10: one agent, flat, with all that it has inside."""

from typing import Any

from o.letta.file_models import LegacyFile

_INSIDE = frozenset(LegacyFile.model_fields) - {
    "agent_type",
    "name",
    "tool_rules",
    "llm_config",
    "embedding_config",
}
_UNTOLD = frozenset({"created_at", "updated_at"})


def is_legacy(value: dict[str, Any]) -> bool:
    """Whether this is such a file, rather than one of today's form."""
    return "agents" not in value and any(name in value for name in ("core_memory", "agent_type"))


def as_of_today(value: dict[str, Any]) -> dict[str, Any]:
    """The same in today's form, as JSON; `value` is a `LegacyFile`.

    Ids are given by places, as V1 gives them today.
    """
    file = LegacyFile.model_validate(value)
    messages = [
        raw | {"id": f"message-{place}"} for place, raw in enumerate(value.get("messages", []))
    ]
    kept = {name: one for name, one in value.items() if name not in _INSIDE and name not in _UNTOLD}
    agent = kept | {
        "id": "agent-0",
        "messages": messages,
        "in_context_message_ids": _in_context(file, len(messages)),
        "block_ids": [f"block-{place}" for place in range(len(file.core_memory))],
        "tool_ids": [f"tool-{place}" for place in range(len(file.tools))],
        "tags": [tag if isinstance(tag, str) else tag.tag for tag in file.tags],
        "metadata": file.metadata_,
        "tool_exec_environment_variables": {
            one.key: one.value or "" for one in file.tool_exec_environment_variables
        },
    }
    blocks = [_block(raw, place) for place, raw in enumerate(value.get("core_memory", []))]
    tools = [
        {name: one for name, one in raw.items() if name not in _UNTOLD} | {"id": f"tool-{place}"}
        for place, raw in enumerate(value.get("tools", []))
    ]
    return {"agents": [agent], "blocks": blocks, "tools": tools}


def _in_context(file: LegacyFile, count: int) -> list[str]:
    indices = file.in_context_message_indices
    if indices is None:
        indices = list(range(count))
    return [f"message-{index}" for index in indices if 0 <= index < count]


def _block(raw: dict[str, Any], place: int) -> dict[str, Any]:
    told = {name: one for name, one in raw.items() if name not in _UNTOLD and name != "metadata_"}
    return told | {"id": f"block-{place}", "metadata": raw.get("metadata_")}
