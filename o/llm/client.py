"""The one file that imports litellm: a request to a provider and its reply, in our words.

Importing this takes seconds and 180 MB, so only the worker does, before it polls.
"""

import copy
import os
from typing import Any

# litellm reads these when it is imported, and has no other way to be told.
os.environ.setdefault(
    "LITELLM_LOCAL_MODEL_COST_MAP", "True"
)  # else it asks the internet for prices
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # else a count of tokens may wait for a download
# Its own HTTP client for the OpenAI wire: the SDK's walks every message of the prompt, slowly.
os.environ.setdefault("EXPERIMENTAL_OPENAI_BASE_LLM_HTTP_HANDLER", "true")

import litellm

from o.domain.llm import DeltaSink, ModelReply, ModelRequest, ReplyDelta, ToolSpec
from o.domain.messages import ToolCall
from o.domain.runs import Usage
from o.errors import ModelError, NotFound
from o.ids import new_id
from o.llm.providers import Provider, Providers
from o.llm.stand_in import stand_in

litellm.suppress_debug_info = True
litellm.drop_params = True
litellm.telemetry = False

_WIRE_PREFIX = {"openai": "openai", "anthropic": "anthropic", "ollama": "ollama_chat"}
_NO_KEY = "none"  # the OpenAI wire's client insists on some key

# V1's settings, in the words of the OpenAI wire.
_SETTINGS = {
    "temperature": "temperature",
    "max_output_tokens": "max_tokens",
    "frequency_penalty": "frequency_penalty",
    "top_p": "top_p",
}


class LiteLLMModel:
    """A `LanguageModel` that reaches every provider through litellm. It retries nothing."""

    def __init__(self, providers: Providers, *, timeout_s: float) -> None:
        self._providers = providers
        self._timeout_s = timeout_s

    async def complete(
        self, request: ModelRequest, on_delta: DeltaSink | None = None
    ) -> ModelReply:
        """Ask once; see `LanguageModel.complete`."""
        provider, model = self._resolve(request.handle)
        arguments = self._arguments(provider, model, request)
        try:
            if on_delta is None:
                return _whole(await litellm.acompletion(**arguments))
            chunks = await litellm.acompletion(
                **arguments, stream=True, stream_options={"include_usage": True}
            )
            return await _streamed(chunks, on_delta)
        except ModelError:
            raise
        except Exception as error:  # litellm raises whatever its many clients raise
            raise _as_model_error(error, provider) from error

    async def warm_up(self) -> None:
        """Make a plain and a streamed call to a stand-in: first calls load code for a second."""
        request = ModelRequest(
            handle="",
            prompt=[{"role": "user", "content": "hello"}],
            tools=[ToolSpec(name="wave", description="Wave.", parameters={"type": "object"})],
        )
        async with stand_in() as address:
            arguments = self._arguments(Provider("stand-in", "openai", address), "x", request)
            _whole(await litellm.acompletion(**arguments))
            await _streamed(await litellm.acompletion(**arguments, stream=True), _nowhere)

    def _resolve(self, handle: str) -> tuple[Provider, str]:
        try:
            return self._providers.resolve(handle)
        except NotFound as error:
            raise ModelError("llm_bad_request", error.message, status=400) from error

    def _arguments(self, provider: Provider, model: str, request: ModelRequest) -> dict[str, Any]:
        key = provider.api_key.get_secret_value() if provider.api_key else _NO_KEY
        arguments: dict[str, Any] = {
            "model": f"{_WIRE_PREFIX[provider.wire]}/{model}",
            "messages": copy.deepcopy(request.prompt),  # litellm may change what it is given
            "api_base": provider.base_url,
            "api_key": key,
            "timeout": self._timeout_s,
            "num_retries": 0,
            "max_retries": 0,
        }
        if request.tools:
            arguments["tools"] = [
                {"type": "function", "function": tool.model_dump()} for tool in request.tools
            ]
        if request.tool_choice is not None:
            arguments["tool_choice"] = request.tool_choice
        for ours, theirs in _SETTINGS.items():
            if request.settings.get(ours) is not None:
                arguments[theirs] = request.settings[ours]
        return arguments


async def _nowhere(delta: ReplyDelta) -> None:
    """Drop a piece."""


def _whole(reply: Any) -> ModelReply:
    if not reply.choices:
        raise ModelError("llm_empty_response", "The provider's answer holds no choice.")
    choice = reply.choices[0]
    message = choice.message
    return ModelReply(
        text=message.content or "",
        reasoning=getattr(message, "reasoning_content", None) or "",
        reasoning_signature=_signature(message),
        redacted_reasoning=_redacted(message),
        tool_calls=[
            _tool_call(call.id, call.function.name, call.function.arguments)
            for call in message.tool_calls or []
        ],
        finish_reason=choice.finish_reason or "stop",
        usage=_usage(getattr(reply, "usage", None)),
    )


