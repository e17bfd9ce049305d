"""V1's spelling of groups of agents."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field

from api.wire.fields import RequestBody, Several, Text, with_example
from o.domain.actors import Actor
from o.domain.groups import Group, ManagerConfig, ManagerType
from o.errors import InvalidArgument
from o.ids import new_id, pattern

_Count = Annotated[int, Field(ge=0, le=2_000_000_000)]
_AgentId = Annotated[str, Field(pattern=pattern("agent"))]
_BlockId = Annotated[str, Field(pattern=pattern("block"))]
_COUNTER_START = -1  # V1's, of sleeptime groups that have a frequency


class _RoundRobin(RequestBody):
    manager_type: Literal["round_robin"] = "round_robin"
    max_turns: _Count | None = None


class _Supervisor(RequestBody):
    manager_type: Literal["supervisor"] = "supervisor"
    manager_agent_id: _AgentId


class _Dynamic(RequestBody):
    manager_type: Literal["dynamic"] = "dynamic"
    manager_agent_id: _AgentId
    termination_token: Text | None = "DONE!"  # noqa: S105  a word that V1's managers say
    max_turns: _Count | None = None


class _Sleeptime(RequestBody):
    manager_type: Literal["sleeptime"] = "sleeptime"
    manager_agent_id: _AgentId
    sleeptime_agent_frequency: _Count | None = None


class _VoiceSleeptime(RequestBody):
    manager_type: Literal["voice_sleeptime"] = "voice_sleeptime"
    manager_agent_id: _AgentId
    max_message_buffer_length: _Count | None = None
    min_message_buffer_length: _Count | None = None


_Manager = Annotated[
    _RoundRobin | _Supervisor | _Dynamic | _Sleeptime | _VoiceSleeptime,
    Field(discriminator="manager_type"),
]


class ManagerChangesBody(RequestBody):
    """V1's `…ManagerUpdate`, of any type: what is left out, or null, stays."""

    manager_type: ManagerType
    manager_agent_id: _AgentId | None = None
    termination_token: Text | None = None
    max_turns: _Count | None = None
    sleeptime_agent_frequency: _Count | None = None
    max_message_buffer_length: _Count | None = None
    min_message_buffer_length: _Count | None = None


class GroupBody(BaseModel):
    """V1's `Group`."""

    id: str
    manager_type: ManagerType
    agent_ids: list[str]
    description: str
    project_id: str | None
    template_id: str | None
    base_template_id: str | None
    deployment_id: str | None
    shared_block_ids: list[str] = Field(deprecated=True)
    manager_agent_id: str | None
    termination_token: str | None
    max_turns: int | None
    sleeptime_agent_frequency: int | None
    turns_counter: int | None
    last_processed_message_id: str | None
    max_message_buffer_length: int | None
    min_message_buffer_length: int | None
    hidden: bool | None

    @classmethod
    def of(cls, group: Group) -> Self:
        """The group as V1 shows it."""
        return cls.model_validate({**group.model_dump(), **group.manager_config.model_dump()})


class CreateGroupBody(RequestBody):
    """V1's `GroupCreate`."""

    model_config = with_example(agent_ids=[], description="Who plans the journey.")

    agent_ids: Several[_AgentId]
    description: Text
    manager_config: _Manager = _RoundRobin()
    project_id: Text | None = None
    shared_block_ids: Several[_BlockId] = Field([], deprecated=True)
    hidden: bool | None = None

    @property
    def manager_id(self) -> str | None:
        """The agent that is to lead it, None where V1 has no such agent."""
        return getattr(self.manager_config, "manager_agent_id", None)

    @property
    def block_ids(self) -> list[str]:
        """The blocks that its agents are to share, each once."""
        named: list[str] = self.__dict__["shared_block_ids"]  # there, it warns nobody
        return list(dict.fromkeys(named))

    def to_group(self, actor: Actor, project_id: str | None, now: datetime) -> Group:
        """A new group of this actor's."""
        config = ManagerConfig.model_validate(self.manager_config.model_dump())
        return Group(
            id=new_id("group"),
            organization_id=actor.organization_id,
            description=self.description,
            manager_type=self.manager_config.manager_type,
            manager_agent_id=self.manager_id,
            manager_config=config,
            agent_ids=list(dict.fromkeys(self.agent_ids)),
            shared_block_ids=self.block_ids,
            turns_counter=_COUNTER_START if config.sleeptime_agent_frequency else None,
            hidden=self.hidden,
            project_id=project_id,
            created_by_id=actor.user_id,
            last_updated_by_id=actor.user_id,
            created_at=now,
            updated_at=now,
        )


class UpdateGroupBody(RequestBody):
    """V1's `GroupUpdate`: only what the client names is changed, and null changes nothing."""

    model_config = with_example(description="Who plans the journey.")

    agent_ids: Several[_AgentId] | None = None
    description: Text | None = None
    manager_config: ManagerChangesBody | None = None
    project_id: Text | None = None
    shared_block_ids: Several[_BlockId] | None = Field(None, deprecated=True)

    @property
    def manager_id(self) -> str | None:
        """The agent that is to lead it from now on, None where that stays."""
        return None if self.manager_config is None else self.manager_config.manager_agent_id

    @property
    def block_ids(self) -> list[str] | None:
        """The blocks that its agents are to share, None where those stay."""
        named: list[str] | None = self.__dict__["shared_block_ids"]
        return None if named is None else list(dict.fromkeys(named))

    def changes(self, before: Group) -> dict[str, Any]:
        """Column to value, for what was given of the group itself.

        Raises:
            InvalidArgument: Its manager is to be of another type, which V1 does not allow either.
        """
        named = {"description": self.description, "project_id": self.project_id}
        changes: dict[str, Any] = {name: one for name, one in named.items() if one is not None}
        manager = self.manager_config
        if manager is None:
            return changes
        if manager.manager_type != before.manager_type:
            raise InvalidArgument(
                f"INVALID_ARGUMENT: the group's manager_type is {before.manager_type!r} and stays "
                "so: create another group"
            )
        if manager.manager_agent_id is not None and before.manager_type != "round_robin":
            changes["manager_agent_id"] = manager.manager_agent_id
        given = manager.model_dump(exclude_none=True)
        config = before.manager_config.model_dump() | {
            name: one for name, one in given.items() if name in ManagerConfig.model_fields
        }
        changes["manager_config"] = config
        if config["sleeptime_agent_frequency"] and before.turns_counter is None:
            changes["turns_counter"] = _COUNTER_START
        return changes


def group_bodies(groups: Sequence[Group]) -> list[GroupBody]:
    """The groups as V1 shows them."""
    return [GroupBody.of(group) for group in groups]
