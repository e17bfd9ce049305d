"""V1's spelling of tools."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal, Self

from pydantic import AliasChoices, BaseModel, Field

from api.wire.fields import Json, RequestBody, with_example
from o.domain.tools import StoredTool
from o.ids import derived_id
from o.tools.registry import BUILT_IN_TOOLS


class RequirementBody(BaseModel):
    """V1's `PipRequirement` and `NpmRequirement`."""

    name: str
    version: str | None = None


class ToolBody(BaseModel):
    """V1's `Tool`. The last three fields are O's own (docs/tools.md)."""

    id: str
    name: str
    description: str
    tool_type: str
    source_type: str = "python"
    source_code: str | None = None
    json_schema: dict[str, Any]
    args_json_schema: dict[str, Any] | None = None
    tags: list[str] = []
    return_char_limit: int = 50_000
    pip_requirements: list[RequirementBody] | None = None
    npm_requirements: list[RequirementBody] | None = None
    default_requires_approval: bool | None = None
    enable_parallel_execution: bool = False
    created_by_id: str | None = None
    last_updated_by_id: str | None = None
    metadata_: dict[str, Any] = {}
    project_id: str | None = None
    is_idempotent: bool | None = None
    allowed_hosts: list[str] | None = None
    problem: str | None = None

    @classmethod
    def of(cls, tool: StoredTool) -> Self:
        """A tool that is a row, as V1 shows it."""
        return cls(
            **{name: getattr(tool, name) for name in _AS_THEY_ARE},
            metadata_=tool.metadata,
            problem=tool.problem or None,
        )


_AS_THEY_ARE = sorted((set(ToolBody.model_fields) & set(StoredTool.model_fields)) - {"problem"})


class ModifyApprovalBody(RequestBody):
    """V1's `ModifyApprovalRequest`; its TypeScript client names the field as its own argument."""

    model_config = with_example(requires_approval=True)

    requires_approval: bool = Field(
        validation_alias=AliasChoices("requires_approval", "body_requires_approval")
    )


class RunToolBody(RequestBody):
    """V1's `ToolExecuteRequest`: arguments by name."""

    model_config = with_example(args={"label": "human", "new_string": "Their name is Ada."})

    args: Json = Field(default_factory=dict)


class ToolExecutionBody(BaseModel):
    """V1's `ToolExecutionResult`. `func_return` is null when the tool failed."""

    status: Literal["success", "error"]
    func_return: str | None = None
    agent_state: None = None
    stdout: list[str] | None = None
    stderr: list[str] | None = None
    sandbox_config_fingerprint: None = None


@lru_cache(maxsize=1_000)
def tool_body(organization_id: str, tool: str) -> ToolBody:
    """The built-in tool by that name, as V1 shows it to an organization."""
    built_in = BUILT_IN_TOOLS[tool]
    spec = built_in.spec
    return ToolBody(
        id=tool_id(organization_id, tool),
        name=tool,
        description=spec.description,
        tool_type=spec.tool_type,
        json_schema=spec.model_dump(),
        enable_parallel_execution=built_in.only_reads,
        default_requires_approval=spec.default_requires_approval,
    )


def tool_bodies(
    organization_id: str, names: Sequence[str], stored: Sequence[StoredTool] = ()
) -> list[ToolBody]:
    """The tools by those names, in that order; those that are not there are left out."""
    rows = {tool.name: tool for tool in stored}
    return [
        tool_body(organization_id, name) if name in BUILT_IN_TOOLS else ToolBody.of(rows[name])
        for name in names
        if name in BUILT_IN_TOOLS or name in rows
    ]


def tool_id(organization_id: str, name: str) -> str:
    """The id of a built-in tool, which each organization has one of."""
    return derived_id("tool", organization_id, name)


def tool_names_by_id(organization_id: str) -> dict[str, str]:
    """The names of the built-in tools by the ids that this organization knows them by."""
    return {tool_id(organization_id, name): name for name in BUILT_IN_TOOLS}
