"""V1's spelling of a send: what comes in, and how the answer ends."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from api.wire.fields import RequestBody, Text
from api.wire.messages import MessageView
from o.domain.messages import ImagePart, InputMessage, Part, Role, TextPart
from o.domain.runs import RequestConfig, RunClosed, RunOptions
from o.ids import pattern

MAX_STEPS = 50


class TextContent(RequestBody):
    """V1's `TextContent`."""

    type: Literal["text"] = "text"
    text: Text


class UrlImage(RequestBody):
    """V1's `UrlImage`: the provider fetches it, O never does."""

    type: Literal["url"] = "url"
    url: Text = Field(pattern=r"^(https?://|data:image/)")


class Base64Image(RequestBody):
    """V1's `Base64Image`, of a kind that providers read."""

    type: Literal["base64"]
    media_type: Literal["image/png", "image/jpeg", "image/gif", "image/webp"]
    data: Text = Field(min_length=1)
    detail: Text | None = None


class ImageContent(RequestBody):
    """V1's `ImageContent`; `source` is kept as it came."""

    type: Literal["image"]
    source: Annotated[UrlImage | Base64Image, Field(discriminator="type")]


Content = Annotated[TextContent | ImageContent, Field(discriminator="type")]


class MessageCreateBody(RequestBody):
    """V1's `MessageCreate`."""

    type: Literal["message"] | None = "message"
    role: Role
    content: Text | list[Content]
    name: Text | None = None
    otid: Text | None = Field(None, max_length=200)
    sender_id: Text | None = None

    @model_validator(mode="after")
    def _role_can_be_sent(self) -> Self:
        if self.role is Role.TOOL:
            raise ValueError("role must be one of 'user', 'system', 'assistant'")
        return self

    def to_input(self) -> InputMessage:
        """The message as the run keeps it."""
        return InputMessage(
            role=self.role,
            parts=_parts(self.content),
            name=self.name,
            otid=self.otid,
            sender_id=self.sender_id,
        )


class SendBody(RequestBody):
    """V1's `LettaStreamingRequest`; a request without streaming uses a part of it."""

    messages: list[MessageCreateBody] | None = None
    input: Text | list[Content] | None = None
    max_steps: int = Field(MAX_STEPS, ge=1, le=1_000)
    streaming: bool = False
    stream_tokens: bool = False
    include_pings: bool = True
    background: bool = False
    include_return_message_types: list[str] | None = None
    override_model: Text | None = None
    use_assistant_message: bool = True
    assistant_message_tool_name: Text = "send_message"
    assistant_message_tool_kwarg: Text = "message"

    @model_validator(mode="after")
    def _one_of_input_and_messages(self) -> Self:
        if (self.input is None) == (self.messages is None):
            raise ValueError("give exactly one of 'input' and 'messages'")
        return self

    def to_input(self) -> list[InputMessage]:
        """The messages to send."""
        if self.messages is not None:
            return [message.to_input() for message in self.messages]
        return [InputMessage(role=Role.USER, parts=_parts(self.input or ""))]

    def to_view(self) -> MessageView:
        """How the answer shows messages of the legacy loop."""
        return MessageView.of(self._config())

    def to_options(self, *, streams: bool) -> RunOptions:
        """What the run keeps of the request."""
        return RunOptions(
            max_steps=self.max_steps,
            stream_tokens=streams and self.stream_tokens,
            background=self.background,
            override_model=self.override_model,
            run_type="streaming" if streams else "send_message",
            request_config=self._config(),
        )

    def _config(self) -> RequestConfig:
        return RequestConfig(
            use_assistant_message=self.use_assistant_message,
            assistant_message_tool_name=self.assistant_message_tool_name,
            assistant_message_tool_kwarg=self.assistant_message_tool_kwarg,
            include_return_message_types=self.include_return_message_types,
        )


class ConversationSendBody(SendBody):
    """V1's `ConversationMessageRequest`: a send that streams unless it says otherwise."""

    streaming: bool = True
    agent_id: str | None = Field(None, pattern=pattern("agent"))


def stop_reason_body(closed: RunClosed) -> dict[str, Any]:
    """V1's `LettaStopReason`."""
    return {"message_type": "stop_reason", "stop_reason": closed.stop_reason.value}


def usage_body(closed: RunClosed) -> dict[str, Any]:
    """V1's `LettaUsageStatistics`: sums over the steps; `context_tokens` is the last call's."""
    return {"message_type": "usage_statistics", **closed.usage.model_dump(), "run_ids": None}


def error_body(run_id: str, closed: RunClosed) -> dict[str, Any] | None:
    """V1's `error_message` of a stream, None when nothing failed."""
    if closed.error is None:
        return None
    return {
        "message_type": "error_message",
        "run_id": run_id,
        "error_type": closed.error.type,
        "message": closed.error.message,
        "detail": closed.error.detail,
    }


def _parts(content: str | list[Content]) -> list[Part]:
    if isinstance(content, str):
        return [TextPart(text=content)]
    return [
        TextPart(text=part.text)
        if isinstance(part, TextContent)
        else ImagePart(source=part.source.model_dump(exclude_none=True))
        for part in content
    ]
