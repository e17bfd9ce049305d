"""V1's bodies of searches over passages and messages."""

from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field

from api.wire.fields import EntityTime, Moment, RequestBody, Several, Text, with_example
from api.wire.messages import V1_VIEW, wire_messages
from api.wire.passages import PassageBody
from api.wire.shown import Content
from o.domain.messages import Message, Role
from o.errors import InvalidArgument
from o.ids import pattern
from o.storage.search.messages import SEARCHED_ROLES, FoundMessage, MessageFilter
from o.storage.search.passages import FoundPassage, Mode, PassageFilter
from o.storage.search.results import Results

TagMatch = Literal["any", "all"]
SearchMode = Literal["vector", "fts", "text", "hybrid"]
AgentOfMessages = Annotated[str, Field(pattern=pattern("agent"))]
ConversationOfMessages = Annotated[str, Field(pattern=f"^default$|{pattern('conv')}")]
_SHOWN = {Role.USER: "user_message", Role.ASSISTANT: "assistant_message"}


def mode_of(search_mode: SearchMode) -> Mode:
    """O's word for how is searched: `text` is V1's `fts`."""
    return "text" if search_mode == "fts" else search_mode


class SearchPassagesBody(RequestBody):
    """V1's `PassageSearchRequest`, and how is searched."""

    model_config = with_example(query="Where does Ada live?", limit=5)

    query: Text | None = None
    search_mode: SearchMode = "hybrid"
    agent_id: Annotated[str, Field(pattern=pattern("agent"))] | None = None
    archive_id: Annotated[str, Field(pattern=pattern("archive"))] | None = None
    tags: Several[Text] | None = None
    tag_match_mode: TagMatch = "any"
    limit: int = Field(50, ge=1, le=100)
    start_date: Moment | None = None
    end_date: Moment | None = None

    def wanted(self) -> PassageFilter:
        """Which passages."""
        return PassageFilter(
            self.tags or (), self.tag_match_mode == "all", self.start_date, self.end_date
        )


class PassageSearchResultBody(BaseModel):
    """V1's `PassageSearchResult`; `metadata` says how the passage was found."""

    passage: PassageBody
    score: float
    metadata: dict[str, Any]

    @classmethod
    def of(cls, found: FoundPassage, results: Results[FoundPassage]) -> Self:
        """The result as V1 shows it."""
        metadata: dict[str, Any] = {
            "search_mode": results.mode,
            "fts_rank": found.ranked.text_rank,
            "vector_rank": found.ranked.vector_rank,
        }
        if results.problem:
            metadata["search_problem"] = results.problem
        return cls(
            passage=PassageBody.of(found.passage), score=found.ranked.score, metadata=metadata
        )


class ArchivalResultBody(BaseModel):
    """V1's `ArchivalMemorySearchResult`: what an agent is told of a passage."""

    id: str
    timestamp: str
    content: str
    tags: list[str]


class ArchivalResultsBody(BaseModel):
    """V1's `ArchivalMemorySearchResponse`."""

    results: list[ArchivalResultBody]
    count: int


class SearchAllMessagesBody(RequestBody):
    """V1's `SearchAllMessagesRequest`."""

    model_config = with_example(query="the name of the dog", limit=5)

    query: Text
    search_mode: SearchMode = "hybrid"
    agent_id: AgentOfMessages | None = None
    conversation_id: ConversationOfMessages | None = None
    limit: int = Field(50, ge=1, le=100)
    start_date: Moment | None = None
    end_date: Moment | None = None

    def wanted(self) -> MessageFilter:
        """Which messages.

        Raises:
            InvalidArgument: The default conversation of no agent is meant.
        """
        if self.conversation_id == "default" and self.agent_id is None:
            raise InvalidArgument("INVALID_ARGUMENT: the conversation 'default' needs agent_id")
        return MessageFilter(
            agent_id=self.agent_id,
            conversation_id=self.conversation_id,
            since=self.start_date,
            until=self.end_date,
        )


class SearchMessagesBody(SearchAllMessagesBody):
    """V1's `MessageSearchRequest`. Without a query, the newest messages are found."""

    model_config = with_example(query="the name of the dog", roles=["user"], limit=5)

    query: Text | None = None  # type: ignore[assignment]
    roles: Several[str] | None = None
    project_id: Text | None = None
    template_id: Text | None = None

    def wanted(self) -> MessageFilter:
        """Which messages; roles whose words are not searched are passed over."""
        roles = [role for role in SEARCHED_ROLES if self.roles is None or role in self.roles]
        return replace(super().wanted(), roles=roles)


class MessageListResultBody(BaseModel):
    """V1's `UserMessageListResult` and its kin: a message with whose it is."""

    message_type: str
    content: Content
    message_id: str
    agent_id: str | None
    conversation_id: str | None
    created_at: EntityTime

    @classmethod
    def of(cls, message: Message) -> Self:
        """The message as lists of results show it."""
        wanted = _SHOWN[message.role]
        shown = [one for one in wire_messages(message, V1_VIEW) if one["message_type"] == wanted]
        content: Content = shown[0]["content"] if len(shown) == 1 else said_by(message)
        return cls(
            message_type=wanted,
            content=content,
            message_id=message.shown_id,
            agent_id=message.agent_id,
            conversation_id=message.conversation_id,
            created_at=message.created_at,
        )


class MessageSearchResultBody(BaseModel):
    """V1's `MessageSearchResult`."""

    embedded_text: str
    message: dict[str, Any]
    fts_rank: int | None
    vector_rank: int | None
    rrf_score: float

    @classmethod
    def of(cls, found: FoundMessage) -> Self:
        """The result as V1 shows it."""
        return cls(
            embedded_text=said_by(found.message),
            message=_stored(found.message),
            fts_rank=found.ranked.text_rank,
            vector_rank=found.ranked.vector_rank,
            rrf_score=found.ranked.score,
        )


def said_by(message: Message) -> str:
    """What a message says, as one text."""
    sent = [V1_VIEW.said_by(call) for call in message.tool_calls]
    return "\n".join(one for one in (message.text, *sent) if one)


def _stored(message: Message) -> dict[str, Any]:
    """V1's `Message`, which is nearer to what is stored than the messages of lists."""
    return {
        "id": message.shown_id,
        "agent_id": message.agent_id,
        "role": message.role.value,
        "content": [part.model_dump(mode="json") for part in message.parts],
        "name": message.name,
        "tool_calls": [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
        or None,
        "tool_call_id": None,
        "step_id": message.step_id,
        "run_id": message.run_id,
        "otid": message.otid,
        "sender_id": message.sender_id,
        "conversation_id": message.conversation_id,
        "created_at": message.created_at.isoformat(),
    }
