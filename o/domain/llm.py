"""What is asked of a language model and what it answers, whatever the provider."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from o.domain.messages import Gate, ToolCall
from o.domain.runs import Usage


class ToolSpec(BaseModel):
    """A tool as a model sees it.

    Attributes:
        parameters: A JSON schema of type object.
        tool_type: V1's word for where the tool comes from. Models are not shown it.
        default_requires_approval: Whether an agent that is given the tool gets a rule by which
            it waits for approval. Models are not shown it.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    description: str
    parameters: dict[str, Any]
    tool_type: str = Field("letta_core", exclude=True)
    default_requires_approval: bool | None = Field(None, exclude=True)


class ModelRequest(BaseModel):
    """One call.

    Attributes:
        handle: `<provider name>/<full model id>`.
        organization_id: Whose providers it names; empty for those of the environment.
        providers_mark: What the database said of that organization's providers a moment ago: who
            has them under the same mark need not ask for them again.
        prompt: Messages in the OpenAI chat shape, oldest first, always paired.
        settings: V1's `model_settings`: temperature, max_output_tokens and so on.
        tool_choice: `required` makes the model call a tool; None leaves it to the provider.
        parallel_calls: Whether it may call several tools at once; providers may do so all the same.
        context_window: Tokens that the agent may use; None where nobody says. Ollama is told, and
            would use a small window of its own.
        is_last_try: Whether it is not made again when the provider's server fails.
    """

    model_config = ConfigDict(frozen=True)

    handle: str
    organization_id: str = ""
    providers_mark: str | None = None
    prompt: list[dict[str, Any]]
    tools: list[ToolSpec] = []
    settings: dict[str, Any] = {}
    tool_choice: Literal["required"] | None = None
    parallel_calls: bool = False
    context_window: int | None = None
    is_last_try: bool = False


class ModelReply(BaseModel):
    """A whole reply.

    Attributes:
        redacted_reasoning: Blocks of reasoning that the provider encrypted.
        thoughts: What the model thought in a call's `thinking` argument (`o.domain.thoughts`).
        notes: What of the request was sent otherwise than history has it, in plain sentences.
        extras: What the provider added to the reply and wants back, by the names on its wire.
        call_extras: The same of each call, in order; there may be fewer than calls.
        thought_in: The field in which `reasoning` stood and in which it is wanted back, if it is.
    """

    model_config = ConfigDict(frozen=True)

    text: str = ""
    reasoning: str = ""
    reasoning_signature: str | None = None
    redacted_reasoning: list[str] = []
    thoughts: str = ""
    tool_calls: list[ToolCall] = []
    finish_reason: str = "stop"
    usage: Usage = Usage()
    notes: list[str] = []
    extras: dict[str, Any] = {}
    call_extras: list[dict[str, Any]] = []
    thought_in: str = ""


class ReplyDelta(BaseModel):
    """A piece of a reply while it is written.

    Attributes:
        kind: What the piece belongs to; `thought` is the `thinking` argument of a call,
            `redacted` a whole block of reasoning that the provider encrypted.
        text: More of the text, the reasoning, the thoughts or the tool call's arguments.
        call: Which tool call of the reply, from 0.
        tool_call_id: Set on the first piece of a tool call, as are `name` and `gate`; empty where
            the provider gives none.
    """

    model_config = ConfigDict(frozen=True)

    kind: Literal["text", "reasoning", "redacted", "thought", "tool_call"]
    text: str = ""
    call: int = 0
    tool_call_id: str | None = None
    name: str | None = None
    gate: Gate | None = None


DeltaSink = Callable[[ReplyDelta], Awaitable[None]]


class LanguageModel(Protocol):
    """Something that can be asked for a reply. Retries nothing: Temporal does."""

    async def complete(
        self, request: ModelRequest, on_delta: DeltaSink | None = None
    ) -> ModelReply:
        """Ask once. With `on_delta` the reply is streamed to it while it is written.

        Raises:
            ModelError: In V1's kinds; `retryable` says whether trying again may help.
        """
        ...
