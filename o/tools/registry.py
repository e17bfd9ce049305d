"""Every tool that comes with the server, by its name, in the order of lists."""

from o.tools.archival import ARCHIVAL_TOOLS
from o.tools.code import RUN_CODE
from o.tools.conversation import SEND
from o.tools.files import FILE_TOOLS
from o.tools.memory import BLOCK_TOOLS
from o.tools.memory_command import MEMORY_COMMAND
from o.tools.multi_agent import MULTI_AGENT_TOOLS
from o.tools.search import SEARCH_TOOLS
from o.tools.tool import RunElsewhere, Tool
from o.tools.web import WEB_TOOLS

BUILT_IN_TOOLS: dict[str, Tool] = {
    tool.spec.name: tool
    for tool in (
        SEND,
        *SEARCH_TOOLS,
        *BLOCK_TOOLS,
        *ARCHIVAL_TOOLS,
        MEMORY_COMMAND,
        *MULTI_AGENT_TOOLS,
        RUN_CODE,
        *WEB_TOOLS,
        *FILE_TOOLS,
    )
}


def only_reads(name: str) -> bool:
    """Whether calls of the tool by that name may run beside one another."""
    tool = BUILT_IN_TOOLS.get(name)
    return tool is not None and tool.only_reads


def runs_elsewhere(name: str) -> bool:
    """Whether the tool by that name comes with the server and is run by a `ToolRunner`."""
    return isinstance(BUILT_IN_TOOLS.get(name), RunElsewhere)


def refusal_of(name: str) -> str:
    """Why a tool that no runner is there for cannot be run, for the model to read."""
    tool = BUILT_IN_TOOLS.get(name)
    if isinstance(tool, RunElsewhere):
        return tool.refusal
    return f"This server cannot run {name}: it has nothing to run it in."
