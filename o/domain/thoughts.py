"""The arguments that the legacy loop adds to every tool, and how they are taken off again.

`thinking` holds what the model thinks before it acts, `request_heartbeat` whether it wants to go
on afterwards. The tool never sees them, and neither do those who read its calls.
"""

import json
import re
from typing import Any

from o.domain.agents import Agent
from o.domain.argument_stream import ArgumentReader
from o.domain.json_bounds import parse_json
from o.domain.llm import ModelReply, ReplyDelta, ToolSpec
from o.domain.loops import is_legacy
from o.domain.messages import ToolCall

THINKING = "thinking"
HEARTBEAT = "request_heartbeat"

_THINKING_SCHEMA = {
    "type": "string",
    "description": "What you think before you act. Nobody but you reads it.",
}
_HEARTBEAT_SCHEMA = {
    "type": "boolean",
    "description": "True when you want to take another step after this call.",
}
_REASONERS = re.compile(r"^(o[1-9]|gpt-5|deepseek-reasoner)")


def thinks_natively(handle: str, settings: dict[str, Any]) -> bool:
    """Whether the model reasons by itself, so that it is not asked for a `thinking` argument."""
    provider, _, model = handle.partition("/")
    if provider == "anthropic":
        return must_not_be_forced(handle, settings)
    return _REASONERS.match(model) is not None


def must_not_be_forced(handle: str, settings: dict[str, Any]) -> bool:
    """Whether the provider refuses forced calls: Anthropic does while the model thinks."""
    thinking = settings.get("thinking")
    enabled = isinstance(thinking, dict) and thinking.get("type") in ("enabled", "adaptive")
    return handle.startswith("anthropic/") and enabled


def tool_for_legacy(tool: ToolSpec, *, with_thinking: bool, with_heartbeat: bool) -> ToolSpec:
    """The tool as an agent of the legacy loop sees it: `thinking` first, the heartbeat last."""
    properties = dict(tool.parameters.get("properties", {}))
    required = list(tool.parameters.get("required", []))
    if with_thinking:
        properties = {THINKING: _THINKING_SCHEMA} | properties
        required = [THINKING, *required]
    if with_heartbeat:
        properties = properties | {HEARTBEAT: _HEARTBEAT_SCHEMA}
        required = [*required, HEARTBEAT]
    parameters = tool.parameters | {"properties": properties, "required": required}
    return tool.model_copy(update={"parameters": parameters})


def as_committed(agent: Agent, reply: ModelReply) -> ModelReply:
    """The reply as history keeps it. In the legacy loop one call counts, and text is a thought."""
    if not is_legacy(agent):
        return reply
    if not reply.tool_calls:
        return reply
    call, thought = take_off(reply.tool_calls[0])
    thoughts = "\n".join(filter(None, (reply.text, thought)))
    return reply.model_copy(update={"text": "", "thoughts": thoughts, "tool_calls": [call]})


def take_off(call: ToolCall) -> tuple[ToolCall, str]:
    """The call without what the legacy loop added, and its thoughts.

    Arguments that are not a JSON object stay as they are; running the tool then tells why not.
    """
    try:
        arguments = parse_json(call.arguments)
    except ValueError:
        return call, ""
    if not isinstance(arguments, dict):
        return call, ""
    thought = arguments.pop(THINKING, "")
    wants = arguments.pop(HEARTBEAT, None)
    heartbeat = str(wants).lower() == "true" if wants is not None else None
    kept = json.dumps(
        arguments, ensure_ascii=False
    )  # as it is searched: without escapes of letters
    taken = call.model_copy(update={"arguments": kept, "request_heartbeat": heartbeat})
    return taken, thought if isinstance(thought, str) else ""


def put_back(arguments: str, thoughts: str, heartbeat: bool | None) -> str:
    """A call's arguments as the model wrote them, for the prompt; `arguments` is an object."""
    shown = json.loads(arguments)
    if thoughts:
        shown = {THINKING: thoughts} | shown
    if heartbeat is not None:
        shown[HEARTBEAT] = heartbeat
    return json.dumps(shown, ensure_ascii=False)


class CallSplitter:
    """Parts the arguments of a call that is being written into thoughts and what is left."""

    def __init__(self) -> None:
        self._reader = ArgumentReader()
        self._kept = 0
        self._begun = False
        self._ended = False

    def feed(self, more: str) -> tuple[str, str]:
        """What `more` adds to the thoughts, and to the arguments without them."""
        thoughts: list[str] = []
        kept: list[str] = []
        for piece in self._reader.feed(more):
            if piece.name == THINKING:
                thoughts.append(piece.text)
            elif piece.name != HEARTBEAT:
                if piece.is_first:
                    kept.append(f"{', ' if self._kept else ''}{json.dumps(piece.name)}: ")
                    self._kept += 1
                kept.append(piece.source)
        if self._reader.has_ended and not self._ended:
            self._ended = True
            kept.append("}")
        if kept and not self._begun:
            self._begun = True
            kept.insert(0, "{")
        return "".join(thoughts), "".join(kept)


class LegacyDeltas:
    """Turns pieces of a reply into those of the legacy loop, of which one call counts.

    The name of the call is held back until its thoughts are told, so that they come first, as
    they do in history.
    """

    def __init__(self) -> None:
        self._splitter = CallSplitter()
        self._has_text = False
        self._opening: ReplyDelta | None = None

    def of(self, delta: ReplyDelta) -> list[ReplyDelta]:
        """What a piece becomes: text is a thought, arguments are parted, more calls are dropped."""
        match delta.kind:
            case "text":
                self._has_text = True
                return [ReplyDelta(kind="thought", text=delta.text)]
            case "tool_call":
                return self._of_call(delta) if delta.call == 0 else []
            case _:
                return [delta]

    def _of_call(self, delta: ReplyDelta) -> list[ReplyDelta]:
        if delta.tool_call_id is not None:
            self._opening = delta.model_copy(update={"text": ""})
        thought, arguments = self._splitter.feed(delta.text)
        pieces: list[ReplyDelta] = []
        if thought:
            parted = "\n" if self._has_text else ""
            self._has_text = False
            pieces.append(ReplyDelta(kind="thought", text=parted + thought))
        if arguments:
            if self._opening is not None:
                pieces.append(self._opening)
                self._opening = None
            pieces.append(ReplyDelta(kind="tool_call", call=delta.call, text=arguments))
        return pieces
