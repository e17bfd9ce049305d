"""The tools that every agent can have without code of its own."""

from o.domain.llm import ToolSpec

_LABEL = {
    "type": "string",
    "description": "Label of the memory block, as the system prompt shows it.",
}

MEMORY_INSERT = ToolSpec(
    name="memory_insert",
    description="Insert text into a memory block, on a line of its own.",
    parameters={
        "type": "object",
        "properties": {
            "label": _LABEL,
            "new_string": {"type": "string", "description": "The text to insert."},
            "insert_line": {
                "type": "integer",
                "description": "Line after which the text goes: 0 is the top, -1 the end.",
                "default": -1,
            },
        },
        "required": ["label", "new_string"],
    },
)

MEMORY_REPLACE = ToolSpec(
    name="memory_replace",
    description=(
        "Replace one passage of a memory block. To delete it, replace it with an empty string."
    ),
    parameters={
        "type": "object",
        "properties": {
            "label": _LABEL,
            "old_string": {
                "type": "string",
                "description": "The text to replace, exactly as it stands; it must occur once.",
            },
            "new_string": {"type": "string", "description": "What stands there afterwards."},
        },
        "required": ["label", "old_string", "new_string"],
    },
)

CONVERSATION_SEARCH = ToolSpec(
    name="conversation_search",
    description="Search everything that was said in earlier messages, also what is out of view.",
    parameters={
        "type": "object",
        "properties": {
            "query": {
                "type": "string",
                "description": "Text that the messages must hold; upper and lower case are alike.",
            },
            "roles": {
                "type": "array",
                "items": {"type": "string", "enum": ["assistant", "user", "tool"]},
                "description": "Only messages from these roles. All when left out.",
            },
            "limit": {"type": "integer", "description": "How many at most.", "default": 5},
            "start_date": {
                "type": "string",
                "description": "Earliest day or time, ISO 8601, in your time zone.",
            },
            "end_date": {
                "type": "string",
                "description": "Latest day or time, ISO 8601; a bare day counts whole.",
            },
        },
        "required": [],
    },
)

BASE_TOOLS = {tool.name: tool for tool in (CONVERSATION_SEARCH, MEMORY_INSERT, MEMORY_REPLACE)}
