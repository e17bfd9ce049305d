"""MCP servers behind one door: what is listed and called, with limits for each server."""

import asyncio
import importlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

from o.domain.mcp import McpTarget, McpTool
from o.errors import McpFailed, Unavailable
from o.mcp import stdio
from o.outbound import OutboundGuard

_T = TypeVar("_T")
_ENDING_S = 5.0


class McpBusy(Unavailable):
    """As many sessions with one server as may be under way at once are."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Every call to the MCP server {name} that may be made at once is made.")


@dataclass(frozen=True)
class McpLimits:
    """What a server may take. Times are seconds, sizes bytes.

    Attributes:
        connect_s: To connect and to greet.
        list_s: To list all tools, behind that.
        call_s: For one call, behind that.
        at_once: Sessions with one server in this process.
        most: Of what it may send in one session.
    """

    connect_s: float = 10.0
    list_s: float = 30.0
    call_s: float = 60.0
    at_once: int = 16
    most: int = 8 * 1024 * 1024


@dataclass(frozen=True)
class _Phase:
    """A part of a session: the seconds it has, and the variable in which an operator sets them."""

    limit_s: float
    variable: str


class McpServers:
    """Asks servers. Each request has a session of its own, so that nothing is left behind.

    A server that hangs takes its own slots and nobody else's: whoever finds them taken is told at
    once. A session that does not end goes on in the background, for seconds, in its slot.
    """

    def __init__(
        self,
        guard: OutboundGuard,
        limits: McpLimits | None = None,
        spawn: stdio.Spawn | None = None,
    ) -> None:
        """Load nothing yet.

        Args:
            guard: Says which addresses may be reached.
            limits: What a server may take.
            spawn: Starts the processes of stdio servers; None where those are off.
        """
        self._guard = guard
        self._limits = limits or McpLimits()
        self._spawn = spawn or stdio.refuse
        self._under_way: Counter[str] = Counter()
        self._sessions: set[asyncio.Task[None]] = set()
        self._loaded: asyncio.Task[ModuleType] | None = None

    async def list_tools(self, target: McpTarget) -> list[McpTool]:
        """Every tool of a server.

        Raises:
            McpFailed: It cannot be reached, does not answer in time, or not as it should.
            McpBusy: Too many sessions with it are under way.
        """

        async def listing(session: Any) -> list[McpTool]:
            tools: list[McpTool] = await session.list_tools()
            return tools

        phase = _Phase(self._limits.list_s, "O_MCP_LIST_TIMEOUT_S")
        return await self._ask(target, listing, phase)

    async def call(
        self,
        target: McpTarget,
        name: str,
        arguments: Mapping[str, Any],
        before_sending: Callable[[], Awaitable[None]],
    ) -> tuple[bool, str]:
        """Call a tool: whether it went well, and what it says.

        Args:
            target: Whose tool.
            name: The server's own.
            arguments: By the server's own names.
            before_sending: Called once, when the server has been greeted.

        Raises:
            McpFailed: As for a list; before `before_sending` was called, nothing was sent.
            McpBusy: Too many sessions with it are under way.
            Exception: What `before_sending` raised: nothing was sent.
        """
        sent = False
        forbidden: Exception | None = None

        async def calling(session: Any) -> tuple[bool, str]:
            nonlocal sent, forbidden
            if not sent:
                sent = True
                try:
                    await before_sending()
                except Exception as error:
                    forbidden = error
                    raise
            returned: tuple[bool, str] = await session.call(name, arguments)
            return returned

        try:
            phase = _Phase(self._limits.call_s, "O_MCP_CALL_TIMEOUT_S")
            return await self._ask(target, calling, phase)
        except McpFailed:
            if forbidden is not None:  # it says nothing of the server
                raise forbidden from None
            raise

    async def close(self) -> None:
        """End what is under way."""
        for task in self._sessions:
            task.cancel()
        if self._sessions:
            await asyncio.wait(self._sessions, timeout=_ENDING_S)

    async def _ask(
        self, target: McpTarget, talk: Callable[[Any], Awaitable[_T]], behind: "_Phase"
    ) -> _T:
        """What comes of a talk with a server. The limits hold, whatever the session does."""
        package = await self._package()
        if self._under_way[target.id] >= self._limits.at_once:
            raise McpBusy(target.name)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[_T] = loop.create_future()
        phase = connecting = _Phase(self._limits.connect_s, "O_MCP_CONNECT_TIMEOUT_S")
        limit = asyncio.timeout(phase.limit_s)

        async def greeted(session: Any) -> _T:
            nonlocal phase
            if phase is connecting and not answer.done():
                phase = behind
                limit.reschedule(loop.time() + phase.limit_s)
            return await talk(session)

        self._under_way[target.id] += 1
        session = asyncio.create_task(self._converse(package, target, greeted, answer))
        self._sessions.add(session)
        session.add_done_callback(lambda task: self._ended(task, target.id))
        try:
            async with limit:
                return await answer
        except TimeoutError:
            within = f"{phase.limit_s:g} s ({phase.variable})"
            raise McpFailed(f"it did not answer within {within}") from None
        finally:
            if not answer.done() or answer.cancelled():
                session.cancel()

    async def _converse(
        self,
        package: ModuleType,
        target: McpTarget,
        talk: Callable[[Any], Awaitable[_T]],
        answer: "asyncio.Future[_T]",
    ) -> None:
        """Hold a session, and once more where the server has forgotten the first one."""
        failure = McpFailed("nothing was asked of it")
        for attempt in range(2):
            transport = package.new_transport(
                target, self._guard, connect_s=self._limits.connect_s, most=self._limits.most
            )
            try:
                async with (
                    asyncio.timeout(None) as farewell,
                    package.session_with(
                        target, transport, self._spawn, most=self._limits.most
                    ) as session,
                ):
                    found = await talk(session)
                    if not answer.done():
                        answer.set_result(found)
                    farewell.reschedule(asyncio.get_running_loop().time() + _ENDING_S)
                return
            except asyncio.CancelledError:
                raise
            except BaseException as error:  # of a foreign protocol, and groups of them
                failure = package.said(error, transport)
                if answer.done() or attempt or not package.is_expired(error):
                    break
        if not answer.done():
            answer.set_exception(failure)

    def _ended(self, session: "asyncio.Task[None]", server_id: str) -> None:
        self._sessions.discard(session)
        if not session.cancelled():
            session.exception()  # what came after the answer is nobody's
        self._under_way[server_id] -= 1
        if not self._under_way[server_id]:
            del self._under_way[server_id]

    async def _package(self) -> ModuleType:
        """What knows the `mcp` package: 55 MB and seconds, so loaded late, and in a thread."""
        if self._loaded is None or (self._loaded.done() and self._loaded.exception()):
            self._loaded = asyncio.create_task(
                asyncio.to_thread(importlib.import_module, "o.mcp.session")
            )
        return await asyncio.shield(self._loaded)
