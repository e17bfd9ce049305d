"""OpenAI's spelling of a chat completion: what comes in, and what of it is said to the agent."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator

from api.wire.approvals import ClientReturnBody, ToolReturnBody
from api.wire.fields import Json, RequestBody, Several, Text, with_example
from api.wire.turns import (
    ClientToolBody,
    Content,
    ImageContent,
    MessageCreateBody,
    SendBody,
    SentMessage,
    TextContent,
    UrlImage,
)
from o.domain.agents import Thread
from o.domain.messages import Role
from o.errors import InvalidInput, NotFound
from o.ids import is_id

_NOT_SAID = ("system", "developer")
_ENDS_WITH_AGENT = (
    "Nothing is said to the agent: behind the last message of the assistant there must be a "
    "message of the user, or what a tool returned. An agent does not go on with its own message."
)
_ONE_CHOICE = "An agent answers once: 'n' must be 1."
_FREE_TOOLS = "An agent chooses its tools itself: 'tool_choice' must be 'auto' or 'none'."
_OLD_TOOLS = "'functions' is not understood: send 'tools'."
_NO_FORMAT = (
    "The format of an agent's replies is a setting of the agent ('response_format' in its "
    "model_settings); 'response_format' of a request must be of type 'text'."
)
_EMPTY = "The message of the user is empty."


class TextItem(RequestBody):
    """A piece of text in a message."""

    type: Literal["text"]
    text: Text


class ImageAddress(RequestBody):
    """Where an image is, or the image itself as a `data:` address."""

    url: Text = Field(pattern=r"^(https?://|data:image/)")


class ImageItem(RequestBody):
    """An image in a message. Some clients give its address without an object around it."""

    type: Literal["image_url"]
    image_url: ImageAddress

    @field_validator("image_url", mode="before")
    @classmethod
    def _address(cls, value: Any) -> Any:
        return {"url": value} if isinstance(value, str) else value


Item = Annotated[TextItem | ImageItem, Field(discriminator="type")]


class UserSays(RequestBody):
    """What the user says."""

    role: Literal["user"]
    content: Text | list[Item]
    name: Text | None = None

    def to_message(self) -> MessageCreateBody:
        """The same in V1's words.

        Raises:
            InvalidInput: There is nothing in it.
        """
        content = self.content if isinstance(self.content, str) else list(map(_part, self.content))
        texts = [content] if isinstance(content, str) else _texts(content)
        has_image = any(isinstance(part, ImageContent) for part in content)
        if not has_image and not "".join(texts).strip():
            raise InvalidInput(_EMPTY)
        return MessageCreateBody(role=Role.USER, content=content, name=self.name)


class ToolSays(RequestBody):
    """What a tool of the client's returned."""

    role: Literal["tool"]
    tool_call_id: Text
    content: Text | list[TextItem] | None = None

    def to_return(self) -> ClientReturnBody:
        """The same in V1's words."""
        content = self.content or ""
        text = content if isinstance(content, str) else "\n".join(part.text for part in content)
        return ClientReturnBody(tool_call_id=self.tool_call_id, tool_return=text)


class NotSaid(RequestBody):
    """Instructions, which the agent has of its own, and what it said before, which it knows."""

    role: Literal["system", "developer", "assistant"]


def _kind(message: Any) -> str | None:
    role = message.get("role") if isinstance(message, dict) else getattr(message, "role", None)
    return "not_said" if role in (*_NOT_SAID, "assistant") else role


ChatMessage = Annotated[
    Annotated[UserSays, Tag("user")]
    | Annotated[ToolSays, Tag("tool")]
    | Annotated[NotSaid, Tag("not_said")],
    Discriminator(_kind),
]


class ChatFunction(RequestBody):
    """What a tool of the client's is called and takes."""

    name: Text = Field(min_length=1, max_length=200)
    description: Text | None = None
    parameters: Json | None = None


