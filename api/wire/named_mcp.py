"""V1's older spelling of MCP servers: flat, with `type`, and known by their names."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Discriminator, Field, Tag

from api.wire.fields import RequestBody, with_example
from api.wire.mcp import (
    Arguments,
    Command,
    CreateMcpServerBody,
    HeaderName,
    Headers,
    McpServerBody,
    ServerName,
    UpdateMcpServerBody,
    Url,
    Value,
    Variables,
)
from o.domain.mcp import McpTool
from o.domain.tools import StoredTool


class _NamedHttpBody(RequestBody):
    server_name: ServerName
    server_url: Url
    auth_header: HeaderName | None = None
    auth_token: Value | None = None
    custom_headers: Headers | None = None


class NamedSseBody(_NamedHttpBody):
    """V1's `SSEServerConfig`."""

    type: Literal["sse"] = "sse"


class NamedStreamableHttpBody(_NamedHttpBody):
    """V1's `StreamableHTTPServerConfig`."""

    model_config = with_example(
        server_name="browser", type="streamable_http", server_url="http://127.0.0.1:8931/mcp"
    )

    type: Literal["streamable_http"] = "streamable_http"


class NamedStdioBody(RequestBody):
    """V1's `StdioServerConfig`."""

    type: Literal["stdio"] = "stdio"
    server_name: ServerName
    command: Command
    args: Arguments
    env: Variables | None = None


def _type_of(body: Any) -> str:
    """The type of a body, which V1 takes from its other fields where it is not named."""
    if not isinstance(body, dict):
        return str(getattr(body, "type", "sse"))
    return str(body.get("type") or ("stdio" if "command" in body else "sse"))


NamedServerBody = Annotated[
    Annotated[NamedStreamableHttpBody, Tag("streamable_http")]
    | Annotated[NamedSseBody, Tag("sse")]
    | Annotated[NamedStdioBody, Tag("stdio")],
    Discriminator(_type_of),
]


def as_new(body: NamedServerBody) -> CreateMcpServerBody:
    """The same server as today's route takes it."""
    return CreateMcpServerBody(server_name=body.server_name, config=_config(body))


def as_change(body: NamedServerBody) -> UpdateMcpServerBody:
    """What makes a server that is there the same: secrets that are not named are taken away."""
    return UpdateMcpServerBody.model_validate({"config": _config(body)})


def _config(body: NamedServerBody) -> Any:
    fields = body.model_dump(exclude={"server_name", "type"})
    return fields | {"mcp_server_type": body.type}


class _StdioChanges(RequestBody):
    command: Command | None = None
    args: Arguments | None = None
    env: Variables | None = None


class NamedServerChanges(RequestBody):
    """V1's three older `Update…MCPServer`. `token` is what its servers over SSE call a token."""

    model_config = with_example(server_url="https://example.com/mcp")

    server_name: ServerName | None = None
    server_url: Url | None = None
    token: Value | None = None
    auth_header: HeaderName | None = None
    auth_token: Value | None = None
    custom_headers: Headers | None = None
    stdio_config: _StdioChanges | None = None

    def as_change(self) -> UpdateMcpServerBody:
        """The same change as today's route takes it."""
        config = self.model_dump(
            exclude_unset=True, exclude={"server_name", "token", "stdio_config"}
        )
        if "token" in self.model_fields_set:
            config.setdefault("auth_token", self.token)
        if self.stdio_config is not None:
            config |= self.stdio_config.model_dump(exclude_unset=True)
        return UpdateMcpServerBody.model_validate(
            {"server_name": self.server_name, "config": config}
        )


class NamedMcpServer(McpServerBody):
    """A server as V1 shows it in its older lists, with what today's ones say beside it."""

    type: str

    @classmethod
    def named(cls, body: McpServerBody) -> Self:
        """From what today's routes show."""
        return cls(**body.model_dump(), type=body.mcp_server_type)


class McpToolBody(BaseModel):
    """V1's `MCPTool`: a tool as its server calls it."""

    name: str
    description: str | None = None
    inputSchema: dict[str, Any]  # noqa: N815
    annotations: dict[str, Any] | None = None

    @classmethod
    def of(cls, tool: StoredTool) -> Self:
        """A tool that is a row, under its server's own name of it."""
        mcp = tool.metadata.get("mcp")
        annotations = mcp.get("annotations") if isinstance(mcp, dict) else None
        return cls(
            name=tool.mcp_name or tool.name,
            description=tool.description,
            inputSchema=tool.json_schema.get("parameters", {}),
            annotations=annotations,
        )

    @classmethod
    def listed(cls, tool: McpTool) -> Self:
        """A tool that is no row."""
        return cls(
            name=tool.name,
            description=tool.description,
            inputSchema=dict(tool.input_schema),
            annotations=dict(tool.annotations) or None,
        )


class TestedServerBody(BaseModel):
    """What a server has that was asked without being stored."""

    status: Literal["success"] = "success"
    tools: list[McpToolBody] = Field(default_factory=list)


class McpResultBody(BaseModel):
    """What a call returned, or why it failed."""

    result: str
    success: bool
