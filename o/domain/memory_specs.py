"""The tools that edit core memory, as models see them. `activities.memory_tools` runs them."""

from typing import Any

from o.domain.llm import ToolSpec

_LABEL = {
    "type": "string",
    "description": "Label of the memory block, as the system prompt shows it.",
}


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _spec(name: str, description: str, properties: dict[str, Any], required: list[str]) -> ToolSpec:
    parameters = {"type": "object", "properties": properties, "required": required}
    return ToolSpec(name=name, description=description, parameters=parameters)


MEMORY_INSERT = _spec(
    "memory_insert",
    "Insert text into a memory block, on a line of its own.",
    {
        "label": _LABEL,
        "new_string": _text("The text to insert."),
        "insert_line": {
            "type": "integer",
            "description": "Line after which the text goes: 0 is the top, -1 the end.",
            "default": -1,
        },
    },
    ["label", "new_string"],
)

_REPLACE = _spec(
    "memory_replace",
    "Replace one passage of a memory block. To delete it, replace it with an empty string.",
    {
        "label": _LABEL,
        "old_string": _text("The text to replace, exactly as it stands; it must occur once."),
        "new_string": _text("What stands there afterwards."),
    },
    ["label", "old_string", "new_string"],
)

_RETHINK = _spec(
    "memory_rethink",
    "Write a memory block anew, for changes that are too many for single edits. "
    "A block that does not exist is created.",
    {"label": _LABEL, "new_memory": _text("The whole new value of the block.")},
    ["label", "new_memory"],
)

_FINISH = _spec(
    "memory_finish_edits",
    "Say that memory is as it should be. Call it once, when no edit is left to make.",
    {},
    [],
)

_APPEND = _spec(
    "core_memory_append",
    "Add a line to the end of a memory block.",
    {"label": _LABEL, "content": _text("The text to add.")},
    ["label", "content"],
)

_CORE_REPLACE = _spec(
    "core_memory_replace",
    "Replace text in a memory block wherever it stands. To delete it, replace it with an empty "
    "string.",
    {
        "label": _LABEL,
        "old_content": _text("The text to replace, exactly as it stands."),
        "new_content": _text("What stands there afterwards."),
    },
    ["label", "old_content", "new_content"],
)

_PATCH = _spec(
    "memory_apply_patch",
    "Change memory blocks by a patch. For one block, give its label and hunks in the unified "
    "format: lines that start with a space stay, with '-' go, with '+' come, and '@@' parts the "
    "hunks. For several blocks, the patch holds sections that start with '*** Add Block: <label>', "
    "'*** Delete Block: <label>' or '*** Update Block: <label>'; below the last, "
    "'*** Move to: <label>' renames the block.",
    {"label": _LABEL, "patch": _text("The patch.")},
    ["label", "patch"],
)

_MEMORY = _spec(
    "memory",
    "Create, change, rename or delete memory blocks. A block's path is /memories/<label>.",
    {
        "command": {
            "type": "string",
            "enum": ["create", "str_replace", "insert", "delete", "rename"],
            "description": "What to do.",
        },
        "path": _text("The block. For rename, only to give it a new description."),
        "file_text": _text("create: the value of the new block."),
        "description": _text("create, rename: what the block is for."),
        "old_string": _text("str_replace: the text to replace; it must occur once."),
        "new_string": _text("str_replace: what stands there afterwards."),
        "insert_line": {
            "type": "integer",
            "description": "insert: line after which the text goes; 0 is the top, -1 the end.",
        },
        "insert_text": _text("insert: the text to insert."),
        "old_path": _text("rename: the block's path now."),
        "new_path": _text("rename: the block's path afterwards."),
    },
    ["command"],
)

MEMORY_TOOLS = (
    MEMORY_INSERT,
    _REPLACE,
    _RETHINK,
    _FINISH,
    _APPEND,
    _CORE_REPLACE,
    _PATCH,
    _MEMORY,
)
"""All of them; which an agent has follows from its type (`o.domain.loops.base_tools`)."""
