"""What a worker does outside of transactions: which runner has which tool, who serves the API."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from temporalio.client import Client

from activities.requirements import Prepared, RequirementsInstaller
from activities.runners.custom_tools import CustomToolRunner, NetworkPolicy, SandboxUse
from activities.tool_requests import ToolRequests
from activities.worker_requests import Handler
from o.domain.agents import Agent
from o.domain.tools import StoredTool
from o.secrets import Keyring
from o.settings.all import Settings
from o.storage.database import Database
from o.storage.tools.variables import Variables
from o.storage.worker_requests import EMBED, INSTALL, RUN_TOOL
from o.tools.invocation import ToolRunner
from sandbox.choice import limits_of
from sandbox.egress.policy import AGENT_KEY, network_for
from sandbox.installer import Source
from sandbox.packages import Packages
from sandbox.protocol import Network, Sandbox
from server.worker.built_in_tools import built_in_runners
from server.worker.embedding import WorkerEmbedding
from server.worker.mcp import mcp_work
from server.worker.search_tools import search_runners


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
    embedding: WorkerEmbedding,
    *,
    slots: int,
) -> OutsideWork:
    """The runners and handlers of a worker.

    Args:
        settings: The operator's.
        client: For Temporal.
        database: Where tools and agents are.
        keyring: What variables of tools are encrypted with.
        sandbox: Where tools run that an organization wrote.
        embedding: The models that embed text.
        slots: How many steps and tools this worker has under way at once.
    """
    limits = limits_of(settings)
    use = SandboxUse(sandbox, limits, _network(settings), _packages(settings, sandbox))
    variables = Variables(keyring)
    mcp = mcp_work(settings, database, keyring)
    runners: dict[str, ToolRunner] = {
        **built_in_runners(
            settings,
            client,
            database,
            slots=slots,
            sandbox=sandbox,
            limits=limits,
            variables=variables,
        ),
        **search_runners(settings, database, embedding),
        "custom": CustomToolRunner(database, variables, use),
        "external_mcp": mcp.runner,
    }
    requests = ToolRequests(database, runners, enforce_block_limit=settings.enforces_block_limit)
    handlers: dict[str, Handler] = {
        RUN_TOOL: requests.run,
        INSTALL: RequirementsInstaller(database, use.packages).run,
        EMBED: embedding.embed_asked,
        **mcp.handlers,
    }
    return OutsideWork(runners, handlers)


def packages_folder(settings: Settings) -> Path:
    """Where requirements of tools are installed on this machine."""
    return settings.data_dir / "tool-packages"


def _network(settings: Settings) -> NetworkPolicy:
    def network(tool: StoredTool, agent: Agent | None) -> Network:
        own = agent.metadata.get(AGENT_KEY) if agent else None
        return network_for(settings, tool_hosts=tool.allowed_hosts, agent_hosts=own)

    return network


def _packages(settings: Settings, sandbox: Sandbox) -> Prepared:
    source = Source(settings.pip_index_url, str(settings.pip_find_links or ""))
    root = packages_folder(settings)

    async def prepared(requirements: Sequence[Mapping[str, Any]]) -> Path | None:
        # Which Python a sandbox has is known once it runs.
        packages = Packages(root, source, python=sandbox.state.python or "3.11")
        return await packages.prepared(requirements)

    return prepared
