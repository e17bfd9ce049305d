"""What a worker does outside of transactions: which runner has which tool, who serves the API."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from temporalio.client import Client

from activities.custom_tools import CustomToolRunner, NetworkPolicy, Prepared, SandboxUse
from activities.tool_requests import ToolRequests
from activities.worker_requests import Handler
from o.domain.agents import Agent
from o.domain.tools import StoredTool
from o.secrets import Keyring
from o.settings import Settings
from o.storage.database import Database
from o.storage.tool_variables import Variables
from o.storage.worker_requests import RUN_TOOL
from o.tools.invocation import ToolRunner
from sandbox.choice import limits_of
from sandbox.egress.policy import AGENT_KEY, network_for
from sandbox.installer import Source
from sandbox.packages import Packages
from sandbox.protocol import Network, Sandbox
from server.built_in_tools import built_in_runners
from server.mcp import mcp_work


@dataclass(frozen=True)
class OutsideWork:
    """What this worker does outside of transactions.

    Attributes:
        runners: Of tools, by the name of one that comes with the server, else by `tool_type`.
        handlers: Of what the API asks, by kind.
    """

    runners: Mapping[str, ToolRunner]
    handlers: Mapping[str, Handler]


def outside_work(
    settings: Settings,
    client: Client,
    database: Database,
    keyring: Keyring,
    sandbox: Sandbox,
    *,
    slots: int,
) -> OutsideWork:
    """The runners and handlers of a worker.

    Args:
        settings: The operator's.
        client: For Temporal.
        database: Where tools and agents are.
        keyring: What variables of tools are encrypted with.
        sandbox: Where tools run that an organisation wrote.
        slots: How many steps and tools this worker has under way at once.
    """
    limits = limits_of(settings)
    use = SandboxUse(sandbox, limits, _network(settings), _packages(settings, sandbox))
    mcp = mcp_work(settings, database, keyring)
    runners: dict[str, ToolRunner] = {
        **built_in_runners(settings, client, database, slots=slots, sandbox=sandbox, limits=limits),
        "custom": CustomToolRunner(database, Variables(keyring), use),
        "external_mcp": mcp.runner,
    }
    return OutsideWork(runners, {RUN_TOOL: ToolRequests(database, runners).run, **mcp.handlers})


def _network(settings: Settings) -> NetworkPolicy:
    def network(tool: StoredTool, agent: Agent | None) -> Network:
        own = agent.metadata.get(AGENT_KEY) if agent else None
        return network_for(settings, tool_hosts=tool.allowed_hosts, agent_hosts=own)

    return network


def _packages(settings: Settings, sandbox: Sandbox) -> Prepared:
    source = Source(settings.pip_index_url, str(settings.pip_find_links or ""))
    root = settings.data_dir / "tool-packages"

    async def prepared(requirements: Sequence[Mapping[str, Any]]) -> Path | None:
        # Which Python a sandbox has is known once it runs.
        packages = Packages(root, source, python=sandbox.state.python or "3.11")
        return await packages.prepared(requirements)

    return prepared
