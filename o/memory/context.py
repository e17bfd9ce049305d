"""The context window: stored messages as the prompt of a model call, always paired."""

import json
import re
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
    return_message_id,
)
from o.domain.thoughts import put_back
from o.memory.prompt import local_time

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NOTHING_SAID = "(no text)"
_OVERHEAD_CHARS = 500  # a message takes memory beside its text
_INTERRUPTED = json.dumps(
    {"status": "Failed", "message": "The tool call was interrupted before it returned."}
)


class Prompt:
    """A history in the OpenAI chat shape, which grows at its end as the history does.

    A model reads its calls under the ids that it gave them, also where it gave several the same:
    returns follow their calls in order. Calls of other models have ids made here. A call without
    a return (a crash in an imported history, say) gets an error return, so that no provider
    refuses the prompt.

    Attributes:
        chars: About how much memory it takes, in characters.
    """

    def __init__(self) -> None:
        self.chars = 0
        self._model = ""  # by whose ids the calls go
        self._said: list[dict[str, Any]] = []
        self._calls: list[_Calls] = []  # of all replies that have any
        self._open: _Calls | None = None  # those of the newest, while returns may come

    def add(self, agent: Agent, message: Message) -> None:
        """Append the next message. Times are shown in the agent's zone as it is now."""
        match message.role:
            case Role.APPROVAL:  # the returns tell what came of it
                return
            case Role.TOOL:
                if self._open is not None:
                    self.chars += self._open.add_return(agent, message)
                return
            case Role.ASSISTANT:
                self._settle()
                calls = _Calls(message, len(self._said)) if message.tool_calls else None
                shown = _assistant(message, calls.ids(self._model) if calls else [])
                if calls:
                    self._calls.append(calls)
                self._open = calls
            case _:
                self._settle()
                shown = _plain(message)
        self._said.append(shown)
        self.chars += _OVERHEAD_CHARS + _chars(shown)

    def chat(self, system: Message | None = None, model: str = "") -> list[dict[str, Any]]:
        """All of it, behind the system message, always valid. Its messages stay as they are.

        Args:
            system: The head.
            model: The handle of the model that reads it.
        """
        if model != self._model:
            self._model = model
            self._name_anew()
        head = [_plain(system)] if system else []
        last = self._open.returns(model) if self._open else []
        return [*head, *self._said, *last]

    def _settle(self) -> None:
        """Put the returns of the newest calls behind them, for none can come any more."""
        if self._open is not None:
            self._said.extend(self._open.returns(self._model))
        self._open = None

    def _name_anew(self) -> None:
        """Give every call the id by which the model goes; prompts made before keep theirs."""
        for calls in self._calls:
            ids, place = calls.ids(self._model), calls.place
            reply = self._said[place]
            named = zip(reply["tool_calls"], ids, strict=True)
            self._said[place] = reply | {"tool_calls": [one | {"id": id_} for one, id_ in named]}
            if calls is not self._open:
                for n, id_ in enumerate(ids, place + 1):
                    self._said[n] = self._said[n] | {"tool_call_id": id_}


class _Calls:
    """The calls of a reply, and what they have returned.

    Attributes:
        place: Of the reply, in the prompt; the returns follow it.
    """

    def __init__(self, reply: Message, place: int) -> None:
        self.place = place
        self._step_id = str(reply.step_id)
        self._own_ids = [call.id for call in reply.tool_calls]
        self._given = [call.given for call in reply.tool_calls]
        self._contents: list[str | None] = [None] * len(self._own_ids)

    def ids(self, model: str) -> list[str]:
        """The calls' ids as this model reads them."""
        return [
            given.id if given and given.model == model else f"call_{self.place}_{n}"
            for n, given in enumerate(self._given)
        ]

    def add_return(self, agent: Agent, message: Message) -> int:
        """Take a return, if its call is here and has none; answers what it adds to `chars`.

        One without a call would make the prompt invalid.
        """
        returned = message.tool_return
        place = self._place_of(message.id, returned) if returned else None
        if returned is None or place is None:
            return 0
        content = packed_return(returned, local_time(message.created_at, agent.timezone))
        self._contents[place] = content
        return _OVERHEAD_CHARS + len(content)

    def returns(self, model: str) -> list[dict[str, Any]]:
        """The returns in the order of the calls, with errors for those that are missing."""
        return [
            {"role": "tool", "tool_call_id": id_, "content": content or _INTERRUPTED}
            for id_, content in zip(self.ids(model), self._contents, strict=True)
        ]

    def _place_of(self, message_id: str, returned: ToolReturn) -> int | None:
        """Which call a return is of."""
        places = [
            n
            for n, own_id in enumerate(self._own_ids)
            if own_id == returned.tool_call_id and self._contents[n] is None
        ]
        if len(places) > 1:  # as older releases stored calls to which a model gave one id
            exact = (n for n in places if return_message_id(self._step_id, n) == message_id)
            return next(exact, places[0])
        return places[0] if places else None


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


def _assistant(message: Message, ids: list[str]) -> dict[str, Any]:
    """A reply, with the ids by which its calls go."""
    shown: dict[str, Any] = {"role": "assistant"}
    shown["content"] = message.text or (None if ids else _NOTHING_SAID)
    if ids:
        thoughts = _thoughts(message)
        shown["tool_calls"] = [
            {
                "id": id_,
                "type": "function",
                "function": {"name": call.name, "arguments": _arguments(call, thoughts)},
            }
            for id_, call in zip(ids, message.tool_calls, strict=True)
        ]
    return shown | _thinking(message)


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
