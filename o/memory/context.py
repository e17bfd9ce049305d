"""The context window: stored messages as the prompt of a model call, always paired."""

import json
import re
from dataclasses import dataclass
from typing import Any

from o.domain.agents import Agent
from o.domain.json_bounds import check_json_text
from o.domain.messages import (
    ImagePart,
    Message,
    ReasoningPart,
    Role,
    ToolCall,
    ToolReturn,
    return_message_id,
)
from o.domain.text import cut
from o.domain.thoughts import put_back
from o.memory.additions import Additions
from o.memory.prompt import local_time

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
# As in V1, one return takes a fifth of the context window at most, at four characters a token.
_RETURN_PART, _CHARS_A_TOKEN, _LEAST_RETURN_CHARS = 0.2, 4, 5_000
_NOTHING_SAID = "(no text)"
_OVERHEAD_CHARS = 500  # a message takes memory beside its text
_INTERRUPTED = json.dumps(
    {"status": "Failed", "message": "The tool call was interrupted before it returned."}
)


class Prompt:
    """A history in the OpenAI chat shape, which grows at its end as the history does.

    A model reads its calls under the ids that it gave them, also where it gave several the same:
    returns follow their calls in order. Calls of other models have ids made here. What a provider
    added to a reply is read by its own models only. A call without a return (a crash in an imported
    history, say) gets an error return, so that no provider refuses the prompt.

    Attributes:
        chars: About how much memory it takes, in characters.
    """

    def __init__(self) -> None:
        self.chars = 0
        self._model = ""  # who reads it
        self._said: list[dict[str, Any]] = []
        self._replies: list[_Reply] = []  # those that models read differently
        self._open: _Calls | None = None  # the calls of the newest, while returns may come
        self._in_tool_turn = False  # whether a tool was called since the user spoke

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
                shown = self._add_reply(message)
            case _:
                self._settle()
                self._in_tool_turn = False
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
            self._show_anew()
        head = [_plain(system)] if system else []
        last = self._open.returns(model) if self._open else []
        return [*head, *self._said, *last]

    def _add_reply(self, message: Message) -> dict[str, Any]:
        place = len(self._said)
        calls = _Calls(message, place) if message.tool_calls else None
        self._open = calls
        self._in_tool_turn |= calls is not None
        additions = Additions(message, in_tool_turn=self._in_tool_turn)
        reply = _Reply(place, _assistant(message), calls, additions)
        if self._in_tool_turn or message.extras is not None:
            self._replies.append(reply)
            self.chars += additions.chars
        return reply.shown(self._model)

    def _settle(self) -> None:
        """Put the returns of the newest calls behind them, for none can come any more."""
        if self._open is not None:
            self._said.extend(self._open.returns(self._model))
        self._open = None

    def _show_anew(self) -> None:
        """Show every reply as its reader wants it; prompts made before keep what they have."""
        for reply in self._replies:
            self._said[reply.place] = reply.shown(self._model)
            if reply.calls is not None and reply.calls is not self._open:
                for n, id_ in enumerate(reply.calls.ids(self._model), reply.place + 1):
                    self._said[n] = self._said[n] | {"tool_call_id": id_}


@dataclass(frozen=True)
class _Reply:
    """A reply as no model in particular reads it, and what changes with the reader.

    Attributes:
        place: In the prompt; the returns of its calls follow it.
        plain: With calls that have no ids.
    """

    place: int
    plain: dict[str, Any]
    calls: "_Calls | None"
    additions: Additions

    def shown(self, model: str) -> dict[str, Any]:
        """The reply as a model reads it."""
        fields = self.additions.of_reply(model)
        if self.calls is not None:
            ids = self.calls.ids(model)
            fields["tool_calls"] = [
                {"id": id_} | call | self.additions.of_call(model, n)
                for n, (id_, call) in enumerate(zip(ids, self.plain["tool_calls"], strict=True))
            ]
        return self.plain | fields if fields else self.plain


