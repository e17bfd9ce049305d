"""What V1's tools returned: unpacked from the JSON in which models read it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from o.domain.text import storable
from o.letta.notes import Notes
from o.letta.values import as_text, json_of, objects_of, text_of, time_of

IMAGE_IN_RETURN = "An image in the return of a tool is kept as a word"

Status = Literal["success", "error"]


@dataclass(frozen=True)
class Returned:
    """What came of one call, before the call is known.

    Attributes:
        call_id: None where the row does not say.
        created_at: When it came, where O made the file and that is not the row's time.
    """

    call_id: str | None
    status: Status
    content: str
    stdout: list[str] | None
    stderr: list[str] | None
    created_at: datetime | None = None


def returns_of(row: Mapping[str, Any], notes: Notes, where: str) -> list[Returned]:
    """The returns that a row of role tool holds: one, or those of parallel calls.

    `content` repeats the first of them, or nothing at all, so that `tool_returns` counts where it
    says something; rows that are older than that column have `content`, or `text`, alone.
    """
    found = objects_of(row.get("tool_returns"))
    if not found:
        found = [{}]
    return list(_each(row, found, notes, where))


def _each(
    row: Mapping[str, Any], found: list[dict[str, Any]], notes: Notes, where: str
) -> Iterator[Returned]:
    for place, one in enumerate(found):
        call_id = text_of(one.get("tool_call_id"))
        said = one.get("func_response")
        if said is None and place == 0:
            said = row.get("content")
            said = row.get("text") if said is None else said
        content, status = unpacked(flat_text(said, notes, where))
        if place == 0:
            call_id = call_id or text_of(row.get("tool_call_id"))
        yield Returned(
            call_id=call_id,
            status=_status(one.get("status")) or status or "success",
            content=content,
            stdout=lines_of(one.get("stdout")),
            stderr=lines_of(one.get("stderr")),
            created_at=time_of(one.get("o_created_at")),
        )


def flat_text(said: Any, notes: Notes, where: str) -> str:
    """A return as one text; of its images no more than that they were there."""
    if not isinstance(said, list):
        return as_text(said)
    texts: list[str] = []
    for part in said:
        if isinstance(part, dict) and part.get("type") == "image":
            notes.tell(IMAGE_IN_RETURN, where)
            texts.append("[image]")
        else:
            is_text = isinstance(part, dict) and part.get("type") == "text"
            texts.append(as_text(part.get("text") if is_text else part))
    return "\n".join(texts)


def unpacked(text: str) -> tuple[str, Status | None]:
    """The return in V1's packed form, and its status; a text that is none stands for itself."""
    told = json_of(text) if text.lstrip().startswith("{") else None
    if not isinstance(told, dict) or not {"status", "message"} <= told.keys():
        return text, None
    if not told.keys() <= {"status", "message", "time"}:
        return text, None
    status = _status(told["status"])
    return (as_text(told["message"]), status) if status else (text, None)


def lines_of(value: Any) -> list[str] | None:
    """What was printed, in pieces; None where nothing is kept of it."""
    if isinstance(value, str):
        return [storable(value)] if value else None
    return [as_text(one) for one in value] or None if isinstance(value, list) else None


def _status(value: Any) -> Status | None:
    match value:
        case "OK" | "success":
            return "success"
        case "Failed" | "error":
            return "error"
    return None
