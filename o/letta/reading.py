"""Reading agent files: bytes become an `AgentFile`, or one sentence that says why not."""

import codecs
import json
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from o.domain.json_bounds import JsonOutOfBounds, check_json_text
from o.domain.text import storable_json
from o.errors import InvalidInput
from o.letta.file_models import AgentFile, FileAgent, LegacyFile
from o.letta.legacy_files import as_of_today, is_legacy

MAX_VALUES = 20_000_000
"""Values and keys in one file; each costs some hundred bytes once it is parsed."""

_SIGNS = {
    b"\x1f\x8b": "it is compressed by gzip: unpack it first",
    b"PK\x03\x04": "it is a ZIP archive: unpack it first",
    b"%PDF": "it is a PDF document",
    b"\x89PNG": "it is a picture",
}
_WRAPPED = 3
_Model = TypeVar("_Model", bound=BaseModel)


def read_file(content: bytes) -> AgentFile:
    """The file that these bytes are: of today's form, or of the older one.

    Takes a second for some 50 MB: not on an event loop.

    Raises:
        InvalidInput: They are none. The message names the place.
    """
    value = _parsed(content)
    if is_legacy(value):
        _checked(LegacyFile, value)
        value = as_of_today(value)
    elif "agents" not in value:
        raise unreadable("it has neither 'agents' nor, as older files have, 'core_memory'")
    file = _checked(AgentFile, value)
    _check_ids(file)
    _check_references(file)
    return file


def unreadable(why: str) -> InvalidInput:
    """What is said of a file that cannot be imported."""
    return InvalidInput(f"The agent file cannot be imported: {why}")


def _parsed(content: bytes) -> dict[str, Any]:
    value: Any = _text(content)
    for _ in range(_WRAPPED):  # some files are a JSON string that holds the JSON
        if not isinstance(value, str):
            break
        value = _json(value)
    if not isinstance(value, dict):
        raise unreadable(f"it is no JSON object but {_kind(value)}")
    whole: dict[str, Any] = storable_json(value)
    return whole


def _text(content: bytes) -> str:
    for sign, what in _SIGNS.items():
        if content.startswith(sign):
            raise unreadable(what)
    encoding = "utf-8-sig"
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise unreadable(f"it is no text in UTF-8 (byte {error.start})") from None
    if not text.strip():
        raise unreadable("it is empty")
    return text


def _json(text: str) -> Any:
    try:
        check_json_text(text, max_values=MAX_VALUES)
        return json.loads(text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}"), strict=False)
    except JsonOutOfBounds as error:
        raise unreadable(str(error)) from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise unreadable(f"it is no JSON ({error.msg}, {where})") from None
    except (ValueError, RecursionError):
        raise unreadable("it is no JSON: a number in it is too long") from None


def _checked(model: type[_Model], value: dict[str, Any]) -> _Model:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        is_no_object = first["type"] in ("model_type", "dict_type")
        said = "Input should be an object" if is_no_object else first["msg"]
        raise unreadable(f"{place_of(first['loc'])}: {said}") from None


def place_of(path: Sequence[str | int]) -> str:
    """A place as people write it, `agents[0].messages[3].role`.

    What pydantic adds where a value may be of several types is left out.
    """
    place = ""
    for one in path:
        if isinstance(one, int):
            place += f"[{one}]"
        elif one.isidentifier() and one not in ("str", "int", "bool"):
            place += f".{one}" if place else one
    return place[:200]


def _kind(value: Any) -> str:
    kinds = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


def _check_ids(file: AgentFile) -> None:
    """Nothing has the id of another of its kind."""
    kinds: dict[str, Sequence[Any]] = {
        "agents": file.agents,
        "groups": file.groups,
        "blocks": file.blocks,
        "files": file.files,
        "sources": file.sources,
        "tools": file.tools,
        "mcp_servers": file.mcp_servers,
    }
    for kind, parts in kinds.items():
        _check_distinct([part.id for part in parts], kind)
    for place, agent in enumerate(file.agents):
        ids = [one.id for one in agent.messages if one.id is not None]
        _check_distinct(ids, f"agents[{place}].messages")


def _check_distinct(ids: Sequence[str], where: str) -> None:
    seen: dict[str, int] = {}
    for place, id_ in enumerate(ids):
        if id_ and id_ in seen:
            earlier = f"{where}[{seen[id_]}]"
            raise unreadable(f"{where}[{place}].id: {id_[:100]!r} is that of {earlier} too")
        seen[id_] = place


def _check_references(file: AgentFile) -> None:
    """What names something else in the file names what is there."""
    agents, blocks = ids_of(file.agents), ids_of(file.blocks)
    sources, files, tools = ids_of(file.sources), ids_of(file.files), ids_of(file.tools)
    for place, agent in enumerate(file.agents):
        where = f"agents[{place}]"
        _check_named(agent.tool_ids, tools, f"{where}.tool_ids", "tools")
        _check_named(agent.block_ids, blocks, f"{where}.block_ids", "blocks")
        _check_named(source_ids(agent), sources, f"{where}.source_ids", "sources")
        _check_named(
            [one.file_id for one in agent.files_agents], files, f"{where}.files_agents", "files"
        )
    _check_named([one.source_id for one in file.files], sources, "files", "sources")
    for place, group in enumerate(file.groups):
        _check_named(group.agent_ids, agents, f"groups[{place}].agent_ids", "agents")
        _check_named(group.shared_block_ids, blocks, f"groups[{place}].shared_block_ids", "blocks")
        manager = (group.manager_config or {}).get("manager_agent_id")
        if manager is not None:
            _check_named([manager], agents, f"groups[{place}].manager_config", "agents")
    for place, archive in enumerate(file.o_archives):
        named = [*archive.agent_ids, *archive.owner_ids]
        _check_named(named, agents, f"o_archives[{place}]", "agents")
    for place, conversation in enumerate(file.o_conversations):
        _check_named([conversation.agent_id], agents, f"o_conversations[{place}]", "agents")


def _check_named(named: Iterable[Any] | None, there: frozenset[str], where: str, kind: str) -> None:
    for place, id_ in enumerate(named or ()):
        if not isinstance(id_, str) or id_ not in there:
            raise unreadable(f"{where}[{place}]: there is no {str(id_)[:100]!r} in '{kind}'")


def ids_of(parts: Iterable[Any]) -> frozenset[str]:
    """The ids of parts."""
    return frozenset(part.id for part in parts)


def source_ids(agent: FileAgent) -> list[str]:
    """The folders that an agent has; V1 has two names for the same."""
    return list(dict.fromkeys([*(agent.source_ids or ()), *(agent.folder_ids or ())]))
