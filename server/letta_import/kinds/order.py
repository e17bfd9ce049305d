"""All kinds, in the order in which they are moved: what others refer to comes first."""

from server.letta_import.kind import Kind
from server.letta_import.kinds.agent_files import AgentFiles
from server.letta_import.kinds.agents import Agents
from server.letta_import.kinds.archives import Archives
from server.letta_import.kinds.blocks import Blocks
from server.letta_import.kinds.conversations import Conversations
from server.letta_import.kinds.files import Files
from server.letta_import.kinds.folders import Folders
from server.letta_import.kinds.groups import Groups
from server.letta_import.kinds.identities import Identities
from server.letta_import.kinds.mcp_servers import McpServers
from server.letta_import.kinds.owners import Organizations, Users
from server.letta_import.kinds.passages import Passages
from server.letta_import.kinds.providers import Providers
from server.letta_import.kinds.runs import Runs
from server.letta_import.kinds.tools import Tools
from server.letta_import.kinds.variables import AgentVariables, SandboxConfigs, SandboxVariables

KINDS: tuple[Kind, ...] = (
    Organizations(),
    Users(),
    Providers(),
    McpServers(),
    Tools(),
    SandboxConfigs(),
    SandboxVariables(),
    Blocks(),
    Agents(),
    AgentVariables(),
    Archives(),
    Passages(),
    Folders(),
    Files(),
    AgentFiles(),
    Identities(),
    Groups(),
    Conversations(),  # an agent answers once its thread is here, and so all else that it has
    Runs(),
)

OPTIONAL = frozenset({"runs"})
"""Kinds that are moved only where they are asked for."""

ALWAYS = frozenset({"organizations", "users"})
"""Kinds that everything refers to: they are moved whatever is asked for."""
