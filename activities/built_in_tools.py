"""Every built-in tool by its name, for turns and for the API to run."""

from typing import Any

from activities.built_in import BuiltIn
from activities.memory_tools import MEMORY_TOOLS
from activities.recall_tools import RECALL_TOOLS
from activities.web_tools import WEB_TOOLS

BUILT_IN_TOOLS: dict[str, BuiltIn[Any]] = MEMORY_TOOLS | RECALL_TOOLS | WEB_TOOLS
