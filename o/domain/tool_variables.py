"""Variables that tools see in their environment, and the configurations of sandboxes."""

from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

SandboxType = Literal["local", "e2b", "modal"]


class ToolVariable(BaseModel):
    """A variable of an agent, or of a sandbox configuration; it may be secret.

    Attributes:
        value: Encrypted (`o.secrets`) where it is stored, plain where `Variables` gave it.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    organization_id: str
    agent_id: str | None = None
    sandbox_config_id: str | None = None
    key: str
    value: str
    description: str | None = None
    created_by_id: str | None = None
    last_updated_by_id: str | None = None
    created_at: AwareDatetime
    updated_at: AwareDatetime


class SandboxConfig(BaseModel):
    """What V1 lets an organization say of a sandbox. Only its variables mean something here."""

    model_config = ConfigDict(frozen=True)

    id: str
    organization_id: str
    type: SandboxType
    config: dict[str, Any] = {}
    created_by_id: str | None = None
    last_updated_by_id: str | None = None
    created_at: AwareDatetime
    updated_at: AwareDatetime
