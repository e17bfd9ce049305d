"""Agents and the conversations they hold."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from o.domain.blocks import Block
from o.domain.messages import Decision, Message, only_calls
from o.domain.tools import StoredTool

DEFAULT_AGENT_TYPE = "letta_v1_agent"
DEFAULT_CONTEXT_WINDOW = 128_000


class Agent(BaseModel):
    """What an agent is, apart from its blocks and messages.

    Attributes:
        model: A handle, `<provider>/<model>`.
        model_settings: V1's `model_settings`: what each model call is made with.
        llm_options: What older clients say in `llm_config` and its like; kept and shown.
        context_window: Tokens.
        tool_names: The tools it may call, in the order in which they were attached.
        tool_rules: V1's tool rules, as `api/wire` has checked them.
        hidden: Left out of lists.
        approval_timeout_s: Seconds after which an approval that nobody gave is denied; None goes
            by the server's setting.
        conversation_id: The conversation that it acts in, None outside of a turn.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    organization_id: str
    name: str
    agent_type: str = DEFAULT_AGENT_TYPE
    system: str
    model: str
    embedding: str | None = None
    model_settings: dict[str, Any] = {}
    context_window: int = DEFAULT_CONTEXT_WINDOW
    description: str | None = None
    metadata: dict[str, Any] = {}
    tags: list[str] = []
    tool_names: list[str] = []
    timezone: str = "UTC"
    llm_options: dict[str, Any] = {}
    embedding_config: dict[str, Any] | None = None
    compaction_settings: dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    tool_rules: list[dict[str, Any]] = []
    message_buffer_autoclear: bool = False
    enable_sleeptime: bool | None = None
    max_files_open: int | None = None
    per_file_view_window_char_limit: int | None = None
    hidden: bool | None = None
    project_id: str | None = None
    template_id: str | None = None
    base_template_id: str | None = None
    created_by_id: str | None = None
    last_updated_by_id: str | None = None
    created_at: datetime
    updated_at: datetime
    last_run_completion: datetime | None = None
    last_run_duration_ms: int | None = None
    last_stop_reason: str | None = None
    approval_timeout_s: int | None = None
    conversation_id: str | None = None


class Conversation(BaseModel):
    """A thread of messages with one agent; its id is also the id of its workflow.

    Attributes:
        is_default: Whether this is the agent's own thread.
        next_position: The place in history that the next message takes.
        prompt_key: What the stored system message was compiled from; it is compiled anew
            when this changes, and only then, so that provider caches hit.
        epoch: Counts the changes of history other than appending: while it is equal, what was
            read before is still the beginning of what is there.
        window_start: Messages at later positions are in the prompt, those of role summary left out.
        summary_id: The summary that stands ahead of them; None while all is in the prompt.
        model: The handle that it speaks with in the place of the agent's; None for the agent's.
        model_settings: The same for `Agent.model_settings`.
        last_message_at: When something was last sent to it.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    organization_id: str
    agent_id: str
    is_default: bool = True
    next_position: int = 0
    prompt_key: str = ""
    epoch: int = 0
    window_start: int = 0
    summary_id: str | None = None
    summary: str | None = None
    model: str | None = None
    model_settings: dict[str, Any] | None = None
    created_by_id: str | None = None
    last_updated_by_id: str | None = None
    created_at: datetime
    updated_at: datetime
    last_message_at: datetime | None = None

    def agent_here(self, agent: Agent) -> Agent:
        """The agent as it acts in this conversation: with its model and settings."""
        changes: dict[str, Any] = {"conversation_id": self.id}
        if self.model is not None:
            changes["model"] = self.model
            # What fits any model stays; the rest of the settings names a provider.
            settings = agent.model_settings.items()
            changes["model_settings"] = {k: v for k, v in settings if k != "provider_type"}
        if self.model_settings is not None:
            changes["model_settings"] = self.model_settings
        return agent.model_copy(update=changes)


@dataclass(frozen=True)
class Thread:
    """What a client means by a conversation; one of the two is given.

    Attributes:
        conversation_id: This conversation.
        agent_id: The own thread of this agent.
    """

    conversation_id: str | None = None
    agent_id: str | None = None


class PendingApproval(BaseModel):
    """An approval request as clients are shown it: the message, less what was answered."""

    model_config = ConfigDict(frozen=True)

    message: Message
    decisions: list[Decision] = []

    @property
    def remaining(self) -> Message:
        """The message with the calls only that still wait."""
        return only_calls(self.message, [d.tool_call_id for d in self.decisions])


class ConversationState(BaseModel):
    """A conversation with what is shown beside it.

    Attributes:
        message_ids: Its context, oldest first; the system message is the first.
        isolated_block_ids: The blocks that it has to itself.
        pending: What it waits to have approved; its message is then the last of the context.
    """

    model_config = ConfigDict(frozen=True)

    conversation: Conversation
    message_ids: list[str]
    isolated_block_ids: list[str]
    pending: PendingApproval | None = None


class AgentState(BaseModel):
    """An agent with what is shown beside it.

    Attributes:
        blocks: In the order of the prompt; empty when they were not asked for.
        message_ids: The context of its own thread, oldest first.
        pending: What it waits to have approved; of several, what its own thread waits for.
        tools: Those of its tools that are rows, in any order; empty when they were not asked for.
    """

    model_config = ConfigDict(frozen=True)

    agent: Agent
    blocks: list[Block]
    message_ids: list[str]
    pending: PendingApproval | None = None
    tools: list[StoredTool] = []
