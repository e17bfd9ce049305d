"""Calls of tools that work outside this server's transactions: custom ones, MCP, web, agents."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from o.domain.agents import Agent
from o.domain.blocks import Block
from o.domain.tool_variables import ToolVariable
from o.domain.tools import StoredTool


@dataclass(frozen=True)
class Invocation:
    """One call, with all that it takes to make it.

    Attributes:
        name: As the model called it.
        arguments: A JSON object, parsed.
        tool: The row; None for a tool that comes with the server.
        agent: Who calls; None where a client runs a tool by itself.
        run_id: Of the turn; empty outside one.
        environment: Variables that come with the call, beside those that are stored.
        variables: Those that are stored, as they are stored, where they were read with the call.
        blocks: The agent's, as it sees them, where they were read with the call.
        idempotency_key: The same for every attempt at this call, and for no other call.
    """

    organization_id: str
    name: str
    arguments: Mapping[str, Any]
    idempotency_key: str
    tool: StoredTool | None = None
    agent: Agent | None = None
    run_id: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    variables: Sequence[ToolVariable] | None = None
    blocks: Sequence[Block] | None = None


@dataclass(frozen=True)
class EditedBlock:
    """A block that the tool changed, and the version that it had read."""

    label: str
    value: str
    version: int
    id: str = ""


@dataclass(frozen=True)
class Returned:
    """What came of a call.

    Attributes:
        content: The return, or the words of the error, for the model to read.
        may_have_run: Whether it is unknown how far the call came.
        hosts: Which hosts it asked for.
    """

    status: Literal["success", "error"]
    content: str
    stdout: Sequence[str] = ()
    stderr: Sequence[str] = ()
    edits: Sequence[EditedBlock] = ()
    hosts: Sequence[str] = ()
    may_have_run: bool = False


class ToolRunner(Protocol):
    """Runs the calls of one kind of tool. No transaction is open and no lock held meanwhile."""

    def repeats_safely(self, call: Invocation) -> bool:
        """Whether a call that may have been sent before can be sent again."""

    async def run(
        self, call: Invocation, *, before_sending: Callable[[], Awaitable[None]]
    ) -> Returned:
        """Make a call. What goes wrong inside the tool is returned, not raised.

        Args:
            call: What to run.
            before_sending: Called once, before anything can have an effect: it records that the
                call may have run from now on.

        Raises:
            ToolFailed: It was not made at all, in words for the model.
            Exception: Nothing was sent where `before_sending` was not called; it is tried again.
        """
