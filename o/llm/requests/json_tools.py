"""Tools for models that cannot call any: they are told of them in words, and answer in JSON.

The provider holds the model to a schema (`response_format`) that leaves it two things to say: an
answer, or a tool's name with arguments that fit. Local servers do so for any model, by a grammar.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from o.domain.argument_stream import ArgumentReader
from o.domain.json_bounds import check_json_text, parse_json
from o.domain.llm import DeltaSink, ModelReply, ModelRequest, ReplyDelta, ToolSpec
from o.domain.messages import ToolCall
from o.domain.text import storable
from o.llm.bounds import MAX_NAME_CHARS
from o.llm.wires.streamed import told_whole

Message = dict[str, Any]

SETTING = "tool_calling"
"""The setting of a model that says how tools are called: `native` or `json_schema`."""

NOTE = "tools were described in words, and the model was held to answer in JSON"

_REPLY = "reply"
_FENCE = re.compile(r"^```(?:json)?\s*|\s*```$")
_SPEAK = '{"reply": {"answer": "what you say"}}'
_CALL = '{"reply": {"tool": "the name", "arguments": {"the": "arguments"}}}'
_EITHER = (
    f"Answer with one JSON object and nothing else. Either you speak:\n{_SPEAK}\n"
    f"or you call one of the tools below, and the next message says what it returned:\n{_CALL}"
)
_ONLY_CALL = (
    "Answer with one JSON object and nothing else. It calls one of the tools below, and the next "
    f"message says what it returned:\n{_CALL}"
)


def as_json(request: ModelRequest) -> ModelRequest:
    """The request without tools: told of in the system prompt, called for by a schema.

    The same request gives the same words each time, so that prompt caches hit.
    """
    schema = _schema(request)
    wanted = {"type": "json_schema", "json_schema": {"name": _REPLY, "schema": schema}}
    return request.model_copy(
        update={
            "prompt": _with_tools(list(_in_words(request.prompt)), request),
            "tools": [],
            "tool_choice": None,
            "settings": request.settings | {"response_format": wanted},
        }
    )


def read_json(reply: ModelReply) -> ModelReply:
    """The reply with what its JSON says: an answer or a call. What is no such JSON is an answer."""
    said = _said(reply.text)
    if said is None:
        cut = "".join(_AnswerReader().feed(reply.text))
        return reply.model_copy(update={"text": cut}) if cut else reply
    before, answer, call = said
    text = "\n\n".join(filter(None, (before, answer)))
    update: dict[str, Any] = {"text": text}
    if call is not None:
        update |= {"tool_calls": [call], "finish_reason": "tool_calls"}
    return reply.model_copy(update=update)


class JsonSink:
    """Takes the pieces of a reply in JSON, and passes on what is said in it as it comes.

    A call is passed on when it is whole, and so is what does not begin as JSON does.
    """

    def __init__(self, on_delta: DeltaSink) -> None:
        self._on_delta = on_delta
        self._reader: _AnswerReader | None = None
        self._is_plain = False
        self._told: list[str] = []

    async def __call__(self, delta: ReplyDelta) -> None:
        """Take a piece."""
        if delta.kind != "text":
            await self._on_delta(delta)
            return
        more = delta.text
        if self._reader is None:
            more = more.lstrip()
            self._is_plain = self._is_plain or (more != "" and not more.startswith("{"))
            if not more or self._is_plain:
                return
            self._reader = _AnswerReader()
        for text in self._reader.feed(more):
            self._told.append(text)
            await self._on_delta(ReplyDelta(kind="text", text=text))

    async def finish(self, reply: ModelReply) -> None:
        """Pass on what of the whole reply was not passed on yet."""
        told = "".join(self._told)
        rest = reply.text.removeprefix(told) if reply.text.startswith(told) else ""
        await told_whole(ModelReply(text=rest, tool_calls=reply.tool_calls), self._on_delta)


class _AnswerReader:
    """Reads what is said out of JSON while it is written."""

    def __init__(self) -> None:
        self._outer = ArgumentReader()
        self._inner = ArgumentReader()

    def feed(self, more: str) -> Iterator[str]:
        """More of what is said."""
        for piece in self._outer.feed(more):
            if piece.name == "answer":  # some leave out what is around it
                yield from _texts([piece.text])
            elif piece.name == _REPLY:
                pieces = self._inner.feed(piece.source)
                yield from _texts([one.text for one in pieces if one.name == "answer"])


def _texts(pieces: Sequence[str]) -> Iterator[str]:
    return (storable(text) for text in pieces if text)


def _said(text: str) -> tuple[str, str, ToolCall | None] | None:
    """What stands before the JSON, what it says, and what it calls; None for no such JSON."""
    plain = _FENCE.sub("", text.strip())
    start = plain.find("{")
    if start < 0:
        return None
    try:
        check_json_text(plain[start:])
        found, _ = json.JSONDecoder(strict=False).raw_decode(plain, start)
    except (ValueError, RecursionError):
        return None
    inner = found.get(_REPLY, found)
    if not isinstance(inner, dict):
        return None
    answer, name = inner.get("answer", ""), inner.get("tool")
    said = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
    if isinstance(name, str) and 0 < len(name) <= MAX_NAME_CHARS:
        arguments = inner.get("arguments")
        told = json.dumps({} if arguments is None else arguments, ensure_ascii=False)
        call = ToolCall(id="", name=storable(name), arguments=storable(told))
        return _before(plain, start), storable(said), call
    return (_before(plain, start), storable(said), None) if "answer" in inner else None


def _before(text: str, start: int) -> str:
    return re.sub(r"```(?:json)?\s*$", "", text[:start]).strip()


def _schema(request: ModelRequest) -> dict[str, Any]:
    """All that may be said. Only its inside has alternatives, as OpenAI wants it."""
    ways = [_object(tool={"enum": [t.name]}, arguments=t.parameters) for t in request.tools]
    if request.tool_choice != "required":
        ways.append(_object(answer=_answer_schema(request.settings.get("response_format"))))
    return _object(**{_REPLY: {"anyOf": ways}})


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _answer_schema(wanted: Any) -> dict[str, Any]:
    """Text, or what the agent's own `response_format` asks for."""
    schema = wanted.get("json_schema") if isinstance(wanted, dict) else None
    inner = schema.get("schema") if isinstance(schema, dict) else None
    return inner if isinstance(inner, dict) else {"type": "string"}


