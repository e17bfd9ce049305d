"""The content of V1's messages as parts, and parts as V1's content."""

from collections.abc import Callable, Sequence
from typing import Any

from o.domain.messages import ImagePart, Part, ReasoningPart, RedactedPart, TextPart
from o.domain.text import storable_json
from o.letta.notes import Notes
from o.letta.values import as_text, objects_of, text_of

UNKNOWN_PART = "A part of a message that is of no known type is kept as text"
EMPTY_IMAGE = "An image without data and address is kept as text that names it"
HIDDEN_REASONING = "Reasoning of which nothing but its absence was kept is left out"
SEALED_REASONING = "Reasoning is kept as it can be read, without its encrypted form"


def parts_of(content: Any, text: Any, notes: Notes, where: str) -> list[Part]:
    """The parts of a message.

    Args:
        content: V1's list of parts, or a text; None in rows that are older than the column.
        text: V1's older column.
        notes: Takes what is not kept as it was.
        where: The message's place.
    """
    if content is None:
        content = text
    if not isinstance(content, list):
        said = as_text(content)
        return [TextPart(text=said)] if said else []
    found = (_part_of(one, notes, where) for one in content)
    return [part for part in found if part is not None]


def _part_of(part: Any, notes: Notes, where: str) -> Part | None:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind is None:
        said = as_text(part)
        return TextPart(text=said) if said else None
    read = _KINDS.get(kind) if isinstance(kind, str) else None
    if read is None:
        notes.tell(UNKNOWN_PART, where)
        return TextPart(text=as_text(part))
    return read(part, notes, where)


def _text_of(part: dict[str, Any], _notes: Notes, _where: str) -> Part:
    return TextPart(text=as_text(part.get("text")))


def _reasoning_of(part: dict[str, Any], _notes: Notes, _where: str) -> Part:
    own = part.get("is_native") is not False
    return ReasoningPart(
        reasoning=as_text(part.get("reasoning")),
        signature=text_of(part.get("signature")),
        source="reasoner_model" if own else "non_reasoner_model",
    )


def _redacted_of(part: dict[str, Any], notes: Notes, where: str) -> Part | None:
    data = text_of(part.get("data"))
    if data is None:
        notes.tell(HIDDEN_REASONING, where)
    return RedactedPart(data=data) if data else None


def _summarized_of(part: dict[str, Any], notes: Notes, where: str) -> Part | None:
    notes.tell(SEALED_REASONING, where)
    told = [as_text(one.get("text")) for one in objects_of(part.get("summary"))]
    return ReasoningPart(reasoning="\n".join(told)) if any(told) else None


def _image_of(part: dict[str, Any], notes: Notes, where: str) -> Part:
    source = part.get("source")
    if isinstance(source, dict) and (text_of(source.get("url")) or text_of(source.get("data"))):
        return ImagePart(source=storable_json(source))
    notes.tell(EMPTY_IMAGE, where)
    named = source.get("file_id") if isinstance(source, dict) else None
    return TextPart(text=f"[image {as_text(named)}]" if named else "[image]")


_KINDS: dict[str, Callable[[dict[str, Any], Notes, str], Part | None]] = {
    "text": _text_of,
    "image": _image_of,
    "reasoning": _reasoning_of,
    "redacted_reasoning": _redacted_of,
    "omitted_reasoning": _redacted_of,
    "summarized_reasoning": _summarized_of,
}


def content_of(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Parts in V1's spelling. The thoughts of the legacy loop are its text, as in V1."""
    return [_shown(part) for part in parts]


def _shown(part: Part) -> dict[str, Any]:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text, "signature": None}
        case ImagePart():
            return {"type": "image", "source": part.source}
        case RedactedPart():
            return {"type": "redacted_reasoning", "data": part.data}
    if part.source == "non_reasoner_model":
        return {"type": "text", "text": part.reasoning, "signature": None}
    return {
        "type": "reasoning",
        "is_native": True,
        "reasoning": part.reasoning,
        "signature": part.signature,
    }
