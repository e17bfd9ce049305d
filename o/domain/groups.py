"""Groups of agents, as V1 knows them. They are kept and shown; nothing runs them."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

ManagerType = Literal["round_robin", "supervisor", "dynamic", "sleeptime", "voice_sleeptime"]


class ManagerConfig(BaseModel):
    """What V1 says of a manager beyond its type and its agent; None where nothing is said.

    Attributes:
        max_turns: Of round_robin and dynamic.
        termination_token: Of dynamic: the word that ends it.
        sleeptime_agent_frequency: Of sleeptime: turns of the manager between two of the others.
        max_message_buffer_length: Of voice_sleeptime: messages, and so is the minimum.
    """

    model_config = ConfigDict(frozen=True)

    max_turns: int | None = None
    termination_token: str | None = None
    sleeptime_agent_frequency: int | None = None
    max_message_buffer_length: int | None = None
    min_message_buffer_length: int | None = None


class Group(BaseModel):
    """Agents that were put together, and what leads them.

    Attributes:
        manager_agent_id: Who leads it; None where V1 has no such agent, or where it was deleted.
        agent_ids: Its agents that live, in its order; who leads it is not among them.
        shared_block_ids: Blocks that were given to all its agents.
        turns_counter: V1's count of a sleeptime group's turns.
        last_processed_message_id: How far V1's background agents had read.
        hidden: Left out of lists.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    organization_id: str
    description: str
    manager_type: ManagerType = "round_robin"
    manager_agent_id: str | None = None
    manager_config: ManagerConfig = ManagerConfig()
    agent_ids: list[str] = []
    shared_block_ids: list[str] = []
    turns_counter: int | None = None
    last_processed_message_id: str | None = None
    hidden: bool | None = None
    project_id: str | None = None
    template_id: str | None = None
    base_template_id: str | None = None
    deployment_id: str | None = None
    created_by_id: str | None = None
    last_updated_by_id: str | None = None
    created_at: datetime
    updated_at: datetime
