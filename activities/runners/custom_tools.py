"""Runs the tools that an organization wrote, in a sandbox."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from activities.requirements import Prepared
from activities.runners.outside_calls import MAY_HAVE_RUN
from activities.runners.sandboxed import run_in_sandbox
from o.domain.agents import Agent
from o.domain.blocks import Block
from o.domain.text import cut
from o.domain.tools import StoredTool
from o.errors import ToolFailed
from o.storage.agents.thread_blocks import list_seen_blocks
from o.storage.database import Database
from o.storage.tools.tools import note_problem
from o.storage.tools.variables import Variables
from o.tools.entry import entry_of
from o.tools.invocation import EditedBlock, Invocation, Returned
from o.tools.returns import Redaction, text_of
from sandbox.protocol import (
    Job,
    JobResult,
    Limits,
    Network,
    Sandbox,
    SandboxLost,
)

NetworkPolicy = Callable[[StoredTool, Agent | None], Network]


@dataclass(frozen=True)
class SandboxUse:
    """How custom tools use the sandbox of this worker."""

    sandbox: Sandbox
    limits: Limits
    network: NetworkPolicy
    packages: Prepared


class CustomToolRunner:
    """Runs custom tools. The source goes into the sandbox and is run nowhere else."""

    def __init__(self, database: Database, variables: Variables, use: SandboxUse) -> None:
        self._database = database
        self._variables = variables
        self._use = use

    def repeats_safely(self, call: Invocation) -> bool:
        """Whether the tool says that a second call does no harm."""
        return call.tool is not None and call.tool.is_idempotent

    async def run(
        self, call: Invocation, *, before_sending: Callable[[], Awaitable[None]]
    ) -> Returned:
        """Run a call in a sandbox of its own; see `o.tools.invocation.ToolRunner`."""
        tool = _runnable(call)
        packages = await self._packages(tool)
        secrets = await self._secrets(call)
        job, blocks = await self._job(call, tool, secrets, packages)
        redaction = Redaction(secrets)
        try:
            result = await run_in_sandbox(self._use.sandbox, job, before_sending, what="The tool")
        except SandboxLost:
            return Returned("error", MAY_HAVE_RUN, may_have_run=True)
        return _returned(result, tool, redaction, blocks)

    async def _packages(self, tool: StoredTool) -> Path | None:
        """What the tool requires, installed; whether that went well is kept with the tool.

        Raises:
            ToolFailed: It cannot be had.
        """
        if not tool.pip_requirements:
            return None
        try:
            folder = await self._use.packages(tool.pip_requirements)
        except ToolFailed as error:
            await self._note(tool, error.message)
            raise
        await self._note(tool, "")
        return folder

    async def _note(self, tool: StoredTool, problem: str) -> None:
        if problem != tool.problem:
            async with self._database.connect() as connection:
                await note_problem(connection, tool.id, problem)

    async def _secrets(self, call: Invocation) -> dict[str, str]:
        """What the tool's environment holds that nobody is to read in its return."""
        found = await self._variables.of_invocation(self._database, call)
        return {**found, **call.environment}

    async def _job(
        self,
        call: Invocation,
        tool: StoredTool,
        secrets: Mapping[str, str],
        packages: Path | None,
    ) -> tuple[Job, dict[str, str]]:
        """The job, and the ids of the agent's blocks by label."""
        source = str(tool.source_code)
        entry = await entry_of(source, tool.name)
        state, ids = None, {}
        if entry.takes_state and call.agent is not None:
            blocks = await self._blocks(call, call.agent, was_installed=bool(packages))
            ids = {block.label: block.id for block in blocks}
            shown = {"label", "value", "limit", "read_only", "version", "description"}
            state = {
                "id": call.agent.id,
                "name": call.agent.name,
                "blocks": [block.model_dump(mode="json", include=shown) for block in blocks],
            }
        job = Job(
            id=call.idempotency_key,
            source=source,
            function=entry.function,
            arguments=call.arguments,
            environment={**secrets, **_told(call, tool)},
            agent_state=state,
            agent_id=call.agent.id if call.agent else "",
            organization_id=call.organization_id,
            idempotency_key=call.idempotency_key,
            packages=packages,
            limits=self._use.limits,
            network=self._use.network(tool, call.agent),
        )
        return job, ids

    async def _blocks(
        self, call: Invocation, agent: Agent, *, was_installed: bool
    ) -> Sequence[Block]:
        """What the tool sees of memory: as it is now, where packages may have taken their time."""
        if call.blocks is not None and not was_installed:
            return call.blocks
        async with self._database.connect() as connection:
            return await list_seen_blocks(connection, agent)


def _runnable(call: Invocation) -> StoredTool:
    """The tool, when something can be run.

    Raises:
        ToolFailed: And why not.
    """
    tool = call.tool
    if tool is None or not tool.source_code:
        raise ToolFailed(f"{call.name} has no source code that could be run.")
    if tool.source_type != "python":
        raise ToolFailed(
            f"{call.name} is written in {tool.source_type}, and this server has no runner for "
            "that: it runs Python. Write the tool in Python to have it run here."
        )
    return tool


def _told(call: Invocation, tool: StoredTool) -> dict[str, str]:
    """What V1 tells a tool of its call, beside what every job is told (`sandbox.frames`)."""
    told = {"LETTA_TOOL_ID": tool.id}
    if call.agent is not None and call.agent.project_id:
        told["LETTA_PROJECT_ID"] = call.agent.project_id
    return told


def _returned(
    result: JobResult, tool: StoredTool, redaction: Redaction, blocks: Mapping[str, str]
) -> Returned:
    failure = result.failure
    content = text_of(result.result) if failure is None else failure.message
    return Returned(
        status="success" if failure is None else "error",
        content=cut(redaction.text(content), tool.return_char_limit),
        stdout=[redaction.text(result.stdout)] if result.stdout else [],
        stderr=[redaction.text(result.stderr)] if result.stderr else [],
        edits=[
            EditedBlock(
                edit.label, redaction.text(edit.value), edit.version, blocks.get(edit.label, "")
            )
            for edit in result.block_edits
        ],
        hosts=list(result.hosts),
    )
