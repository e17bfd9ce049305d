"""What is left out of a request, with a note in its place, after a provider would not read it."""

from collections.abc import Iterator
from typing import Any

from o.llm.requests.cleaning import NO_IMAGE, Message, Notes

_NO_TURN = "[What was said here was refused by the provider of your model, and is left out.]"
_OF_REPLIES = frozenset({"role", "content", "tool_calls"})
_OF_CALLS = frozenset({"id", "type", "function"})
_NOTHING_BEFORE = (
    "[What was said before cannot be shown to you: the provider of your model refused it.]"
)
_SPEAKS = "send_message"
"""An agent of the legacy loop answers by calling this tool; its turns end with the return."""


def without_refused(prompt: list[Message], refused: frozenset[int], notes: Notes) -> list[Message]:
    """The prompt without images and failed turns that were refused before.

    Args:
        prompt: It is not changed.
        refused: Their marks, as `image_marks` and `failed_turn_marks` tell them.
        notes: Where to say what was changed.
    """
    said: list[Message] = []
    for turn in _turns(prompt):
        if _has_failed(turn, prompt) and _mark(turn[0]["content"]) in refused:
            notes["a turn that failed was left out, with a note in its place"] += 1
            said.append({"role": "user", "content": _NO_TURN})
        else:
            said += [_cleared(message, refused, notes) for message in turn]
    return said


def only_this_turn(prompt: list[Message], notes: Notes) -> list[Message]:
    """The head and the turn under way, with a note in the place of what was said before."""
    head = prompt[:1] if prompt and prompt[0]["role"] == "system" else []
    *earlier, turn = list(_turns(prompt[len(head) :])) or [[]]
    if not earlier:
        return prompt
    notes["all that was said before this turn was left out, with a note in its place"] += 1
    return [*head, {"role": "user", "content": _NOTHING_BEFORE}, *turn]


def has_earlier_turns(prompt: list[Message]) -> bool:
    """Whether a user has spoken before the turn under way."""
    return [message["role"] for message in prompt].count("user") > 1


def is_in_tool_turn(prompt: list[Message]) -> bool:
    """Whether the model has called tools since the user spoke."""
    return [message["role"] for message in prompt[-1:]] == ["tool"]


def image_marks(prompt: list[Message]) -> frozenset[int]:
    """A mark of each image in a prompt, good in this process only."""
    return frozenset(_image_mark(url) for url in _images(prompt))


def count_images(prompt: list[Message]) -> int:
    """How many images a prompt has."""
    return sum(1 for _ in _images(prompt))


def failed_turn_marks(prompt: list[Message]) -> frozenset[int]:
    """A mark of each earlier turn to which the model gave no answer, good in this process only.

    Such a turn may have failed because of what was said in it.
    """
    return frozenset(
        _mark(turn[0]["content"]) for turn in _turns(prompt) if _has_failed(turn, prompt)
    )


def _images(prompt: list[Message]) -> Iterator[str]:
    for message in prompt:
        content = message.get("content")
        if isinstance(content, list):
            yield from (part["image_url"]["url"] for part in content if part["type"] == "image_url")


def addition_marks(prompt: list[Message]) -> frozenset[int]:
    """A mark of what the provider has added to each reply, good in this process only."""
    added = (_additions(message) for message in prompt)
    return frozenset(_mark(one) for one in added if one)


def _additions(message: Message) -> list[Any]:
    if message["role"] != "assistant":
        return []
    of_reply = [(name, value) for name, value in message.items() if name not in _OF_REPLIES]
    of_calls = [
        (name, value)
        for call in message.get("tool_calls") or ()
        for name, value in call.items()
        if name not in _OF_CALLS
    ]
    return [*of_reply, *of_calls]


def _without_additions(message: Message) -> Message:
    plain = {name: value for name, value in message.items() if name in _OF_REPLIES}
    if calls := message.get("tool_calls"):
        plain["tool_calls"] = [
            {name: value for name, value in call.items() if name in _OF_CALLS} for call in calls
        ]
    return plain


def _turns(prompt: list[Message]) -> Iterator[list[Message]]:
    """The messages by turns, each from a user's message on; the head is one by itself."""
    turn: list[Message] = []
    for message in prompt:
        if message["role"] == "user" and turn:
            yield turn
            turn = []
        turn.append(message)
    if turn:
        yield turn


def _has_failed(turn: list[Message], prompt: list[Message]) -> bool:
    last = turn[-1]
    if turn[0]["role"] != "user" or last is prompt[-1]:
        return False
    if last["role"] != "tool":
        return len(turn) == 1
    calls = (call for message in turn for call in message.get("tool_calls") or ())
    return not any(call["function"]["name"] == _SPEAKS for call in calls)


def _cleared(message: Message, refused: frozenset[int], notes: Notes) -> Message:
    if (added := _additions(message)) and _mark(added) in refused:
        notes["what the provider had added to a reply was left out"] += 1
        message = _without_additions(message)
    content = message.get("content")
    if not isinstance(content, list) or not image_marks([message]) & refused:
        return message
    return message | {"content": [_part(part, refused, notes) for part in content]}


def _part(part: Any, refused: frozenset[int], notes: Notes) -> Any:
    if part["type"] != "image_url" or _image_mark(part["image_url"]["url"]) not in refused:
        return part
    notes["an image that was refused before was left out, with a note in its place"] += 1
    return {"type": "text", "text": NO_IMAGE}


def _image_mark(url: str) -> int:
    """The same whatever type it is said to be of."""
    return _mark(url[url.find(",") + 1 :] if url.startswith("data:") else url)


def _mark(content: Any) -> int:
    return hash(content if isinstance(content, str) else repr(content))
