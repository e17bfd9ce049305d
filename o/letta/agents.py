"""V1's agents as ours: rows of its database, and agents of files, which have the same fields."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from o.domain.agents import DEFAULT_AGENT_TYPE, DEFAULT_CONTEXT_WINDOW
from o.domain.compaction import CompactionSettings
from o.domain.llm_config import (
    RESPONSE_FORMATS,
    embedding_handle_of,
    handle_of,
    options_in,
    settings_in,
)
from o.letta.notes import Notes
from o.letta.rules import rules_of
from o.letta.values import as_text, count_of, flag_of, object_of, text_of
from o.tools.agent_types import SERVED_TYPES, clears_buffer

OTHER_TYPE = "An agent of a type that is not served here goes on as one of another type"
NO_MODEL = "An agent names no model"
UNKNOWN_ZONE = "An agent's time zone is not known: it has UTC"
BAD_FORMAT = "A response format that makes no sense here is left out, and kept for exports"

# What comes nearest. V1 took agents without a type for those of its first loop.
_NEAREST = {
    None: "memgpt_agent",
    "voice_convo_agent": DEFAULT_AGENT_TYPE,
    "voice_sleeptime_agent": "sleeptime_agent",
}
_AS_THEY_ARE = ("description", "project_id", "template_id", "base_template_id")
_COUNTS = ("max_files_open", "per_file_view_window_char_limit")


@dataclass(frozen=True)
class AgentFields:
    """What an agent is.

    Attributes:
        values: Column to value, for fields of `o.domain.agents.Agent`; not its ids, authors, times,
            tags, and tools.
        kept: What O cannot act on, by name: for `o.storage.agents.kept_parts`.
    """

    values: dict[str, Any]
    kept: dict[str, Any] = field(default_factory=dict)


def agent_fields(given: Mapping[str, Any], notes: Notes, where: str) -> AgentFields:
    """What V1 says of an agent, as ours.

    Args:
        given: A row of `agents`, JSON parsed, or an agent of a file.
        notes: Takes what changes.
        where: The agent's place, for notes.
    """
    kept: dict[str, Any] = {}
    agent_type = _type_of(given, kept, notes, where)
    rules, others = rules_of(given.get("tool_rules"), notes, where)
    if others:
        kept["tool_rules"] = others
    response_format = given.get("response_format")
    if response_format is not None and not _is_format(response_format):
        notes.tell(BAD_FORMAT, where)
        kept["response_format"] = response_format
        response_format = None
    metadata = given.get("metadata", given.get("metadata_"))
    values: dict[str, Any] = {
        "name": text_of(given.get("name")) or "agent",
        "agent_type": agent_type,
        "system": as_text(given.get("system")),
        "metadata": object_of(metadata),
        "timezone": _zone_of(given, notes, where),
        "tool_rules": rules,
        "response_format": object_of(response_format) or None,
        "message_buffer_autoclear": given.get("message_buffer_autoclear") is True
        or clears_buffer(agent_type),
        "enable_sleeptime": flag_of(given.get("enable_sleeptime")),
        "hidden": flag_of(given.get("hidden")),
        "compaction_settings": _compaction_of(given.get("compaction_settings")),
        **{name: text_of(given.get(name)) for name in _AS_THEY_ARE},
        **{name: count_of(given.get(name)) for name in _COUNTS},
        **model_fields(given, notes, where),
        **embedding_fields(given),
    }
    return AgentFields(values, kept)


def model_fields(given: Mapping[str, Any], notes: Notes, where: str) -> dict[str, Any]:
    """Column to value, for which model is called and how; `model` is empty where none is named."""
    config = object_of(given.get("llm_config"))
    handle = text_of(given.get("model")) or (handle_of(config) if config else "")
    provider, _, name = handle.partition("/")
    if not provider or not name:
        notes.tell(NO_MODEL, where)
        handle = ""
    window = count_of(given.get("context_window_limit")) or count_of(config.get("context_window"))
    newer = object_of(given.get("model_settings"))
    settings = settings_in(config) | newer
    options = options_in(config)
    exact = object_of(given.get("o_llm"))  # files that O made
    if exact:
        settings, options = (object_of(exact.get(one)) for one in ("model_settings", "llm_options"))
    if "response_format" in settings and not _is_format(settings["response_format"]):
        del settings["response_format"]
    return {
        "model": handle,
        "model_settings": settings,
        "llm_options": options,
        "context_window": window or DEFAULT_CONTEXT_WINDOW,
    }


def embedding_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """Column to value, for which model embeds; of an agent, an archive or a folder."""
    config = object_of(given.get("embedding_config"))
    handle = text_of(given.get("embedding")) or (embedding_handle_of(config) if config else "")
    provider, _, name = handle.partition("/")
    return {
        "embedding": handle if provider and name else None,
        "embedding_config": config or None,
    }


def _type_of(given: Mapping[str, Any], kept: dict[str, Any], notes: Notes, where: str) -> str:
    named = text_of(given.get("agent_type"))
    if named in SERVED_TYPES:
        return str(named)
    nearest = _NEAREST.get(named, DEFAULT_AGENT_TYPE)
    if named is not None:
        notes.tell(f"{OTHER_TYPE} ({named[:100]} as {nearest})", where)
        kept["agent_type"] = named
    return nearest


def _zone_of(given: Mapping[str, Any], notes: Notes, where: str) -> str:
    named = text_of(given.get("timezone"))
    if named is not None and named not in _zones():
        notes.tell(UNKNOWN_ZONE, where)
        return "UTC"
    return named or "UTC"


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _is_format(given: Any) -> bool:
    if not isinstance(given, dict) or given.get("type") not in RESPONSE_FORMATS:
        return False
    schema = given.get("json_schema")
    return given["type"] != "json_schema" or (
        isinstance(schema, dict) and isinstance(schema.get("schema"), dict)
    )


def _compaction_of(given: Any) -> dict[str, Any] | None:
    """As it came, without what makes no sense."""
    told = object_of(given)
    if not told:
        return None
    sensible = CompactionSettings.of(told).model_dump()
    return {
        name: value
        for name, value in told.items()
        if value is None or name not in sensible or sensible[name] == value
    }
