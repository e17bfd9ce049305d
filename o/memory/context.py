"""The context window: stored messages as the prompt of a model call, always paired."""

import json
import re
from collections.abc import Iterator
from typing import Any

from o.domain.agents import Agent
from o.domain.json_bounds import check_json_text
from o.domain.messages import (
    ImagePart,
    Message,
    ReasoningPart,
    RedactedPart,
    Role,
    ToolCall,
    ToolReturn,
)
from o.domain.thoughts import put_back
from o.memory.prompt import local_time

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NOTHING_SAID = "(no text)"
_OVERHEAD_CHARS = 500  # a message takes memory beside its text


class Prompt:
    """A history in the OpenAI chat shape, which grows at its end as the history does.

    Tool call ids are numbered anew, because providers may repeat theirs within a conversation;
    a call without a return (a crash in an imported history, say) gets an error return, so that
    no provider refuses the prompt.

    Attributes:
        chars: About how much memory it takes, in characters.
    """

    def __init__(self) -> None:
        self.chars = 0
        self._said: list[dict[str, Any]] = []
        self._open_calls: list[tuple[str, str]] = []

    def add(self, agent: Agent, message: Message) -> None:
        """Append the next message. Times are shown in the agent's zone as it is now."""
        if message.role is Role.APPROVAL:  # the returns tell what came of it
            return
        place = len(self._said)
        if message.role is not Role.TOOL:
            self._said.extend(_unanswered(self._open_calls))
            self._open_calls = []
        match message.role:
            case Role.ASSISTANT:
                shown, self._open_calls = _assistant(message, len(self._said))
                self._said.append(shown)
            case Role.TOOL:
                self._said.extend(_tool(agent, message, self._open_calls))
            case _:
                self._said.append(_plain(message))
        self.chars += sum(_OVERHEAD_CHARS + _chars(shown) for shown in self._said[place:])

    def chat(self, system: Message | None = None) -> list[dict[str, Any]]:
        """All of it, behind the system message, always valid. Its messages stay as they are."""
        head = [_plain(system)] if system else []
        return [*head, *self._said, *_unanswered(self._open_calls)]


def packed_return(tool_return: ToolReturn, time: str) -> str:
    """A tool's return as V1 shows it to the model: JSON of status, message and time."""
    status = "OK" if tool_return.status == "success" else "Failed"
    return json.dumps(
        {"status": status, "message": tool_return.content, "time": time}, ensure_ascii=False
    )


def _plain(message: Message) -> dict[str, Any]:
    """A user's or system message; providers take names of word characters only."""
    shown = {"role": message.role.value, "content": _content(message)}
    if message.role is Role.USER and message.name and _NAME.fullmatch(message.name):
        shown["name"] = message.name
    return shown


def _chars(shown: dict[str, Any]) -> int:
    calls = shown.get("tool_calls", ())
    return len(str(shown["content"])) + sum(len(call["function"]["arguments"]) for call in calls)


def _assistant(message: Message, place: int) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The message, and its calls as pairs of the stored id and the id in this prompt."""
    calls = [(call.id, f"call_{place}_{n}") for n, call in enumerate(message.tool_calls)]
    shown: dict[str, Any] = {"role": "assistant"}
    shown["content"] = message.text or (None if calls else _NOTHING_SAID)
    if calls:
        thoughts = _thoughts(message)
        shown["tool_calls"] = [
            {
                "id": prompt_id,
                "type": "function",
                "function": {"name": call.name, "arguments": _arguments(call, thoughts)},
            }
            for (_, prompt_id), call in zip(calls, message.tool_calls, strict=True)
        ]
    return shown | _thinking(message), calls


def _thoughts(message: Message) -> str:
    """What the model thought in the `thinking` argument of a call, in the legacy loop."""
    return "\n".join(
        part.reasoning
        for part in message.parts
        if isinstance(part, ReasoningPart) and part.source == "non_reasoner_model"
    )


def _thinking(message: Message) -> dict[str, Any]:
    """Signed or encrypted reasoning, which Anthropic asks to be sent back with tool calls."""
    blocks: list[dict[str, Any]] = []
    for part in message.parts:
        if isinstance(part, ReasoningPart) and part.signature:
            blocks.append(
                {"type": "thinking", "thinking": part.reasoning, "signature": part.signature}
            )
        elif isinstance(part, RedactedPart):
            blocks.append({"type": "redacted_thinking", "data": part.data})
    return {"thinking_blocks": blocks} if blocks else {}


def _tool(
    agent: Agent, message: Message, open_calls: list[tuple[str, str]]
) -> Iterator[dict[str, Any]]:
    """The return, if its call is open: one without a call would make the prompt invalid."""
    tool_return = message.tool_return
    if tool_return is None:
        return
    for pair in open_calls:
        stored_id, prompt_id = pair
        if stored_id == tool_return.tool_call_id:
            open_calls.remove(pair)
            time = local_time(message.created_at, agent.timezone)
            yield _answer(prompt_id, packed_return(tool_return, time))
            return


def _unanswered(open_calls: list[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    for _, prompt_id in open_calls:
        text = {"status": "Failed", "message": "The tool call was interrupted before it returned."}
        yield _answer(prompt_id, json.dumps(text))


def _answer(prompt_id: str, content: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": prompt_id, "content": content}


def _arguments(call: ToolCall, thoughts: str) -> str:
    """Arguments that providers accept: what the model broke is shown to it as text."""
    arguments = call.arguments
    try:
        check_json_text(arguments)
        is_object = isinstance(json.loads(arguments), dict)
    except ValueError:
        is_object = False
    if not is_object:
        arguments = json.dumps({"unreadable_arguments": arguments}, ensure_ascii=False)
    if not thoughts and call.request_heartbeat is None:
        return arguments
    return put_back(arguments, thoughts, call.request_heartbeat)


def _content(message: Message) -> str | list[dict[str, Any]]:
    images = [part for part in message.parts if isinstance(part, ImagePart)]
    text = message.text or _NOTHING_SAID
    if not images:
        return text
    return [{"type": "text", "text": text}, *map(_image, images)]


def _image(part: ImagePart) -> dict[str, Any]:
    source = part.source
    url = source.get("url") or f"data:{source.get('media_type')};base64,{source.get('data')}"
    image = {"url": url} | ({"detail": source["detail"]} if source.get("detail") else {})
    return {"type": "image_url", "image_url": image}
