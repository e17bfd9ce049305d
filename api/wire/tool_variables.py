"""V1's spelling of variables that tools see, and of sandbox configurations."""

from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, Field

from api.wire.fields import MAX_ITEMS, EntityTime, Json, Key, RequestBody, with_example
from o.domain.tool_variables import SandboxConfig, SandboxType, ToolVariable

MAX_VALUE_CHARS = 100_000


def _variable(name: str) -> str:
    if "=" in name:
        raise ValueError("the name of a variable holds no '='")
    return name


VariableName = Annotated[Key, Field(min_length=1, max_length=200), AfterValidator(_variable)]
Value = Annotated[Key, Field(max_length=MAX_VALUE_CHARS)]
Values = Annotated[dict[VariableName, Value], Field(max_length=MAX_ITEMS)]
"""Variables by name."""


class _VariableBody(BaseModel):
    id: str
    key: str
    value: str
    description: str | None
    organization_id: str
    value_enc: None = None
    created_by_id: str | None
    last_updated_by_id: str | None
    created_at: EntityTime
    updated_at: EntityTime

    @classmethod
    def of(cls, variable: ToolVariable) -> Self:
        """The variable as V1 shows it, with its value."""
        return cls.model_validate(variable.model_dump())


class AgentVariableBody(_VariableBody):
    """V1's `AgentEnvironmentVariable`."""

    agent_id: str


class SandboxVariableBody(_VariableBody):
    """V1's `SandboxEnvironmentVariable`."""

    sandbox_config_id: str


class CreateVariableBody(RequestBody):
    """V1's `SandboxEnvironmentVariableCreate`."""

    model_config = with_example(key="API_TOKEN", value="the token")

    key: VariableName
    value: Value
    description: Key | None = Field(None, max_length=10_000)


class UpdateVariableBody(RequestBody):
    """V1's `SandboxEnvironmentVariableUpdate`: null changes nothing."""

    model_config = with_example(value="the next token")

    key: VariableName | None = None
    value: Value | None = None
    description: Key | None = Field(None, max_length=10_000)


class SandboxConfigBody(BaseModel):
    """V1's `SandboxConfig`."""

    id: str
    type: SandboxType
    organization_id: str
    config: dict[str, Any]
    created_by_id: str | None
    last_updated_by_id: str | None
    created_at: EntityTime
    updated_at: EntityTime

    @classmethod
    def of(cls, config: SandboxConfig) -> Self:
        """The configuration as V1 shows it."""
        return cls.model_validate(config.model_dump())


class SandboxConfigRequest(RequestBody):
    """V1's `SandboxConfigCreate` and `SandboxConfigUpdate`."""

    model_config = with_example(config={"sandbox_dir": "tools"})

    config: Json = Field(default_factory=dict)

    def type(self) -> SandboxType:
        """Which sandbox it is about, as V1 tells them apart."""
        return type_of(self.config)


class LocalConfigBody(RequestBody):
    """V1's `LocalSandboxConfig`. It is kept and shown; nothing follows from it."""

    model_config = with_example(sandbox_dir="tools")

    sandbox_dir: Key | None = None
    use_venv: bool = False
    venv_name: Key = "venv"
    pip_requirements: list[Json] | None = Field(None, max_length=100)


def type_of(config: dict[str, Any]) -> SandboxType:
    """V1's type of a configuration, by the fields that only one of them has."""
    if "template" in config:
        return "e2b"
    if "npm_requirements" in config or "language" in config:
        return "modal"
    return "local"


def agent_variables(variables: Sequence[ToolVariable]) -> list[AgentVariableBody]:
    """The variables of an agent as V1 shows them."""
    return [AgentVariableBody.of(one) for one in variables]
