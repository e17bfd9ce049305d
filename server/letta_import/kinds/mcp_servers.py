"""MCP servers with their tokens, headers and variables."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from o.domain.mcp import McpSecrets, mcp_secret_of
from o.letta.secrets import V1Secret
from server.letta_import.kind import Context, Item, LeftOut
from server.letta_import.kinds.owners import FLAGGED, LIVE_OWNER, NO_OWNER
from server.letta_import.kinds.sealing import (
    marked,
    object_in,
    outside_jsonb,
    sealed,
    secret_in,
    secrets_here,
    sendable,
    told_of,
    unsent,
)
from server.letta_import.kinds.table_kind import TableKind, stamps, taken_names
from server.letta_import.source import Row

_SECRETS = ("token", "token_enc", "custom_headers", "custom_headers_enc", "stdio_config")
_ROWS = f"""
    SELECT t.id, t.server_name, t.server_type, t.server_url, t.stdio_config, t.organization_id,
        t.is_deleted, t.created_at, t.updated_at, t._created_by_id, t._last_updated_by_id,
        t.token, t.token_enc, t.custom_headers::text AS custom_headers, t.custom_headers_enc,
        {LIVE_OWNER.format("t")} AS has_owner,
        CASE WHEN {outside_jsonb("t")} THEN md5(jsonb_build_array(t.server_name, t.server_type,
            t.server_url, t.updated_at, t.is_deleted, t.metadata_::text)::text)
        ELSE md5((to_jsonb(t) - 'token' - 'custom_headers' - 'token_enc' - 'custom_headers_enc'
            - 'stdio_config')::text || jsonb_build_array(length(t.token), length(t.token_enc),
            length(t.custom_headers::text), length(t.custom_headers_enc),
            length(t.stdio_config::text))::text) END AS digest
    FROM mcp_server AS t ORDER BY t.id
"""
_HERE = """
    SELECT id, organization_id, server_name FROM mcp_servers
    WHERE organization_id = ANY(%(owners)s)
"""
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,200}")
_TYPES = {"streamable_http", "sse", "stdio"}
TAKEN = "one by its name is here already, and is used"
NO_ADDRESS = "it has neither an address nor a command"


class McpServers(TableKind):
    """MCP servers. None of them is asked for anything; their tools are moved as tools."""

    name = "mcp_servers"
    table = "mcp_server"
    here_table = "mcp_servers"
    content = ("server_name", "server_type", "server_url", "command", "args", "secrets")
    needs: ClassVar = {
        "mcp_server": (
            *("id", "server_name", "server_type", "server_url", "organization_id", "is_deleted"),
            *("created_at", "updated_at", "_created_by_id", "_last_updated_by_id", *_SECRETS),
        ),
    }

    def read(self, context: Context) -> Iterator[Item | LeftOut]:
        """Each with what is secret of it, as far as it can be read."""
        for rows in context.source.batches(_ROWS):
            taken = taken_names(context, "mcp_servers", "server_name", rows, named="server_name")
            here = secrets_here(context, "mcp_servers", ("secrets",), rows)
            for row in rows:
                if reason := _why_left(row, taken):
                    yield LeftOut(self.table, reason, id=None if row["is_deleted"] else row["id"])
                else:
                    yield _item(context, row, here.get(row["id"], {}).get("secrets"))


def _why_left(row: Row, taken: set[str]) -> str | None:
    if row["is_deleted"]:
        return FLAGGED
    if not row["has_owner"]:
        return NO_OWNER
    if row["id"] in taken:
        return TAKEN
    if row["server_type"] not in _TYPES:
        return f"its type {row['server_type'][:50]} is not known here"
    config = object_in(row["stdio_config"])
    named = config.get("command") if row["server_type"] == "stdio" else row["server_url"]
    return None if named else NO_ADDRESS


def _item(context: Context, row: Row, here: str | None) -> Item:
    config = object_in(row["stdio_config"])
    token = secret_in(context, row, "token")
    headers = secret_in(context, row, "custom_headers")
    lost = [] if here else [token, headers]
    told = [
        line
        for name, one in zip(("token", "custom_headers"), lost, strict=False)
        for line in told_of(name, one, "give it again to the MCP server")
    ]
    if row["server_type"] == "stdio":
        told.append("a process on the machine: it runs where the operator has set O_MCP_STDIO=1")
    told += unsent("token", token)
    named = _headers(headers)
    sent = {name: value for name, value in named.items() if _is_header(name, value)}
    if len(sent) < len(named):
        told.append("headers of it that cannot be sent are left out")
    secrets = McpSecrets(
        auth_token=sendable(token.text),
        custom_headers=sent or None,
        env=_texts(config.get("env")) or None,
    )
    of = mcp_secret_of(row["id"])
    kept = None if secrets.is_empty else sealed(context, secrets.model_dump_json(), of=of)
    if here and (token.trouble or headers.trouble):
        kept = here  # an earlier run could read all of it
    return Item(
        id=row["id"],
        organization_id=row["organization_id"],
        digest=marked(row["digest"], *lost),
        tables={"mcp_server": 1},
        rows={"mcp_servers": [_row(row, config, kept)]},
        told=told,
    )


def _row(row: Row, config: dict[str, Any], secrets: str | None) -> dict[str, Any]:
    args = config.get("args")
    is_process = row["server_type"] == "stdio"
    return {
        "id": row["id"],
        "organization_id": row["organization_id"],
        "server_name": row["server_name"],
        "server_type": row["server_type"],
        "server_url": None if is_process else row["server_url"],
        "command": str(config.get("command")) if is_process else None,
        "args": [str(one) for one in args] if is_process and isinstance(args, list) else [],
        "secrets": secrets,
        **stamps(row),
    }


def _headers(secret: V1Secret) -> dict[str, str]:
    """V1 keeps them as a JSON object in a text."""
    try:
        return _texts(json.loads(secret.text or "null"))
    except (ValueError, RecursionError):
        return {}


def _is_header(name: str, value: str) -> bool:
    """Whether it can be sent; V1 sends what is not ASCII in UTF-8, and so does O."""
    return bool(_HEADER.fullmatch(name)) and value.isprintable()


def _texts(found: Any) -> dict[str, str]:
    return {str(k): str(v) for k, v in object_in(found).items() if v is not None}


def server_ids(context: Context, rows: Sequence[Row]) -> dict[str, str]:
    """By V1's id of an MCP server, the one that has its place here.

    Args:
        context: The two databases.
        rows: Of `mcp_server`: `id`, `organization_id`, `server_name`, `is_deleted`.
    """
    found = context.target.query(_HERE, {"owners": list({row["organization_id"] for row in rows})})
    by_name = {(one["organization_id"], one["server_name"]): one["id"] for one in found}
    here = {one["id"] for one in found}
    ids = {}
    for row in rows:
        same = by_name.get((row["organization_id"], row["server_name"]))
        if row["id"] in here or (same is None and context.is_dry and not row["is_deleted"]):
            ids[row["id"]] = row["id"]
        elif same is not None:
            ids[row["id"]] = same
    return ids
