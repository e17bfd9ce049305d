"""V1's spelling of MCP servers. Secrets are shown masked; a mask that comes back is kept."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, StringConstraints

from api.wire.fields import Json, RequestBody, with_example
from o.addresses import check_base_url
from o.domain.mcp import McpSecrets, McpServer, McpServerType
from o.domain.text import storable
from o.errors import InvalidInput

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,200}")
_OURS = {
    *("host", "content-length", "content-type", "transfer-encoding", "connection", "upgrade"),
    *("accept", "accept-encoding", "mcp-session-id", "mcp-protocol-version", "last-event-id"),
    *("te", "trailer"),
}
_SAID = {"content-type", "accept"}
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,200}")
_MASK = "********"
_SHOWN_OF_LONG = 4


def masked(secret: str) -> str:
    """A secret as it is shown: the end of a long one, so that its owner knows which it is."""
    return _MASK + (secret[-_SHOWN_OF_LONG:] if len(secret) >= 4 * _SHOWN_OF_LONG else "")


def _url(text: str) -> str:
    whole = text.strip()
    try:
        parts = urlsplit(whole)
    except ValueError:
        raise ValueError("has to be an address that begins with http:// or https://") from None
    if parts.fragment:
        raise ValueError("must not hold a fragment")
    check_base_url(whole.partition("?")[0])
    if any(not one.isprintable() or one.isspace() for one in parts.query):
        raise ValueError("must not hold spaces or control characters")
    return storable(whole)


def _value(text: str) -> str:
    text = text.strip()
    if not (text.isascii() and text.isprintable()):
        raise ValueError("holds characters that no header can carry")
    return text


def _header(name: str) -> str:
    if not _HEADER.fullmatch(name):
        raise ValueError("is not the name of a header")
    if name.lower() in _OURS:
        raise ValueError("is a header that the protocol sets itself")
    return name


def _without_said(headers: Any) -> Any:
    """Headers without those that programs send along, and that the protocol says in any case."""
    if not isinstance(headers, dict):
        return headers
    return {name: value for name, value in headers.items() if str(name).lower() not in _SAID}


def _variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise ValueError("is not the name of a variable")
    return name


def _plain(text: str) -> str:
    if "\0" in text or storable(text) != text:
        raise ValueError("holds NUL or half a surrogate pair")
    return text


Url = Annotated[str, Field(max_length=4_000), AfterValidator(_url)]
Value = Annotated[str, Field(max_length=10_000), AfterValidator(_value)]
HeaderName = Annotated[str, AfterValidator(_header)]
Headers = Annotated[dict[HeaderName, Value], Field(max_length=50), BeforeValidator(_without_said)]
Variables = Annotated[
    dict[Annotated[str, AfterValidator(_variable)], Annotated[str, AfterValidator(_plain)]],
    Field(max_length=100),
]
Argument = Annotated[str, Field(max_length=10_000), AfterValidator(_plain)]
Arguments = Annotated[list[Argument], Field(max_length=200)]
Command = Annotated[str, StringConstraints(min_length=1, max_length=1_000), AfterValidator(_plain)]
ServerName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=255, strip_whitespace=True),
    AfterValidator(_plain),
]


class _HttpConfig(RequestBody):
    server_url: Url
    auth_header: HeaderName | None = None
    auth_token: Value | None = None
    custom_headers: Headers | None = None


class StreamableHttpConfig(_HttpConfig):
    """V1's `CreateStreamableHTTPMCPServer`."""

    mcp_server_type: Literal["streamable_http"] = "streamable_http"


class SseConfig(_HttpConfig):
    """V1's `CreateSSEMCPServer`."""

    mcp_server_type: Literal["sse"] = "sse"


class StdioConfig(RequestBody):
    """V1's `CreateStdioMCPServer`."""

    mcp_server_type: Literal["stdio"] = "stdio"
    command: Command
    args: Arguments
    env: Variables | None = None


