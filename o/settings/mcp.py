"""What an operator can set of MCP servers."""

from pydantic import Field
from pydantic_settings import BaseSettings

from o.settings.types import Folders


class McpSettings(BaseSettings):
    """Limits of MCP servers, and whether they may be processes of this machine."""

    mcp_connect_timeout_s: float = Field(
        10.0, gt=0, le=300, description="Seconds an MCP server has to be connected to and greeted."
    )
    mcp_list_timeout_s: float = Field(
        30.0, gt=0, le=300, description="Seconds it then has to list all of its tools."
    )
    mcp_call_timeout_s: float = Field(
        60.0, gt=0, le=1_500, description="Seconds one call of its tools may take."
    )
    mcp_calls: int = Field(
        16,
        ge=1,
        le=1_000,
        description="Calls that a worker makes to one MCP server at once; more wait their turn.",
    )
    mcp_stdio: bool = Field(
        False,
        description="Whether MCP servers over stdio may be made: commands that run in the sandbox "
        "of a worker.",
    )
    mcp_stdio_folders: Folders = Field(
        (),
        description="Folders that they see, read-only, beside the system's programs and Python; "
        "separated by commas.",
    )
    mcp_stdio_memory_mb: int = Field(
        1_024, ge=64, le=1_048_576, description="Memory of one of them."
    )
