"""Whose turn it is: the order of roles in a prompt, as a provider wants it."""

from collections.abc import Iterable
from typing import Any

from o.llm.requests.capabilities import Capabilities
from o.llm.requests.cleaning import Message, Notes

_FROM_SYSTEM = "[From the system, not from the user]"
_BEGINNING = "[What was said before is not shown.]"
_GO_ON = "[The user has said nothing yet.]"
_NO_REPLY = "[No reply was given.]"
_LISTED = ("thinking_blocks", "reasoning_details", "tool_calls")


def in_order(prompt: list[Message], takes: Capabilities, notes: Notes) -> list[Message]:
    """The prompt with its roles in the order that the provider takes; it is not changed."""
    if takes.system != "anywhere" or takes.alternates:
        prompt = _folded(prompt, takes, notes)
    if takes.alternates:
        return list(_alternating(prompt, notes))
    if takes.user_first:
        return _user_first(prompt, notes)
    return prompt


def _folded(prompt: list[Message], takes: Capabilities, notes: Notes) -> list[Message]:
    """Without system messages behind the head, or without any."""
    head = prompt[:1] if prompt and prompt[0]["role"] == "system" else []
    rest = prompt[len(head) :]
    if any(message["role"] == "system" for message in rest):
        rest = [
            _as_user(message, notes) if message["role"] == "system" else message for message in rest
        ]
    if takes.system != "nowhere" or not head:
        return [*head, *rest]
    notes["the system message was put into the user's first message"] += 1
    first = {"role": "user", "content": head[0]["content"]}
    if rest and rest[0]["role"] == "user":
        return [_merged(first, rest[0]), *rest[1:]]
    return [first, *rest]


def _as_user(message: Message, notes: Notes) -> Message:
    notes["a system message behind the first one was shown among the user's, marked as such"] += 1
    label = {"role": "user", "content": _FROM_SYSTEM}
    return _merged(label, message | {"role": "user"})


def _user_first(prompt: list[Message], notes: Notes) -> list[Message]:
    place = next(
        (n for n, message in enumerate(prompt) if message["role"] != "system"), len(prompt)
    )
    if place < len(prompt) and prompt[place]["role"] == "user":
        return prompt
    notes["a note stands where a user has to speak first"] += 1
    return [*prompt[:place], {"role": "user", "content": _BEGINNING}, *prompt[place:]]


def _alternating(prompt: list[Message], notes: Notes) -> Iterable[Message]:
    """Users and the assistant in turn; each message is given out when none can join it."""
    last: Message | None = None
    for message in _user_first(prompt, notes):
        if last is None:
            last = message
        elif _joins(last, message):
            notes["neighbouring messages of one role were merged"] += 1
            last = _merged(last, message)
        else:
            yield last
            if last["role"] == "tool" and message["role"] == "user":
                notes["a note stands where the assistant has to speak after a tool"] += 1
                yield {"role": "assistant", "content": _NO_REPLY}
            last = message
    if last is not None:
        yield last
        if last["role"] == "assistant":  # else it would be taken for the beginning of the reply
            notes["a note stands where a user has to speak last"] += 1
            yield {"role": "user", "content": _GO_ON}


def _joins(one: Message, other: Message) -> bool:
    return (
        one["role"] == other["role"]
        and one["role"] in ("user", "assistant", "system")
        and not one.get("tool_calls")
    )


def _merged(one: Message, other: Message) -> Message:
    """Two messages of one role as one; a name stays where both have it."""
    merged = one | other
    merged["content"] = _joined(one["content"], other["content"])
    for name in _LISTED:
        if one.get(name) and other.get(name):
            merged[name] = [*one[name], *other[name]]
    if one.get("name") != other.get("name"):
        merged.pop("name", None)
    return merged


def _joined(one: Any, other: Any) -> Any:
    if not one or not other:
        return one or other
    if isinstance(one, str) and isinstance(other, str):
        return f"{one}\n\n{other}"
    return [*_as_parts(one), *_as_parts(other)]


def _as_parts(content: Any) -> list[Any]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