class _Calls:
    """The calls of a reply, and what they have returned."""

    def __init__(self, reply: Message, place: int) -> None:
        self._place = place  # in the prompt
        self._step_id = str(reply.step_id)
        self._own_ids = [call.id for call in reply.tool_calls]
        self._given = [call.given for call in reply.tool_calls]
        self._contents: list[str | None] = [None] * len(self._own_ids)

    def ids(self, model: str) -> list[str]:
        """The calls' ids as this model reads them."""
        return [
            given.id if given and given.model == model else f"call_{self._place}_{n}"
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
        content = _shown_return(agent, message, returned)
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


def shown_alone(agent: Agent, message: Message) -> dict[str, Any] | None:
    """A message as it stands in a prompt, but for ids of calls; None for one that does not.

    For whoever counts or retells single messages; prompts are made by `Prompt`.
    """
    match message.role:
        case Role.APPROVAL:
            return None
        case Role.TOOL:
            returned = message.tool_return
            content = _shown_return(agent, message, returned) if returned else _INTERRUPTED
            return {"role": "tool", "tool_call_id": "", "content": content}
        case Role.ASSISTANT:
            return _assistant(message)
        case _:
            return _plain(message)


def _shown_return(agent: Agent, message: Message, returned: ToolReturn) -> str:
    most = max(_LEAST_RETURN_CHARS, int(agent.context_window * _CHARS_A_TOKEN * _RETURN_PART))
    time = local_time(message.created_at, agent.timezone)
    return packed_return(returned, time, most_chars=most)


def packed_return(tool_return: ToolReturn, time: str, *, most_chars: int | None = None) -> str:
    """A tool's return as V1 shows it to the model: JSON of status, message and time.

    Args:
        tool_return: What came of the call.
        time: When, for the model to read.
        most_chars: How much of it the model is shown; None for all.
    """
    status = "OK" if tool_return.status == "success" else "Failed"
    content = tool_return.content
    if most_chars is not None:
        content = cut(content, most_chars)
    return json.dumps({"status": status, "message": content, "time": time}, ensure_ascii=False)


def _plain(message: Message) -> dict[str, Any]:
    """A user's or system message; providers take names of word characters only."""
    role = Role.USER if message.role is Role.SUMMARY else message.role
    shown = {"role": role.value, "content": _content(message)}
    if message.role is Role.USER and message.name and _NAME.fullmatch(message.name):
        shown["name"] = message.name
    return shown


def _chars(shown: dict[str, Any]) -> int:
    calls = shown.get("tool_calls", ())
    return len(str(shown["content"])) + sum(len(call["function"]["arguments"]) for call in calls)


def _assistant(message: Message) -> dict[str, Any]:
    """A reply, with calls that have no ids yet."""
    shown: dict[str, Any] = {"role": "assistant"}
    shown["content"] = message.text or (None if message.tool_calls else _NOTHING_SAID)
    if message.tool_calls:
        thoughts = _thoughts(message)
        shown["tool_calls"] = [
            {
                "type": "function",
                "function": {"name": call.name, "arguments": _arguments(call, thoughts)},
            }
            for call in message.tool_calls
        ]
    return shown


def _thoughts(message: Message) -> str:
    """What the model thought in the `thinking` argument of a call, in the legacy loop."""
    return "\n".join(
        part.reasoning
        for part in message.parts
        if isinstance(part, ReasoningPart) and part.source == "non_reasoner_model"
    )


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
    if not images:
        return message.text or _NOTHING_SAID
    text = [{"type": "text", "text": message.text}] if message.text else []
    return [*text, *map(_image, images)]


def _image(part: ImagePart) -> dict[str, Any]:
    source = part.source
    url = source.get("url") or f"data:{source.get('media_type')};base64,{source.get('data')}"
    image = {"url": url} | ({"detail": source["detail"]} if source.get("detail") else {})
    return {"type": "image_url", "image_url": image}
