"""V1's spelling of a send: what comes in, and how the answer ends."""

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from api.wire.approvals import ApprovalBody, ToolReturnBody
from api.wire.fields import Json, Key, RequestBody, Several, Text, with_example
from api.wire.messages import MessageView
from o.domain.messages import Decision, ImagePart, InputMessage, Part, Role, TextPart
from o.domain.runs import (
    BusyPolicy,
    ClientSkill,
    ClientTool,
    RequestConfig,
    RunClosed,
    RunOptions,
    Usage,
)
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
    otid: Key | None = Field(None, max_length=200)
    sender_id: Text | None = None

    @model_validator(mode="after")
    def _role_can_be_sent(self) -> Self:
        if self.role in (Role.TOOL, Role.APPROVAL, Role.SUMMARY):
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


def _kind(message: Any) -> str:
    """Messages need not say that they are; answers do."""
    said = message.get("type") if isinstance(message, dict) else getattr(message, "type", None)
    return said if said in ("approval", "tool_return") else "message"


SentMessage = Annotated[
    Annotated[MessageCreateBody, Tag("message")]
    | Annotated[ApprovalBody, Tag("approval")]
    | Annotated[ToolReturnBody, Tag("tool_return")],
    Discriminator(_kind),
]
"""What can be sent: something said, or an answer to an approval request."""


class ClientToolBody(RequestBody):
    """V1's `ClientToolSchema`."""

    name: Text = Field(min_length=1, max_length=200)
    description: Text | None = None
    parameters: Json | None = None

    def to_tool(self) -> ClientTool:
        """The tool as the run keeps it."""
        given = self.model_dump(exclude_none=True)
        return ClientTool(**given)


class ClientSkillBody(RequestBody):
    """V1's `ClientSkillSchema`."""

    name: Text
    description: Text
    location: Text


class SendBody(RequestBody):
    """V1's `LettaStreamingRequest`; a request without streaming uses a part of it.

    `busy_policy` is O's own.
    """

    model_config = with_example(input="Hello! My name is Ada.")

    messages: list[SentMessage] | None = None
    input: Text | list[Content] | None = None
    max_steps: int = Field(MAX_STEPS, ge=1, le=1_000)
    streaming: bool = False
    stream_tokens: bool = False
    include_pings: bool = True
    background: bool = False
    include_return_message_types: Several[Text] | None = None
    override_model: Text | None = None
    override_system: Text | None = None
    client_tools: Several[ClientToolBody] | None = None
    client_skills: Several[ClientSkillBody] | None = None
    busy_policy: BusyPolicy | None = None
    use_assistant_message: bool = True
    assistant_message_tool_name: Text = "send_message"
    assistant_message_tool_kwarg: Text = "message"
    include_compaction_messages: bool = False

    @model_validator(mode="after")
    def _one_of_input_and_messages(self) -> Self:
        if (self.input is None) == (self.messages is None):
            raise ValueError("give exactly one of 'input' and 'messages'")
        return self

    def to_input(self) -> list[InputMessage]:
        """The messages to send."""
        if self.messages is not None:
            return [m.to_input() for m in self.messages if isinstance(m, MessageCreateBody)]
        return [InputMessage(role=Role.USER, parts=_parts(self.input or ""))]

    def to_decisions(self) -> list[Decision] | None:
        """What is answered to an approval request, None when nothing is."""
        answers = [m for m in self.messages or () if not isinstance(m, MessageCreateBody)]
        return [d for answer in answers for d in answer.to_decisions()] if answers else None

    def otids(self) -> list[str]:
        """The client's ids of the messages, where it gave any."""
        return [message.otid for message in self.messages or () if message.otid]

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
            override_system=self.override_system,
            client_tools=self._client_tools(),
            client_skills=self._client_skills(),
            request_config=self._config(),
        )

    def _client_tools(self) -> list[ClientTool] | None:
        if self.client_tools is None:
            return None
        return [tool.to_tool() for tool in self.client_tools]

    def _client_skills(self) -> list[ClientSkill] | None:
        if self.client_skills is None:
            return None
        return [ClientSkill(**skill.model_dump()) for skill in self.client_skills]

    def _config(self) -> RequestConfig:
        return RequestConfig.model_validate(self, from_attributes=True)


class ConversationSendBody(SendBody):
    """V1's `ConversationMessageRequest`: a send that streams unless it says otherwise."""

    model_config = with_example(input="Hello! My name is Ada.", streaming=False)

    streaming: bool = True
    agent_id: str | None = Field(None, pattern=pattern("agent"))


def stop_reason_body(closed: RunClosed) -> dict[str, Any]:
    """V1's `LettaStopReason`."""
    return {"message_type": "stop_reason", "stop_reason": closed.stop_reason.value}


_OURS = {"cost_nano", "unpriced_steps", "estimated_tokens", "fullest_tokens", "window_tokens"}


def usage_body(closed: RunClosed) -> dict[str, Any]:
    """V1's `LettaUsageStatistics`: sums over the steps; `context_tokens` is the last call's."""
    return usage_fields(closed.usage)


def usage_fields(usage: Usage) -> dict[str, Any]:
    """V1's `LettaUsageStatistics` of what was used, of whatever calls."""
    fields = usage.model_dump(exclude=_OURS)
    return {"message_type": "usage_statistics", **fields, "run_ids": None}


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