def _redacted(message: Any) -> list[str]:
    """Reasoning that Anthropic encrypted; it must be sent back as it came."""
    return [
        str(block["data"])
        for block in getattr(message, "thinking_blocks", None) or []
        if block.get("type") == "redacted_thinking"
    ]


def _signature(message: Any) -> str | None:
    for block in getattr(message, "thinking_blocks", None) or []:
        if block.get("signature"):
            return str(block["signature"])
    return None


def _tool_call(call_id: str | None, name: str | None, arguments: str | None) -> ToolCall:
    return ToolCall(id=call_id or new_id("call"), name=name or "", arguments=arguments or "{}")


def _usage(usage: Any) -> Usage:
    if usage is None:
        return Usage()
    prompt = getattr(usage, "prompt_tokens_details", None)
    completion = getattr(usage, "completion_tokens_details", None)
    return Usage(
        prompt_tokens=usage.prompt_tokens or 0,
        completion_tokens=usage.completion_tokens or 0,
        total_tokens=usage.total_tokens or 0,
        cached_input_tokens=getattr(prompt, "cached_tokens", 0) or 0,
        cache_write_tokens=getattr(usage, "cache_creation_input_tokens", 0) or 0,
        reasoning_tokens=getattr(completion, "reasoning_tokens", 0) or 0,
    )


async def _streamed(chunks: Any, on_delta: DeltaSink) -> ModelReply:
    """Pass the pieces on and put them together."""
    text: list[str] = []
    reasoning: list[str] = []
    signature: str | None = None
    redacted: list[str] = []
    calls: dict[int, ToolCall] = {}
    finish_reason, usage = "stop", Usage()
    async for chunk in chunks:
        if getattr(chunk, "usage", None):
            usage = _usage(chunk.usage)
        if not chunk.choices:
            continue
        choice = chunk.choices[0]
        finish_reason = choice.finish_reason or finish_reason
        delta = choice.delta
        if piece := getattr(delta, "reasoning_content", None):
            reasoning.append(piece)
            await on_delta(ReplyDelta(kind="reasoning", text=piece))
        signature = _signature(delta) or signature
        redacted += _redacted(delta)
        if delta.content:
            text.append(delta.content)
            await on_delta(ReplyDelta(kind="text", text=delta.content))
        for call in delta.tool_calls or []:
            await on_delta(_merge(calls, call))
    return ModelReply(
        text="".join(text),
        reasoning="".join(reasoning),
        reasoning_signature=signature,
        redacted_reasoning=redacted,
        tool_calls=[
            _tool_call(call.id, call.name, call.arguments) for _, call in sorted(calls.items())
        ],
        finish_reason=finish_reason,
        usage=usage,
    )


def _merge(calls: dict[int, ToolCall], piece: Any) -> ReplyDelta:
    """Add a piece to the call it belongs to; the first piece of a call names it."""
    more = piece.function.arguments or ""
    known = calls.get(piece.index)
    if known is None:
        first = ToolCall(
            id=piece.id or new_id("call"), name=piece.function.name or "", arguments=more
        )
        calls[piece.index] = first
        return ReplyDelta(
            kind="tool_call", call=piece.index, tool_call_id=first.id, name=first.name, text=more
        )
    calls[piece.index] = known.model_copy(update={"arguments": known.arguments + more})
    return ReplyDelta(kind="tool_call", call=piece.index, text=more)


# V1's error type and HTTP status by litellm's error (`POST /v1/agents/{id}/messages`). What is not
# listed is llm_error, 500.
_KINDS: list[tuple[type[Exception], str, int]] = [
    (litellm.ContextWindowExceededError, "context_window_exceeded", 400),
    (litellm.BadRequestError, "llm_bad_request", 400),
    (litellm.AuthenticationError, "llm_authentication", 401),
    (litellm.RateLimitError, "llm_rate_limit", 429),
    (litellm.Timeout, "llm_timeout", 504),
]
_WORTH_ANOTHER_TRY = (408, 409, 429)


def _as_model_error(error: Exception, provider: Provider) -> ModelError:
    kind, status = next(
        ((kind, status) for type_, kind, status in _KINDS if isinstance(error, type_)),
        ("llm_error", 500),
    )
    upstream = int(getattr(error, "status_code", None) or 500)
    return ModelError(
        kind,
        f"The provider {provider.name} failed: {type(error).__name__}.",
        detail=_without_key(str(error), provider),
        status=status,
        retryable=upstream >= 500 or upstream in _WORTH_ANOTHER_TRY,
        retry_after_s=_retry_after_s(error),
    )


def _without_key(text: str, provider: Provider) -> str:
    key = provider.api_key.get_secret_value() if provider.api_key else ""
    return text.replace(key, "[key]") if key else text


def _retry_after_s(error: Exception) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        return min(60.0, float(headers.get("retry-after", "")))
    except ValueError:
        return None
