"""Tools that an organization made or took from an MCP server."""

from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from o.domain.llm import ToolSpec

SourceType = Literal["python", "typescript", "json"]

WEIGHTS = {"name": 4, "tags": 2, "description": 1}
"""What a word of a search weighs by where it is found in a tool."""


class StoredTool(BaseModel):
    """A tool that is a row. Its name is unique in its organization, and agents have it by name.

    Attributes:
        tool_type: `custom`, or `external_mcp` for one of an MCP server.
        source_code: What a sandbox runs; None for a tool of an MCP server.
        json_schema: As models see it: `name`, `description`, `parameters`.
        return_char_limit: Characters of a return that the model is shown.
        is_idempotent: Whether a call that may have run can be repeated.
        allowed_hosts: Which hosts it reaches; None for what the server allows to all.
        problem: Why it cannot be run now, as when its requirements are not there; else empty.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    organization_id: str
    name: str
    tool_type: Literal["custom", "external_mcp"] = "custom"
    description: str = ""
    source_type: SourceType = "python"
    source_code: str | None = None
    json_schema: dict[str, Any]
    args_json_schema: dict[str, Any] | None = None
    tags: list[str] = []
    return_char_limit: int = 50_000
    pip_requirements: list[dict[str, Any]] | None = None
    npm_requirements: list[dict[str, Any]] | None = None
    default_requires_approval: bool | None = None
    enable_parallel_execution: bool = False
    is_idempotent: bool = False
    allowed_hosts: list[str] | None = None
    mcp_server_id: str | None = None
    mcp_name: str | None = None
    metadata: dict[str, Any] = {}
    problem: str = ""
    created_at: AwareDatetime
    updated_at: AwareDatetime
    created_by_id: str | None = None
    last_updated_by_id: str | None = None

    @property
    def spec(self) -> ToolSpec:
        """How models see it."""
        return ToolSpec(
            name=self.name,
            description=str(self.json_schema.get("description") or self.description),
            parameters=self.json_schema.get("parameters") or {"type": "object", "properties": {}},
            tool_type=self.tool_type,
            default_requires_approval=self.default_requires_approval,
        )
