"""Replies in the OpenAI chat shape, which every wire gives in the end, put into our words."""

import json
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from o.domain.llm import ModelReply
from o.domain.messages import ToolCall
from o.errors import ModelError
from o.llm.bounds import MAX_CALLS, MAX_ID_CHARS, MAX_NAME_CHARS
from o.llm.wires.tokens import Tokens, usage_of


def _as_text(value: Any) -> Any:
    """Some servers give parts where others give text."""
    if isinstance(value, list):
        return "".join(str(part.get("text") or "") for part in value if isinstance(part, dict))
    return value


def _as_json_text(value: Any) -> Any:
    """Some servers give arguments as an object."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value


def _without_nulls(value: Any) -> Any:
    """Some servers give null for a list, or in one."""
    if isinstance(value, list):
        return [item for item in value if item is not None]
    return [] if value is None else value


def _or_none(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    """What only adds to a reply does not spoil it, however it is spelled."""
    try:
        return read(value)
    except ValidationError:
        return None


_FINISH_CHARS = 64


class _Shape(BaseModel):
    # Lenient: servers that call themselves compatible differ in what they add and leave out.
    model_config = ConfigDict(extra="ignore", from_attributes=True, coerce_numbers_to_str=True)


class _Function(_Shape):
    name: str | None = None
    arguments: Annotated[str | None, BeforeValidator(_as_json_text)] = None


class Call(_Shape):
    """A tool call, or a piece of one."""

    index: int | None = None
    id: str | None = None
    function: Annotated[_Function, BeforeValidator(lambda value: value or {})] = _Function()


class Said(_Shape):
    """A message, or a piece of one."""

    content: Annotated[str | None, BeforeValidator(_as_text)] = None
    reasoning_content: str | None = None
    reasoning: Any = None
    thinking_blocks: Annotated[list[dict[str, Any]] | None, WrapValidator(_or_none)] = None
    tool_calls: Annotated[list[Call], BeforeValidator(_without_nulls)] = []

    @property
    def thought(self) -> str:
        """What a reasoning model thought: the field has two names."""
        return self.reasoning_content or (self.reasoning if isinstance(self.reasoning, str) else "")

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
            if block.get("type") == "redacted_thinking"
        ]


class _Choice(_Shape):
    message: Said | None = None
    delta: Said | None = None
    finish_reason: str | None = None
    usage: Annotated[Tokens | None, WrapValidator(_or_none)] = None


class _XGroq(_Shape):
    usage: Annotated[Tokens | None, WrapValidator(_or_none)] = None


class Completion(_Shape):
    """A whole reply, or one chunk of a streamed one.

    Attributes:
        is_last: Whether the stream says that it is over, which is all that such a chunk says.
    """

    choices: Annotated[list[_Choice], BeforeValidator(_without_nulls)] = []
    usage: Annotated[Tokens | None, WrapValidator(_or_none)] = None
    x_groq: Annotated[_XGroq | None, WrapValidator(_or_none)] = None
    error: Any = None
    is_last: Annotated[bool, BeforeValidator(lambda value: value is True)] = False

    @property
    def tokens(self) -> Tokens | None:
        """What it cost, wherever it is told: Moonshot and older Groq streams have own places."""
        of_choice = self.choices[0].usage if self.choices else None
        return self.usage or of_choice or (self.x_groq.usage if self.x_groq else None)


def reply_of(completion: Completion) -> ModelReply:
    """A whole reply.

    Raises:
        ModelError: It holds none.
    """
    said = completion.choices[0].message if completion.choices else None
    if said is None:
        raise ModelError("llm_empty_response", "The provider's answer holds no choice.")
    for call in said.tool_calls:
        refuse_beyond(len(said.tool_calls), call.function.name or "", call.id or "")
    return ModelReply(
        text=said.content or "",
        reasoning=said.thought,
        reasoning_signature=said.signature,
        redacted_reasoning=said.redacted,
        tool_calls=[_tool_call(call) for call in said.tool_calls],
        finish_reason=short(completion.choices[0].finish_reason),
        usage=usage_of(completion.tokens),
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


def whole_arguments(written: str | None) -> str:
    """Arguments as they are kept: of a call without any, some models write nothing or null."""
    return "{}" if not written or written.strip() in ("", "null") else written


def _tool_call(call: Call) -> ToolCall:
    return ToolCall(
        id=call.id or "",
        name=call.function.name or "",
        arguments=whole_arguments(call.function.arguments),
    )


def short(finish_reason: str | None) -> str:
    """Why a reply ended, as it is kept."""
    return (finish_reason or "stop")[:_FINISH_CHARS]