def _with_tools(prompt: list[Message], request: ModelRequest) -> list[Message]:
    only = request.tool_choice == "required"
    told = [_ONLY_CALL if only else _EITHER, *map(_described, request.tools)]
    words = "\n\n".join(told)
    if prompt and prompt[0]["role"] == "system":
        first = prompt[0]
        return [first | {"content": f"{first['content']}\n\n{words}"}, *prompt[1:]]
    return [{"role": "system", "content": words}, *prompt]


def _described(tool: ToolSpec) -> str:
    parameters = json.dumps(tool.parameters, ensure_ascii=False)
    return f"Tool {tool.name}: {tool.description}\nIts arguments as a JSON schema: {parameters}"


def _in_words(prompt: Sequence[Message]) -> Iterator[Message]:
    """The prompt with calls as the model would write them, each followed by what it returned."""
    returns: list[Message] = []
    for place, message in enumerate(prompt):
        calls = message.get("tool_calls")
        if message["role"] == "tool":
            continue  # told behind its call
        if message["role"] != "assistant":
            yield message
        elif not calls:
            yield message | {"content": _written(answer=message.get("content") or "")}
        else:
            returns = _returns_behind(prompt, place)
            for n, call in enumerate(calls):
                yield from _call_in_words(message if n == 0 else {}, call, returns)


def _returns_behind(prompt: Sequence[Message], place: int) -> list[Message]:
    found = []
    for message in prompt[place + 1 :]:
        if message["role"] != "tool":
            break
        found.append(message)
    return found


def _call_in_words(message: Message, call: Message, returns: list[Message]) -> Iterator[Message]:
    function = call["function"]
    try:
        arguments = parse_json(function["arguments"])
    except ValueError:
        arguments = function["arguments"]
    said = {"answer": message["content"]} if message.get("content") else {}
    content = _written(**said, tool=function["name"], arguments=arguments)
    yield {"role": "assistant", "content": content}
    for place, returned in enumerate(returns):
        if returned["tool_call_id"] == call["id"]:
            content = f"[The tool {function['name']} returned]\n{returns.pop(place)['content']}"
            yield {"role": "user", "content": content}
            return


def _written(**said: Any) -> str:
    return json.dumps({_REPLY: said}, ensure_ascii=False)