class ChatTool(RequestBody):
    """A tool of the client's."""

    type: Literal["function"]
    function: ChatFunction

    def to_tool(self) -> ClientToolBody:
        """The same in V1's words."""
        return ClientToolBody.model_validate(self.function.model_dump())


class StreamOptions(RequestBody):
    """How a stream goes."""

    include_usage: bool | None = None


class ChatBody(RequestBody):
    """OpenAI's request for a chat completion. The agent's own settings hold for all but these."""

    model_config = with_example(
        model="agent-123e4567-e89b-42d3-8456-426614174000",
        messages=[{"role": "user", "content": "Hello! My name is Ada."}],
    )

    model: Text = Field(description="The id of an agent, or of one of its conversations")
    messages: list[ChatMessage] = Field(
        description="Only what stands behind the last message of the assistant is said to the agent"
    )
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = Field(None, ge=1)
    tools: Several[ChatTool] | None = None
    tool_choice: Any = None
    functions: Any = None
    response_format: Any = None

    @field_validator("messages", mode="before")
    @classmethod
    def _only_what_is_new(cls, value: Any) -> Any:
        """What the agent knows already is not looked at, whatever a client kept of it."""
        if not isinstance(value, list):
            return value
        known = [n for n, one in enumerate(value) if _role_of(one) == "assistant"]
        behind = value[known[-1] + 1 :] if known else value
        return [one for one in behind if _role_of(one) not in _NOT_SAID]

    @property
    def streams(self) -> bool:
        """Whether the answer is a stream."""
        return bool(self.stream)

    @property
    def shows_usage(self) -> bool:
        """Whether a stream ends with what it cost."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def to_thread(self) -> Thread:
        """Where it is said.

        Raises:
            NotFound: `model` is no id of an agent or a conversation.
        """
        if is_id(self.model, "agent"):
            return Thread(agent_id=self.model)
        if is_id(self.model, "conv"):
            return Thread(conversation_id=self.model)
        raise NotFound(
            f"The model {self.model[:100]!r} does not exist: 'model' is the id of an agent "
            "(agent-…, see GET /v1/models) or of a conversation (conv-…)."
        )

    def to_send(self) -> SendBody:
        """What is sent, in V1's words.

        Raises:
            InvalidInput: It asks for what an agent does not do, or says nothing.
        """
        self._refuse_what_is_not_done()
        returns = [one.to_return() for one in self.messages if isinstance(one, ToolSays)]
        said: list[SentMessage] = [
            one.to_message() for one in self.messages if isinstance(one, UserSays)
        ]
        if returns:
            said.insert(0, ToolReturnBody(type="tool_return", tool_returns=returns))
        if not said:
            raise InvalidInput(_ENDS_WITH_AGENT)
        tools = None
        if self.tools is not None and self.tool_choice != "none":
            tools = [tool.to_tool() for tool in self.tools]
        return SendBody(
            messages=said,
            streaming=self.streams,
            stream_tokens=self.streams,
            client_tools=tools,
        )

    def _refuse_what_is_not_done(self) -> None:
        wanted = self.response_format
        kind = wanted.get("type", "text") if isinstance(wanted, dict) else wanted or "text"
        for is_refused, reason in (
            (self.n not in (None, 1), _ONE_CHOICE),
            (self.tool_choice not in (None, "auto", "none"), _FREE_TOOLS),
            (bool(self.functions), _OLD_TOOLS),
            (kind != "text", _NO_FORMAT),
        ):
            if is_refused:
                raise InvalidInput(reason)


def _role_of(message: Any) -> Any:
    return message.get("role") if isinstance(message, dict) else None


def _part(item: TextItem | ImageItem) -> TextContent | ImageContent:
    if isinstance(item, TextItem):
        return TextContent(text=item.text)
    return ImageContent(type="image", source=UrlImage(url=item.image_url.url))


def _texts(content: list[Content]) -> list[str]:
    return [part.text for part in content if isinstance(part, TextContent)]
