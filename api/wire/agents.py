"""V1's spelling of agents."""

import secrets
from typing import Any, Self

from pydantic import BaseModel, Field

from api.wire.blocks import BlockBody, CreateBlockBody
from api.wire.fields import EntityTime, Json, RequestBody, Text
from o.domain.agent_types import base_tools
from o.domain.agents import DEFAULT_AGENT_TYPE, Agent
from o.domain.blocks import Block
from o.domain.llm import ToolSpec
from o.domain.tools import BASE_TOOLS
from o.ids import derived_id

_FIRST = ("amber", "brisk", "calm", "eager", "gentle", "lucid", "merry", "quiet", "steady", "wry")
_SECOND = (
    "badger",
    "curlew",
    "falcon",
    "heron",
    "ibis",
    "lynx",
    "marten",
    "otter",
    "robin",
    "wren",
)


def random_name() -> str:
    """A name for an agent that was given none."""
    first, second = secrets.choice(_FIRST), secrets.choice(_SECOND)
    return f"{first}-{second}-{secrets.token_hex(2)}"


class CreateAgentBody(RequestBody):
    """V1's `CreateAgentRequest`, as far as O goes; other fields are ignored."""

    name: Text = Field(default_factory=random_name, min_length=1, max_length=500)
    agent_type: str = DEFAULT_AGENT_TYPE
    system: Text | None = None
    model: Text | None = None
    embedding: Text | None = None
    memory_blocks: list[CreateBlockBody] = Field(default_factory=list)
    tools: list[Text] = Field(default_factory=list)
    include_base_tools: bool = True
    tags: list[Text] = Field(default_factory=list)
    description: Text | None = None
    metadata: Json = Field(default_factory=dict)
    model_settings: Json = Field(default_factory=dict)
    context_window_limit: int | None = Field(None, ge=1, le=2_000_000_000)
    timezone: Text = "UTC"

    def tool_names(self) -> list[str]:
        """The tools it asks for, each once, the base tools first."""
        names = [*(base_tools(self.agent_type) if self.include_base_tools else ()), *self.tools]
        return list(dict.fromkeys(names))


class ToolBody(BaseModel):
    """V1's `Tool`, for the tools that come with the server."""

    id: str
    name: str
    description: str
    tool_type: str = "letta_core"
    source_type: str = "python"
    source_code: str | None = None
    json_schema: dict[str, Any]
    tags: list[str] = []
    return_char_limit: int = 50_000

    @classmethod
    def of(cls, organization_id: str, tool: ToolSpec) -> Self:
        """The tool as V1 shows it."""
        return cls(
            id=derived_id("tool", organization_id, tool.name),
            name=tool.name,
            description=tool.description,
            json_schema=tool.model_dump(),
        )


class MemoryBody(BaseModel):
    """V1's deprecated `memory`, which repeats the blocks."""

    agent_type: str
    blocks: list[BlockBody]
    file_blocks: list[Any] = []
    prompt_template: str = ""
    git_enabled: bool = False


class AgentBody(BaseModel):
    """V1's `AgentState`."""

    id: str
    name: str
    agent_type: str
    system: str
    model: str
    embedding: str | None
    model_settings: dict[str, Any]
    llm_config: dict[str, Any]
    embedding_config: dict[str, Any] | None = None
    description: str | None
    metadata: dict[str, Any]
    memory: MemoryBody
    blocks: list[BlockBody]
    tools: list[ToolBody]
    tags: list[str]
    message_ids: list[str]
    timezone: str
    created_by_id: str | None
    last_updated_by_id: str | None
    created_at: EntityTime
    updated_at: EntityTime
    last_run_completion: EntityTime | None
    last_run_duration_ms: int | None = None
    last_stop_reason: str | None
    tool_rules: list[Any] = []
    sources: list[Any] = []
    secrets: list[Any] = []
    tool_exec_environment_variables: list[Any] = []
    identities: list[Any] = []
    identity_ids: list[str] = []
    pending_approval: None = None
    message_buffer_autoclear: bool = False
    enable_sleeptime: bool = False
    multi_agent_group: None = None
    managed_group: None = None
    compaction_settings: None = None
    response_format: None = None
    project_id: str | None = None
    template_id: str | None = None
    base_template_id: str | None = None
    deployment_id: str | None = None
    entity_id: str | None = None
    max_files_open: int | None = None
    per_file_view_window_char_limit: int | None = None
    hidden: bool | None = None

    @classmethod
    def of(
        cls,
        agent: Agent,
        *,
        message_ids: list[str],
        blocks: list[Block],
        with_tools: bool = True,
        with_tags: bool = True,
    ) -> Self:
        """The agent as V1 shows it. 1.x clients see related things only when they ask for them."""
        shown = [BlockBody.of(block) for block in blocks]
        tools = [
            ToolBody.of(agent.organization_id, BASE_TOOLS[name])
            for name in agent.tool_names
            if name in BASE_TOOLS
        ]
        return cls(
            id=agent.id,
            name=agent.name,
            agent_type=agent.agent_type,
            system=agent.system,
            model=agent.model,
            embedding=agent.embedding,
            model_settings=agent.model_settings,
            llm_config=llm_config(agent.model, agent.context_window),
            description=agent.description,
            metadata=agent.metadata,
            memory=MemoryBody(agent_type=agent.agent_type, blocks=shown),
            blocks=shown,
            tools=tools if with_tools else [],
            tags=agent.tags if with_tags else [],
            message_ids=message_ids,
            timezone=agent.timezone,
            created_by_id=agent.created_by_id,
            last_updated_by_id=agent.last_updated_by_id,
            created_at=agent.created_at,
            updated_at=agent.updated_at,
            last_run_completion=agent.last_run_completion,
            last_stop_reason=agent.last_stop_reason,
        )


def llm_config(handle: str, context_window: int, wire: str = "openai") -> dict[str, Any]:
    """V1's deprecated `LLMConfig`, which old clients read the model from."""
    provider, _, model = handle.partition("/")
    return {
        "model": model,
        "handle": handle,
        "provider_name": provider,
        "model_endpoint_type": wire,
        "model_endpoint": None,
        "context_window": context_window,
        "temperature": 1.0,
        "parallel_tool_calls": False,
    }
