"""From a stored server to what reaches it: its secrets decrypted, its headers put together."""

import re

from o.domain.mcp import McpSecrets, McpServer, McpTarget, mcp_secret_of
from o.errors import Conflict
from o.secrets import Keyring, SecretUnreadable

_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9._~+/-]* \S")


def read_secrets(server: McpServer, keyring: Keyring) -> McpSecrets:
    """What of a server is encrypted.

    Raises:
        Conflict: It cannot be decrypted here.
    """
    if server.secrets is None:
        return McpSecrets()
    try:
        text = keyring.decrypt(server.secrets, of=mcp_secret_of(server.id))
    except SecretUnreadable as error:
        raise Conflict(
            f"The token of the MCP server {server.server_name} cannot be read ({error}): "
            "set it again."
        ) from error
    return McpSecrets.model_validate_json(text)


def seal(server_id: str, secrets: McpSecrets, keyring: Keyring) -> str | None:
    """The encrypted column of a server's row; None where there is nothing to keep secret."""
    if secrets.is_empty:
        return None
    return keyring.encrypt(secrets.model_dump_json(), of=mcp_secret_of(server_id))


def target_of(server: McpServer, keyring: Keyring) -> McpTarget:
    """What reaches a stored server.

    Raises:
        Conflict: Its secrets cannot be decrypted here.
    """
    secrets = read_secrets(server, keyring)
    return McpTarget(
        id=server.id,
        name=server.server_name,
        server_type=server.server_type,
        url=server.server_url or "",
        headers=headers_of(server.auth_header, secrets),
        command=server.command or "",
        args=tuple(server.args),
        environment=dict(secrets.env or {}),
    )


def headers_of(auth_header: str | None, secrets: McpSecrets) -> dict[str, str]:
    """The headers of every request. A bare token in `Authorization` is a bearer token."""
    headers = dict(secrets.custom_headers or {})
    if secrets.auth_token:
        name = auth_header or "Authorization"
        bare = name.lower() == "authorization" and not _SCHEME.match(secrets.auth_token)
        headers = {key: value for key, value in headers.items() if key.lower() != name.lower()}
        headers[name] = f"Bearer {secrets.auth_token}" if bare else secrets.auth_token
    return headers