class CreateMcpServerBody(RequestBody):
    """V1's `CreateMCPServerRequest`."""

    model_config = with_example(
        server_name="browser",
        config={"mcp_server_type": "streamable_http", "server_url": "http://127.0.0.1:8931/mcp"},
    )

    server_name: ServerName
    config: Annotated[
        StreamableHttpConfig | SseConfig | StdioConfig, Field(discriminator="mcp_server_type")
    ]


class ConfigChanges(RequestBody):
    """V1's three `Update…MCPServer`: what is named is changed. A null address stays as it is."""

    mcp_server_type: McpServerType | None = None
    server_url: Url | None = None
    auth_header: HeaderName | None = None
    auth_token: Value | None = None
    custom_headers: Headers | None = None
    command: Command | None = None
    args: Arguments | None = None
    env: Variables | None = None


class UpdateMcpServerBody(RequestBody):
    """V1's `UpdateMCPServerRequest`."""

    model_config = with_example(
        config={
            "mcp_server_type": "streamable_http",
            "server_url": "https://example.com/mcp",
            "auth_token": "new",
        }
    )

    server_name: ServerName | None = None
    config: ConfigChanges

    def check_no_mask(self, old: McpSecrets) -> None:
        """Make sure that no mask stands for a secret which the server is not to get.

        Raises:
            InvalidInput: One does.
        """
        headers = self.config.custom_headers or {}
        known = old.custom_headers or {}
        pairs = [(self.config.auth_token, old.auth_token)]
        pairs += [(value, known.get(name)) for name, value in headers.items()]
        if any(given and secret and given == masked(secret) for given, secret in pairs):
            raise InvalidInput(
                "config: secrets are not taken along to another address; give them in full."
            )

    def new_secrets(self, old: McpSecrets) -> McpSecrets:
        """The secrets with what was changed; a mask stands for what it masks."""
        given = self.config.model_dump(
            include={"auth_token", "custom_headers", "env"}, exclude_unset=True
        )
        if (
            (token := given.get("auth_token"))
            and old.auth_token
            and token == masked(old.auth_token)
        ):
            given["auth_token"] = old.auth_token
        for name in ("custom_headers", "env"):
            if values := given.get(name):
                given[name] = _unmasked(values, getattr(old, name) or {})
        return old.model_copy(update=given)


def _unmasked(values: Mapping[str, str], old: Mapping[str, str]) -> dict[str, str]:
    return {
        name: old[name] if name in old and value == masked(old[name]) else value
        for name, value in values.items()
    }


class McpServerBody(BaseModel):
    """V1's `StreamableHTTPMCPServer`, `SSEMCPServer` or `StdioMCPServer`.

    `problem` is O's own: why its tools could not be listed the last time.
    """

    id: str
    server_name: str
    mcp_server_type: McpServerType
    server_url: str | None = None
    auth_header: str | None = None
    auth_token: str | None = None
    custom_headers: dict[str, str] | None = None
    command: str | None = None
    args: list[str] | None = None
    env: dict[str, str] | None = None
    problem: str | None = None

    @classmethod
    def of(cls, server: McpServer, secrets: McpSecrets) -> Self:
        """A server as V1 shows it, its secrets masked."""
        is_process = server.server_type == "stdio"
        return cls(
            id=server.id,
            server_name=server.server_name,
            mcp_server_type=server.server_type,
            server_url=server.server_url,
            auth_header=server.auth_header,
            auth_token=masked(secrets.auth_token) if secrets.auth_token else None,
            custom_headers=_all_masked(secrets.custom_headers),
            command=server.command,
            args=server.args if is_process else None,
            env=_all_masked(secrets.env),
            problem=server.problem or None,
        )


def _all_masked(values: Mapping[str, str] | None) -> dict[str, str] | None:
    return {name: masked(value) for name, value in values.items()} if values is not None else None


class RefreshedToolsBody(BaseModel):
    """What a refresh changed, by the names of the tools."""

    added: list[str]
    updated: list[str]
    deleted: list[str]


class RunMcpToolBody(RequestBody):
    """V1's `ToolExecuteRequest`."""

    model_config = with_example(args={"city": "Oslo"})

    args: Json = Field(default_factory=dict)
