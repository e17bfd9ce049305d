"""Replies in the OpenAI chat shape, which every wire gives in the end, put into our words."""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from o.domain.llm import DeltaSink, ModelReply, ReplyDelta
from o.domain.messages import ToolCall
from o.domain.runs import Usage
from o.errors import ModelError


def _as_text(value: Any) -> Any:
    """Some servers give parts where others give text."""
    if isinstance(value, list):
        return "".join(str(part.get("text") or "") for part in value if isinstance(part, dict))
    return value


def _as_json_text(value: Any) -> Any:
    """Some servers give arguments as an object."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value


class _Shape(BaseModel):
    # Lenient: servers that call themselves compatible differ in what they add and leave out.
    model_config = ConfigDict(extra="ignore", from_attributes=True, coerce_numbers_to_str=True)


class _Function(_Shape):
    name: str | None = None
    arguments: Annotated[str | None, BeforeValidator(_as_json_text)] = None


class _Call(_Shape):
    index: int | None = None
    id: str | None = None
    function: _Function = _Function()


class _Said(_Shape):
    content: Annotated[str | None, BeforeValidator(_as_text)] = None
    reasoning_content: str | None = None
    reasoning: Any = None
    thinking_blocks: list[dict[str, Any]] | None = None
    tool_calls: list[_Call] | None = None

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
    message: _Said | None = None
    delta: _Said | None = None
    finish_reason: str | None = None


class _PromptDetails(_Shape):
    cached_tokens: int | None = None


class _CompletionDetails(_Shape):
    reasoning_tokens: int | None = None


class _Tokens(_Shape):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


class Completion(_Shape):
    """A whole reply, or one chunk of a streamed one."""

    choices: list[_Choice] = []
    usage: _Tokens | None = None
    error: Any = None


def reply_of(completion: Completion) -> ModelReply:
    """A whole reply.

    Raises:
        ModelError: It holds none.
    """
    said = completion.choices[0].message if completion.choices else None
    if said is None:
        raise ModelError("llm_empty_response", "The provider's answer holds no choice.")
    return ModelReply(
        text=said.content or "",
        reasoning=said.thought,
        reasoning_signature=said.signature,
        redacted_reasoning=said.redacted,
        tool_calls=[_tool_call(call) for call in said.tool_calls or []],
        finish_reason=completion.choices[0].finish_reason or "stop",
        usage=_usage(completion.usage),
    )


async def streamed_reply(chunks: AsyncIterator[Completion], on_delta: DeltaSink) -> ModelReply:
    """Pass the pieces on while they come, and put them together.

    Raises:
        ModelError: The stream ended before the reply did.
    """
    reply = _Growing()
    async for chunk in chunks:
        for delta in reply.add(chunk):
            await on_delta(delta)
    return reply.whole()


class _Growing:
    """A reply of which pieces are still coming."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._signature: str | None = None
        self._redacted: list[str] = []
        self._calls: list[ToolCall] = []
        self._ordinals: dict[int, int] = {}  # by a server's own numbers, which may have gaps
        self._finish_reason: str | None = None
        self._usage = Usage()

    def add(self, chunk: Completion) -> list[ReplyDelta]:
        """Take a chunk; answers the pieces in it, in V1's order."""
        if chunk.usage is not None:
            self._usage = _usage(chunk.usage)
        if not chunk.choices:
            return []
        choice = chunk.choices[0]
        self._finish_reason = choice.finish_reason or self._finish_reason
        said = choice.delta or _Said()
        self._signature = said.signature or self._signature
        self._redacted += said.redacted
        deltas = [ReplyDelta(kind="redacted", text=data) for data in said.redacted]
        if said.thought:
            self._reasoning.append(said.thought)
            deltas.append(ReplyDelta(kind="reasoning", text=said.thought))
        if said.content:
            self._text.append(said.content)
            deltas.append(ReplyDelta(kind="text", text=said.content))
        return deltas + [self._merge(call, n) for n, call in enumerate(said.tool_calls or [])]

    def whole(self) -> ModelReply:
        """The reply, when the stream has ended."""
        if self._finish_reason is None:
            raise ModelError(
                "llm_error", "The provider's stream ended before its reply.", retryable=True
            )
        return ModelReply(
            text="".join(self._text),
            reasoning="".join(self._reasoning),
            reasoning_signature=self._signature,
            redacted_reasoning=self._redacted,
            tool_calls=[
                call if call.arguments else call.model_copy(update={"arguments": "{}"})
                for call in self._calls
            ],
            finish_reason=self._finish_reason,
            usage=self._usage,
        )

    def _merge(self, piece: _Call, place: int) -> ReplyDelta:
        """Add a piece to the call it belongs to; the first piece of a call names it."""
        index = place if piece.index is None else piece.index
        more = piece.function.arguments or ""
        ordinal = self._ordinals.setdefault(index, len(self._calls))
        if ordinal == len(self._calls):
            first = ToolCall(id=piece.id or "", name=piece.function.name or "", arguments=more)
            self._calls.append(first)
            return ReplyDelta(
                kind="tool_call", call=ordinal, tool_call_id=first.id, name=first.name, text=more
            )
        known = self._calls[ordinal]
        self._calls[ordinal] = known.model_copy(
            update={"id": known.id or piece.id or "", "arguments": known.arguments + more}
        )
        return ReplyDelta(kind="tool_call", call=ordinal, text=more)


def _tool_call(call: _Call) -> ToolCall:
    return ToolCall(
        id=call.id or "",
        name=call.function.name or "",
        arguments=call.function.arguments or "{}",
    )


def _usage(tokens: _Tokens | None) -> Usage:
    if tokens is None:
        return Usage()
    prompt, completion = tokens.prompt_tokens_details, tokens.completion_tokens_details
    asked, written = tokens.prompt_tokens or 0, tokens.completion_tokens or 0
    return Usage(
        prompt_tokens=asked,
        completion_tokens=written,
        total_tokens=tokens.total_tokens or asked + written,
        cached_input_tokens=(prompt and prompt.cached_tokens) or 0,
        cache_write_tokens=tokens.cache_creation_input_tokens or 0,
        reasoning_tokens=(completion and completion.reasoning_tokens) or 0,
    )
