"""V1's spelling of conversations."""

from typing import Any, Self

from pydantic import BaseModel, Field

from api.wire.fields import EntityTime, Moment, RequestBody, Several, Text, with_example
from api.wire.llm import ModelSettings, whole_settings
from api.wire.messages import pending_body
from o.domain.agents import Conversation, ConversationState
from o.ids import pattern


class ConversationBody(BaseModel):
    """V1's `Conversation`. `pending_approval` is O's own, and that of agents."""

    id: str
    agent_id: str
    summary: str | None
    in_context_message_ids: list[str]
    isolated_block_ids: list[str]
    model: str | None
    model_settings: dict[str, Any] | None
    last_message_at: EntityTime | None
    pending_approval: dict[str, Any] | None
    created_by_id: str | None
    last_updated_by_id: str | None
    created_at: EntityTime
    updated_at: EntityTime

    @classmethod
    def of(cls, state: ConversationState) -> Self:
        """The conversation as V1 shows it."""
        conversation = state.conversation
        return cls(
            id=conversation.id,
            agent_id=conversation.agent_id,
            summary=conversation.summary,
            in_context_message_ids=state.message_ids,
            isolated_block_ids=state.isolated_block_ids,
            model=conversation.model,
            model_settings=_settings(conversation),
            last_message_at=conversation.last_message_at,
            pending_approval=pending_body(state.pending),
            created_by_id=conversation.created_by_id,
            last_updated_by_id=conversation.last_updated_by_id,
            created_at=conversation.created_at,
            updated_at=conversation.updated_at,
        )


def _settings(conversation: Conversation) -> dict[str, Any] | None:
    """Its settings, whole as V1 shows them; None where the agent's hold."""
    given = conversation.model_settings
    return None if given is None else whole_settings(conversation.model, given)


class CreateConversationBody(RequestBody):
    """V1's `CreateConversation`."""

    model_config = with_example(summary="About tea")

    summary: Text | None = None
    isolated_block_labels: Several[Text] | None = None
    model: Text | None = None
    model_settings: ModelSettings | None = None


class UpdateConversationBody(RequestBody):
    """V1's `UpdateConversation`: what the client names is changed.

    A null takes the summary away, or goes back to the agent's model and settings.
    """

    model_config = with_example(summary="About tea and coffee")

    summary: Text | None = None
    model: Text | None = None
    model_settings: ModelSettings | None = None
    last_message_at: Moment | None = None

    def changes(self) -> dict[str, Any]:
        """Column to value, for what was named."""
        named = {name: getattr(self, name) for name in self.model_fields_set}
        return {k: v for k, v in named.items() if k != "last_message_at" or v is not None}


class AgentOfThreadBody(RequestBody):
    """What several of V1's bodies have in common: whose own thread the path `default` means."""

    model_config = with_example()

    agent_id: str | None = Field(None, pattern=pattern("agent"))
