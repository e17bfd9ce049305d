"""Replies in the OpenAI chat shape, which every wire gives in the end, put into our words."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from o.domain.llm import ModelReply
from o.domain.messages import ToolCall
from o.domain.text import storable
from o.errors import Failure, ModelError
from o.llm.bounds import MAX_CALLS, MAX_ID_CHARS, MAX_NAME_CHARS
from o.llm.wires.arguments import whole_arguments
from o.llm.wires.lenient import AsList, Extra, Extras, JsonText, Maybe
from o.llm.wires.tokens import Tokens, usage_of

_FINISH_CHARS = 64
_UNREADABLE = ("malformed", "unexpected_tool", "tool_call", "tool_use", "function_call")
"""In the reason for a reply that is nothing but a call, where the call does not come: Gemini could
not read it, others leave it out."""


class _Shape(BaseModel):
    # Lenient: servers that call themselves compatible differ in what they add and leave out.
    model_config = ConfigDict(extra="ignore", from_attributes=True, coerce_numbers_to_str=True)


class _Function(_Shape):
    name: str | None = None
    arguments: JsonText = None


_OF_FUNCTIONS = ("name", "arguments", "parameters")


def _function(value: Any) -> Any:
    """A function; Llama's templates call its arguments as the schema's are called."""
    if isinstance(value, dict) and "parameters" in value:
        return {"arguments": value["parameters"]} | value
    return value or {}


class Call(_Shape):
    """A tool call, or a piece of one."""

    index: Annotated[int | None, Maybe] = None
    id: str | None = None
    function: Annotated[_Function, BeforeValidator(_function)] = _Function()
    extra_content: Extra = None
    provider_specific_fields: Extra = None

    @model_validator(mode="before")
    @classmethod
    def _with_function(cls, value: Any) -> Any:
        """Some servers leave out what is around the name and the arguments."""
        if not isinstance(value, dict) or value.get("function"):
            return value
        return value | {"function": {name: value[name] for name in _OF_FUNCTIONS if name in value}}

    @property
    def added(self) -> dict[str, Any]:
        """What its provider wants back with it."""
        return _present(self, "extra_content", "provider_specific_fields")


def _present(shape: BaseModel, *names: str) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(shape, name))}


class Said(_Shape):
    """A message, or a piece of one.

    Attributes:
        content: Text, or parts of it.
        refusal: What OpenAI's models say in place of content that they will not write.
        function_call: A call as it was spelled before a reply could have several.
    """

    content: str | list[Any] | dict[str, Any] | None = None
    refusal: Annotated[str | None, Maybe] = None
    reasoning_content: Annotated[str | None, Maybe] = None
    reasoning: Annotated[str | None, Maybe] = None
    reasoning_details: Extras = None
    thinking_blocks: Extras = None
    extra_content: Extra = None
    provider_specific_fields: Extra = None
    tool_calls: Annotated[list[Call], AsList] = []
    function_call: Annotated[_Function | None, Maybe] = None

    @property
    def text(self) -> str:
        """What was said."""
        return _text_of(self.content) or self.refusal or ""

    @property
    def calls(self) -> list[Call]:
        """What was called, in either spelling."""
        if self.function_call is None or self.tool_calls:
            return self.tool_calls
        return [Call(index=0, function=self.function_call)]

    @property
    def thought(self) -> str:
        """What a reasoning model thought. There are two fields for it, and two more ways."""
        return (
            self.reasoning_content
            or self.reasoning
            or _text_of(self.reasoning_details)
            or _thought_in(self.content)
        )

    @property
    def thought_in(self) -> str:
        """The field that tells what was thought, be it nothing; empty for none."""
        told = {"reasoning_content": self.reasoning_content, "reasoning": self.reasoning}
        there = [name for name, thought in told.items() if thought is not None]
        return next((name for name in there if told[name]), there[0] if there else "")

    @property
    def added(self) -> dict[str, Any]:
        """What its provider wants back with it."""
        found = _present(self, "reasoning_details", "thinking_blocks", "extra_content")
        # Of the rest that litellm keeps with a message it wants signatures back, and nothing else.
        of_litellm = self.provider_specific_fields or {}
        signed = {name: value for name, value in of_litellm.items() if "signature" in name}
        return found | ({"provider_specific_fields": signed} if any(signed.values()) else {})

    @property
    def signature(self) -> str | None:
        """Anthropic's signature of its reasoning."""
        for block in self.thinking_blocks or []:
            if block.get("signature"):
                return str(block["signature"])
        return None

    @property
    def redacted(self) -> list[str]:
        """Reasoning that Anthropic encrypted; it must be sent back as it came."""
        return [
            str(block["data"])
            for block in self.thinking_blocks or []
            if block.get("type") == "redacted_thinking" and block.get("data")
        ]


def _text_of(content: Any) -> str:
    """The text of a content. Some servers give parts, or the only one, in place of text."""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(part, str) for part in content):
        return "".join(content)
    return "".join(
        str(part.get("text") or part.get("summary") or "") for part in _parts_of(content)
    )


def _thought_in(content: Any) -> str:
    """What is thought among the parts of a content, as Mistral gives it."""
    return "".join(_text_of(part.get("thinking")) for part in _parts_of(content))


