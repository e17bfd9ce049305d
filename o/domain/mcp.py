"""MCP servers as they are stored, and what is asked of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

McpServerType = Literal["streamable_http", "sse", "stdio"]


class McpServer(BaseModel):
    """An MCP server of an organization.

    Attributes:
        server_name: Unique in the organization.
        auth_header: The header that carries the token; None for `Authorization`.
        secrets: Encrypted JSON of `McpSecrets`; None where there are none.
        problem: Why its tools could not be listed the last time; else empty.
        synced_at: When they were last listed.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    organization_id: str
    server_name: str
    server_type: McpServerType
    server_url: str | None = None
    auth_header: str | None = None
    command: str | None = None
    args: list[str] = []
    secrets: str | None = None
    problem: str = ""
    synced_at: AwareDatetime | None = None
    created_at: AwareDatetime
    updated_at: AwareDatetime
    created_by_id: str | None = None
    last_updated_by_id: str | None = None


class McpSecrets(BaseModel):
    """What of a server is encrypted, and never shown whole."""

    model_config = ConfigDict(frozen=True)

    auth_token: str | None = None
    custom_headers: dict[str, str] | None = None
    env: dict[str, str] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to encrypt."""
        return not (self.auth_token or self.custom_headers or self.env)


@dataclass(frozen=True)
class McpTarget:
    """A server with all that it takes to reach it. Holds secrets: it is neither stored nor logged.

    Attributes:
        id: The server's; what its calls are counted by.
        headers: With every HTTP request.
        environment: Of a stdio server's process.
    """

    id: str
    name: str
    server_type: McpServerType
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    args: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class McpTool:
    """A tool as its server describes it, cleaned of what cannot be read.

    Attributes:
        input_schema: As it came, an object; empty where the server gave none.
    """

    name: str
    description: str = ""
    input_schema: Mapping[str, Any] = field(default_factory=dict)
    output_schema: Mapping[str, Any] | None = None
    annotations: Mapping[str, Any] = field(default_factory=dict)


def repeats_safely(annotations: Mapping[str, Any]) -> bool:
    """Whether a server says of a tool that a second call does no more than the first one."""
    return any(annotations.get(hint) is True for hint in ("readOnlyHint", "idempotentHint"))


def mcp_secret_of(server_id: str) -> str:
    """What the encrypted column of a server's row belongs to, for `o.secrets`."""
    return f"{server_id}/secrets"
