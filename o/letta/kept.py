"""What a file holds and O cannot act on: kept with its row, and exported again in its place."""

from collections.abc import Mapping, Sequence
from typing import Any

from o.domain.text import storable, storable_json
from o.letta.file_models import AgentFile, FileAgent, FileMessage, FilePart
from o.letta.notes import Notes

UNKNOWN = "{!r} is not known here, and kept for exports"
LEFT_OUT = "{!r} is not known here, and left out"
SKILLS = "Skills are kept for exports; nothing here acts on them"

FIELDS = "fields"
"""What holds the fields of an owner that are not known, by their names."""

FILE = "file"
"""What holds, with the first agent of a file, what stood beside all agents."""

MESSAGES = "messages"
"""What holds fields of an agent's messages that are not known, by the messages' ids here."""

_SAYS_NOTHING: Mapping[str, Any] = dict.fromkeys(
    (
        *("initial_message_sequence", "include_multi_agent_tools", "include_base_tool_rules"),
        *("include_default_source", "embedding_chunk_size", "max_tokens", "max_reasoning_tokens"),
        *("enable_reasoner", "reasoning", "from_template", "template", "project"),
        *("memory_variables", "multi_agent_group", "parallel_tool_calls", "managed_group"),
    )
)
"""Fields of V1's agents that say something when an agent is made and nothing behind it, or that
stand in `llm_config` as well."""


def kept_of_agent(one: FileAgent, notes: Notes, where: str) -> dict[str, Any]:
    """What is kept with an agent, by name."""
    extra = one.model_extra or {}
    told = {name: value for name, value in extra.items() if not _is_idle(name, value)}
    kept: dict[str, Any] = {}
    if told:
        _tell(told, notes, where)
        kept[FIELDS] = storable_json(told)
    return kept


def kept_of_messages(
    messages: Sequence[FileMessage], ids: Mapping[str, str], notes: Notes, where: str
) -> dict[str, Any]:
    """Fields of messages that are not known, by our ids."""
    found: dict[str, Any] = {}
    for one in messages:
        id_ = ids.get(one.id or "")
        told = {name: value for name, value in (one.model_extra or {}).items() if value is not None}
        if told and id_ is not None:
            _tell(told, notes, f"{where}.messages[]")
            found[id_] = storable_json(told)
    return found


def tell_of_others(file: AgentFile, notes: Notes) -> None:
    """Tell of what is not known and has no row of its own to be kept with."""
    parts: dict[str, Sequence[FilePart]] = {
        "groups": file.groups,
        "files": file.files,
        "o_archives": file.o_archives,
        "o_conversations": file.o_conversations,
        "o_identities": file.o_identities,
    }
    for kind, several in parts.items():
        for place, one in enumerate(several):
            for name in one.model_extra or ():
                notes.tell(LEFT_OUT.format(storable(name)[:100]), f"{kind}[{place}]")


def kept_of_part(part: FilePart, notes: Notes, where: str) -> dict[str, Any]:
    """What is kept with another row, by name."""
    told = {name: value for name, value in (part.model_extra or {}).items() if value is not None}
    _tell(told, notes, where)
    return {FIELDS: storable_json(told)} if told else {}


def kept_of_file(file: AgentFile, notes: Notes) -> dict[str, Any]:
    """What stands beside the agents and is kept with the first one, by name."""
    told = dict(file.model_extra or {})
    _tell(told, notes, "")
    if file.skills:
        notes.tell(SKILLS, f"skills: {len(file.skills)}")
        told["skills"] = file.skills
    return {FILE: storable_json(told)} if told else {}


def _is_idle(name: str, value: Any) -> bool:
    return name in _SAYS_NOTHING or value is None


def _tell(told: Mapping[str, Any], notes: Notes, where: str) -> None:
    for name in told:
        notes.tell(UNKNOWN.format(storable(name)[:100]), where)