def _parts_of(content: Any) -> list[dict[str, Any]]:
    parts = content if isinstance(content, list) else [content]
    return [part for part in parts if isinstance(part, dict)]


def _reason(value: Any) -> Any:
    """Some servers write the word null, or nothing, while there is no reason yet."""
    return None if value in ("", "null", "None") else value


class Choice(_Shape):
    """A reply, or a piece of one.

    Attributes:
        message: All of it.
        delta: More of it.
        text: The same as it was spelled before there were chats.
    """

    message: Said | None = None
    delta: Said | None = None
    text: Annotated[str | None, Maybe] = None
    finish_reason: Annotated[str | None, BeforeValidator(_reason), Maybe] = None
    usage: Annotated[Tokens | None, Maybe] = None
    error: Any = None

    @property
    def said(self) -> Said | None:
        """What is in it."""
        if self.message is None and self.delta is None and self.text:
            return Said(content=self.text)
        return self.message or self.delta

    def with_calls_of(self, others: "list[Choice]") -> "Choice":
        """The same with the calls of other choices, each call once."""
        said = self.delta or self.said or Said()
        calls = list(said.calls)
        for call in (call for one in others if one.said for call in one.said.calls):
            if not call.id or all(call.id != known.id for known in calls):
                calls.append(call.model_copy(update={"index": None}))
        text = said.content or next((one.said.content for one in others if one.said), None)
        update: dict[str, Any] = {"tool_calls": calls, "content": text}
        place = "message" if self.delta is None else "delta"
        return self.model_copy(update={place: said.model_copy(update=update)})


class _Groq(_Shape):
    usage: Annotated[Tokens | None, Maybe] = None


class Completion(_Shape):
    """A whole reply, or one chunk of a streamed one.

    Attributes:
        x_groq: Where Groq tells the tokens of a stream.
        is_last: Whether the stream says that it is over, which is all that such a chunk says.
    """

    choices: Annotated[list[Choice], AsList] = []
    usage: Annotated[Tokens | None, Maybe] = None
    x_groq: Annotated[_Groq | None, Maybe] = None
    error: Any = None
    is_last: Annotated[bool, BeforeValidator(lambda value: value is True)] = False

    @property
    def choice(self) -> Choice | None:
        """The only choice: no more are asked for. Copilot puts each call into one of its own."""
        if len(self.choices) > 1:
            return self.choices[0].with_calls_of(self.choices[1:])
        return self.choices[0] if self.choices else None

    @property
    def tokens(self) -> Tokens | None:
        """What it cost, as far as it says; there are three places for it."""
        choice = self.choices[0] if self.choices else None
        return (
            self.usage or (choice and choice.usage) or (self.x_groq and self.x_groq.usage) or None
        )


def reply_of(completion: Completion) -> ModelReply:
    """A whole reply.

    Raises:
        ModelError: It holds none.
    """
    choice = completion.choice
    said = choice.said if choice else None
    if choice is None or said is None:
        raise ModelError("llm_empty_response", "The provider's answer holds no choice.")
    for call in said.calls:
        refuse_beyond(len(said.calls), call.function.name or "", call.id or "")
    return refuse_unreadable(
        ModelReply(
            text=said.text,
            reasoning=said.thought,
            reasoning_signature=said.signature,
            redacted_reasoning=said.redacted,
            tool_calls=[_tool_call(call) for call in said.calls],
            finish_reason=short(choice.finish_reason),
            usage=usage_of(completion.tokens),
            extras=said.added,
            call_extras=[call.added for call in said.calls],
            thought_in=said.thought_in,
        )
    )


def refuse_unreadable(reply: ModelReply) -> ModelReply:
    """The reply, unless it is empty because the model's call was lost on the way.

    Raises:
        ModelError: It is. The next one may be better.
    """
    reason = reply.finish_reason.lower()
    if reply.text.strip() or reply.tool_calls or not any(sign in reason for sign in _UNREADABLE):
        return reply
    raise ModelError(
        "llm_error",
        "The model made a call that its provider could not read.",
        detail=f"finish reason: {reply.finish_reason}",
        retryable=True,
        failure=Failure.GARBLED,
    )


def refuse_beyond(count: int, name: str, call_id: str) -> None:
    """Refuse a call that Temporal cannot carry: each is an activity, and is named on the way.

    Args:
        count: How many calls the reply has, as far as it goes.
        name: Of this one.
        call_id: The provider's.

    Raises:
        ModelError: They are too many, or the name or the id is beyond all measure.
    """
    if count > MAX_CALLS:
        raise _beyond(f"more than {MAX_CALLS} tool calls")
    if len(name) > MAX_NAME_CHARS:
        raise _beyond(f"a tool's name of more than {MAX_NAME_CHARS} characters")
    if len(call_id) > MAX_ID_CHARS:
        raise _beyond(f"a tool call's id of more than {MAX_ID_CHARS} characters")


def _beyond(what: str) -> ModelError:
    return ModelError("llm_error", f"The model's reply was refused: it holds {what}.")


def _tool_call(call: Call) -> ToolCall:
    return ToolCall(
        id=call.id or "",
        name=call.function.name or "",
        arguments=whole_arguments(call.function.arguments),
    )


def short(finish_reason: str | None) -> str:
    """Why a reply ended, as it is kept."""
    return storable((finish_reason or "stop")[:_FINISH_CHARS])
