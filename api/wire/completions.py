"""OpenAI's spelling of what comes out: chat completions, their chunks, models and errors."""

from typing import Any, Literal

from pydantic import BaseModel

from o.domain.messages import ToolCall
from o.domain.runs import Run, Usage

FinishReason = Literal["stop", "length", "tool_calls"]
Delta = dict[str, Any]
"""What a piece adds to a reply: `content`, `reasoning_content` or `tool_calls`."""


class CalledFunction(BaseModel):
    """What is called, and with what: JSON as the model wrote it."""

    name: str
    arguments: str


class CalledTool(BaseModel):
    """A call of a tool of the client's."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction

    @classmethod
    def of(cls, call: ToolCall) -> "CalledTool":
        """The call as a client of OpenAI reads it."""
        return cls(id=call.id, function=CalledFunction(name=call.name, arguments=call.arguments))


class ReplyBody(BaseModel):
    """What the agent said in the whole turn; `reasoning_content` as several servers have it."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    reasoning_content: str | None = None
    tool_calls: list[CalledTool] | None = None


class ChoiceBody(BaseModel):
    """The only answer."""

    index: int = 0
    message: ReplyBody
    logprobs: None = None
    finish_reason: FinishReason


class PromptDetails(BaseModel):
    """What of the prompt was cheaper."""

    cached_tokens: int


class CompletionDetails(BaseModel):
    """What of the reply was thought."""

    reasoning_tokens: int


class ChatUsage(BaseModel):
    """Tokens, summed over the model calls of the turn."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails

    @classmethod
    def of(cls, usage: Usage) -> "ChatUsage":
        """The usage of a run."""
        return cls(
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            total_tokens=usage.total_tokens,
            prompt_tokens_details=PromptDetails(cached_tokens=usage.cached_input_tokens),
            completion_tokens_details=CompletionDetails(reasoning_tokens=usage.reasoning_tokens),
        )


class CompletionBody(BaseModel):
    """OpenAI's `chat.completion`; its id is that of the run behind another prefix."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChoiceBody]
    usage: ChatUsage


class OpenAIModel(BaseModel):
    """An agent, as OpenAI shows a model; its name is beside what OpenAI shows."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "o"
    name: str


class OpenAIModels(BaseModel):
    """OpenAI's list of models."""

    object: Literal["list"] = "list"
    data: list[OpenAIModel]


class OpenAIErrorFields(BaseModel):
    """Why a request is refused."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class OpenAIErrorBody(BaseModel):
    """OpenAI's errors."""

    error: OpenAIErrorFields


def completion_id(run: Run) -> str:
    """The id of a completion, the same whenever the run is shown."""
    return run.id.replace("run-", "chatcmpl-", 1)


def chunk_body(
    run: Run, model: str, delta: Delta | None, finish_reason: FinishReason | None = None
) -> dict[str, Any]:
    """OpenAI's `chat.completion.chunk`; without a delta, one that belongs to no choice."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return {
        "id": completion_id(run),
        "object": "chat.completion.chunk",
        "created": int(run.created_at.timestamp()),
        "model": model,
        "choices": [] if delta is None else [choice],
    }
