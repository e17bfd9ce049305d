"""V1's spelling of agents."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from pydantic import BaseModel

from api.wire.blocks import BlockBody, MemoryBody, block_bodies
from api.wire.fields import EntityTime
from api.wire.folders import FolderBody
from api.wire.groups import GroupBody
from api.wire.identities import IdentityBody, identity_bodies
from api.wire.llm import shown_config, shown_settings
from api.wire.messages import pending_body
from api.wire.tool_variables import AgentVariableBody, agent_variables
from api.wire.tools import ToolBody, tool_bodies
from o.domain.agents import Agent, AgentState
from o.domain.files.folders import Folder
from o.domain.groups import Group
from o.domain.identities import Identity
from o.domain.tool_variables import ToolVariable


@dataclass(frozen=True)
class Relations:
    """Which related things are shown with an agent; clients of release 1 ask for each."""

    blocks: bool = True
    tools: bool = True
    tags: bool = True
    secrets: bool = True
    identities: bool = True
    groups: bool = True
    sources: bool = True

    @property
    def are_beside(self) -> bool:
        """Whether any of them stands beside what is read of an agent in one statement."""
        return self.secrets or self.identities or self.groups or self.sources


EVERYTHING = Relations()


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
    embedding_config: dict[str, Any] | None
    compaction_settings: dict[str, Any] | None
    response_format: dict[str, Any] | None
    description: str | None
    metadata: dict[str, Any]
    memory: MemoryBody
    blocks: list[BlockBody]
    tools: list[ToolBody]
    tool_rules: list[dict[str, Any]]
    tags: list[str]
    message_ids: list[str]
    timezone: str
    created_by_id: str | None
    last_updated_by_id: str | None
    created_at: EntityTime
    updated_at: EntityTime
    last_run_completion: EntityTime | None
    last_run_duration_ms: int | None
    last_stop_reason: str | None
    sources: list[FolderBody] = []
    secrets: list[AgentVariableBody] = []
    tool_exec_environment_variables: list[AgentVariableBody] = []
    identities: list[IdentityBody] = []
    identity_ids: list[str] = []
    pending_approval: dict[str, Any] | None = None
    message_buffer_autoclear: bool
    enable_sleeptime: bool
    multi_agent_group: GroupBody | None = None
    managed_group: GroupBody | None = None
    project_id: str | None
    template_id: str | None
    base_template_id: str | None
    deployment_id: str | None = None
    entity_id: str | None = None
    max_files_open: int | None
    per_file_view_window_char_limit: int | None
    hidden: bool | None
    approval_timeout_s: int | None

    @classmethod
    def of(
        cls,
        state: AgentState,
        shown: Relations = EVERYTHING,
        variables: Sequence[ToolVariable] = (),
        *,
        identities: Sequence[Identity] = (),
        group: Group | None = None,
        folders: Sequence[Folder] = (),
    ) -> Self:
        """The agent as V1 shows it, with the related things that are to be shown.

        Args:
            state: The agent.
            shown: What is to be shown of `state`.
            variables: Those of its tools, with their values.
            identities: That it has, the oldest first.
            group: That it leads.
            folders: That it has.
        """
        managed = None if group is None else GroupBody.of(group)
        secrets = agent_variables(variables)
        agent = state.agent
        blocks = block_bodies(state.blocks) if shown.blocks else []
        return cls(
            **{name: getattr(agent, name) for name in _AS_THEY_ARE},
            model_settings=shown_settings(agent),
            llm_config=shown_config(agent),
            memory=MemoryBody(agent_type=agent.agent_type, blocks=blocks),
            blocks=blocks,
            tools=_tools(state) if shown.tools else [],
            tags=agent.tags if shown.tags else [],
            secrets=secrets,
            tool_exec_environment_variables=secrets,
            message_ids=state.message_ids,
            pending_approval=pending_body(state.pending),
            enable_sleeptime=bool(agent.enable_sleeptime),
            sources=[FolderBody.of(folder) for folder in folders],
            identities=identity_bodies(identities),
            identity_ids=[identity.id for identity in identities],
            multi_agent_group=managed,
            managed_group=managed,
        )


_AS_THEY_ARE = sorted(
    (set(AgentBody.model_fields) & set(Agent.model_fields))
    - {"model_settings", "tags", "enable_sleeptime"}
)


def _tools(state: AgentState) -> list[ToolBody]:
    return tool_bodies(state.agent.organization_id, state.agent.tool_names, state.tools)
