"""What a tool of an MCP server returned, as text for a model."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from o.domain.text import cut

MOST_CHARS = 1_000_000
"""Of a return that is kept; the tool's own limit of what a model is shown is lower as a rule."""


def text_of(content: Sequence[Mapping[str, Any]], structured: Any = None) -> str:
    """The parts of a result in their order, one after the other.

    Text stands as it is. What a model cannot read here (images, sound, files) is named with its
    type and size. Structured content is shown where there is no text, because servers send both.
    """
    parts = [_part(block) for block in content]
    has_text = any(block.get("type") == "text" and block.get("text") for block in content)
    if structured is not None and not has_text:
        parts.append(json.dumps(structured, ensure_ascii=False))
    return cut("\n".join(part for part in parts if part), MOST_CHARS)


def _part(block: Mapping[str, Any]) -> str:
    match block.get("type"):
        case "text":
            return str(block.get("text") or "")
        case "image" | "audio" as kind:
            return f"[{kind}: {_kind_and_size(block, 'data')}, not shown]"
        case "resource_link":
            name = block.get("title") or block.get("name") or ""
            return f"[link to a resource: {' '.join(filter(None, [name, block.get('uri')]))}]"
        case "resource":
            return _resource(block.get("resource"))
        case _:
            return json.dumps(dict(block), ensure_ascii=False)


def _resource(resource: Any) -> str:
    if not isinstance(resource, Mapping):
        return "[resource: empty]"
    uri = resource.get("uri") or ""
    if isinstance(resource.get("text"), str):
        return f"[resource: {uri}]\n{resource['text']}"
    return f"[resource: {uri} {_kind_and_size(resource, 'blob')}, not shown]"


def _kind_and_size(block: Mapping[str, Any], of: str) -> str:
    """The media type of base64 data, and its bytes."""
    data = block.get(of)
    size = len(data) * 3 // 4 if isinstance(data, str) else 0
    return f"{block.get('mimeType') or 'of no type'}, {size} bytes"
