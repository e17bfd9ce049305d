"""MCP servers as clients ask for them: rows with encrypted secrets, and their tools."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from api.wire.mcp import CreateMcpServerBody, McpServerBody, UpdateMcpServerBody
from api.worker_requests import WorkerRequests
from o.domain.actors import Actor
from o.domain.mcp import McpSecrets, McpServer, McpTool
from o.errors import Conflict, InvalidArgument, InvalidInput, McpFailed, Unavailable
from o.ids import new_id
from o.mcp.targets import read_secrets, seal
from o.mcp.tools import ToolChanges, changes_of_tools
from o.outbound import OutboundGuard
from o.secrets import Keyring
from o.settings.all import Settings
from o.storage.database import Database
from o.storage.organizations.audit import put_on_record
from o.storage.tools import mcp_servers as stored
from o.storage.worker_requests import LIST_MCP_TOOLS
from o.tools.registry import BUILT_IN_TOOLS

_SPARE_S = 10.0
_ATTEMPTS = 3
_STDIO_OFF = (
    "MCP servers over stdio are processes on the server's machine, and off: an operator turns them "
    "on with O_MCP_STDIO=1."
)

_LISTS_NONE = (
    "Its list of tools is empty, and {} of them are here: they stay. Delete those that are to go, "
    "or the server."
)


class McpBook:
    """Reads and changes an organization's MCP servers."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        workers: WorkerRequests,
        guard: OutboundGuard,
        settings: Settings,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._workers = workers
        self._guard = guard
        self._settings = settings

    def shown(self, server: McpServer) -> McpServerBody:
        """A server as clients see it. One whose secrets cannot be read any more shows none."""
        try:
            secrets = read_secrets(server, self._keyring)
        except Conflict as error:
            server = server.model_copy(update={"problem": error.message})
            secrets = McpSecrets()
        return McpServerBody.of(server, secrets)

    async def create(self, actor: Actor, body: CreateMcpServerBody) -> McpServer:
        """Store a new server, and list its tools. It is there even where that fails.

        Raises:
            InvalidArgument: It is a process, and those are off.
            InvalidInput: Its address is refused.
            Conflict: The organization has one by that name.
        """
        new = self._sealed(actor, body)
        await self.check(new.server_type, new.server_url)
        async with self._database.begin() as connection:
            await stored.add_mcp_server(connection, new)
            await put_on_record(connection, actor, "mcp_create_mcp_server", new.id)
        await self.try_refresh(actor, new.id)
        async with self._database.connect() as connection:
            return await stored.get_mcp_server(connection, actor, new.id)

    async def change(self, actor: Actor, server_id: str, body: UpdateMcpServerBody) -> McpServer:
        """Change a server. Its tools stay as they are until it is refreshed.

        A token and headers go to the origin that they were given for and to no other: where the
        address gets another one, those that do not come with it are dropped.

        Raises:
            NotFound: There is none.
            InvalidArgument: It is to be a process, and those are off.
            InvalidInput: Its address is refused, or something is missing that its type needs.
            Conflict: The new name is taken.
        """
        not_columns = {"mcp_server_type", *McpSecrets.model_fields}
        given = body.config.model_dump(exclude_unset=True, exclude=not_columns)
        changes: dict[str, Any] = {
            name: value
            for name, value in given.items()
            if value is not None or name == "auth_header"
        }
        async with self._database.connect() as connection:
            old = await stored.get_mcp_server(connection, actor, server_id)
        changes["server_type"] = body.config.mcp_server_type or old.server_type
        url = changes.get("server_url", old.server_url)
        command = changes.get("command", old.command)
        if not (command if changes["server_type"] == "stdio" else url):
            raise InvalidInput(f"config: a server of type {changes['server_type']} needs more.")
        await self.check(changes["server_type"], changes.get("server_url"))
        if body.server_name is not None:
            changes["server_name"] = body.server_name
        async with self._database.begin() as connection:
            server = await stored.get_mcp_server(connection, actor, server_id, lock=True)
            try:
                old_secrets = read_secrets(server, self._keyring)
            except Conflict:
                old_secrets = McpSecrets()  # those that are given now replace them
            kept = old_secrets
            if _has_moved(server.server_url, changes.get("server_url")):
                body.check_no_mask(old_secrets)
                kept = McpSecrets(env=old_secrets.env)  # the others were for somebody else
            secrets = body.new_secrets(kept)
            if secrets != old_secrets:
                changes["secrets"] = seal(server_id, secrets, self._keyring)
            await put_on_record(connection, actor, "mcp_update_mcp_server", server_id)
            return await stored.change_mcp_server(connection, actor, server_id, changes)

    async def tools_of(self, actor: Actor, body: CreateMcpServerBody) -> list[McpTool]:
        """What a server that is not stored lists.

        Raises:
            InvalidArgument: It is a process, and those are off.
            InvalidInput: Its address is refused.
            McpFailed: It could not be asked.
            Unavailable: No worker could be asked.
        """
        new = self._sealed(actor, body)
        await self.check(new.server_type, new.server_url)
        return await self._listed(actor, {"server": new.model_dump(mode="json")})

    async def try_refresh(self, actor: Actor, server_id: str) -> None:
        """Ask a server for its tools; where that fails, its row says why."""
        with suppress(McpFailed, Unavailable):
            await self.refresh(actor, server_id)

    async def refresh(self, actor: Actor, server_id: str) -> ToolChanges:
        """Ask a server for its tools, and make the rows the same.

        Raises:
            NotFound: There is none.
            McpFailed: It could not be asked, or lists none where it had some; its row says why.
            Unavailable: No worker could be asked.
        """
        async with self._database.connect() as connection:
            await stored.get_mcp_server(connection, actor, server_id)
        try:
            return await self._refresh(actor, server_id)
        except (McpFailed, Unavailable) as error:
            async with self._database.begin() as connection:
                await stored.change_mcp_server(
                    connection, actor, server_id, {"problem": error.message[:2_000]}
                )
            raise

    async def list_tools(self, actor: Actor, server_id: str) -> list[McpTool]:
        """What a stored server lists now, which changes nothing here.

        Raises:
            NotFound: There is none.
            McpFailed: It could not be asked.
            Unavailable: No worker could be asked.
        """
        return await self._listed(actor, {"server_id": server_id})

    async def _refresh(self, actor: Actor, server_id: str) -> ToolChanges:
        listed = await self.list_tools(actor, server_id)
        for attempt in range(_ATTEMPTS):
            try:
                async with self._database.begin() as connection:
                    return await self._put_tools(connection, actor, server_id, listed)
            except IntegrityError:  # somebody has just taken one of the names
                if attempt + 1 == _ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    async def _listed(self, actor: Actor, which: dict[str, Any]) -> list[McpTool]:
        answer = await self._workers.ask(
            actor.organization_id,
            LIST_MCP_TOOLS,
            which,
            timeout_s=self._settings.mcp_connect_timeout_s
            + self._settings.mcp_list_timeout_s
            + _SPARE_S,
        )
        return [McpTool(**tool) for tool in answer["tools"]]

    async def check(self, server_type: str, url: str | None) -> None:
        """See that a server may be of this type, and at this address, where it has one.

        Raises:
            InvalidArgument: It is a process, and those are off.
            InvalidInput: Its address is refused.
        """
        if server_type == "stdio" and not self._settings.mcp_stdio:
            raise InvalidArgument(_STDIO_OFF)
        if url and (refusal := await self._guard.refusal(url)) is not None:
            raise InvalidInput(f"config.server_url: {refusal}")

    def _sealed(self, actor: Actor, body: CreateMcpServerBody) -> McpServer:
        """The row of a new server, its secrets encrypted."""
        config = body.config
        now = datetime.now(UTC)
        server_id = new_id("mcp_server")
        given = config.model_dump(exclude={"mcp_server_type"})
        secrets = McpSecrets(
            **{name: given.pop(name) for name in McpSecrets.model_fields if name in given}
        )
        return McpServer(
            id=server_id,
            organization_id=actor.organization_id,
            server_name=body.server_name,
            server_type=config.mcp_server_type,
            secrets=seal(server_id, secrets, self._keyring),
            created_at=now,
            updated_at=now,
            created_by_id=actor.user_id,
            last_updated_by_id=actor.user_id,
            **given,
        )

    async def _put_tools(
        self, connection: AsyncConnection, actor: Actor, server_id: str, listed: list[McpTool]
    ) -> ToolChanges:
        server = await stored.get_mcp_server(connection, actor, server_id, lock=True)
        rows = await stored.list_server_tools(connection, actor, server_id, lock=True)
        if rows and not listed:
            # A server that is only starting says so too, and agents would lose them for good.
            raise McpFailed(_LISTS_NONE.format(len(rows)))
        taken = await stored.names_of_other_tools(connection, actor, server_id)
        changes = changes_of_tools(server, actor, listed, rows, taken | BUILT_IN_TOOLS.keys())
        await stored.put_server_tools(connection, [*changes.added, *changes.updated])
        await stored.delete_server_tools(connection, actor, changes.deleted)  # locks agents, too
        await stored.change_mcp_server(
            connection, actor, server_id, {"problem": "", "synced_at": datetime.now(UTC)}
        )
        return changes


def _has_moved(old: str | None, new: str | None) -> bool:
    """Whether a new address has another origin than the old one."""
    return new is not None and (old is None or _origin(old) != _origin(new))


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
