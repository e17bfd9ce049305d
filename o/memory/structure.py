"""The tags that give the system prompt its form, and text that must not close them."""

import re
from functools import lru_cache

_TAGS = (
    "memory_blocks",
    "description",
    "metadata",
    "warning",
    "value",
    "tool_usage_rules",
    "memory_metadata",
    "available_skills",
)
_TAGS_OF_FILES = ("directories", "directory", "file_limits", "instructions", "file")


def inert(text: str, label: str | None = None) -> str:
    """The text with `&lt;` where it would close a tag of the prompt; as it is otherwise.

    Args:
        text: From a client, a model or a tool.
        label: The block that the text stands in, whose label is a tag as well.
    """
    if "</" not in text:
        return text
    return _closing(label).sub("&lt;", text)


def inert_in_files(text: str) -> str:
    """The same for what stands among an agent's folders, whose own tags it cannot open either."""
    if "<" not in text:
        return text
    return _OF_FILES.sub("&lt;", inert(text))


def tag_of(label: str) -> str:
    """The name of a block's tag: its label, on one line and without angle brackets."""
    return " ".join(label.splitlines()).replace("<", "&lt;").replace(">", "&gt;")


@lru_cache(maxsize=1_000)
def _closing(label: str | None) -> re.Pattern[str]:
    names = [*_TAGS] if label is None else [*_TAGS, label, tag_of(label)]
    return re.compile(rf"<(?=/\s*(?:{'|'.join(map(re.escape, names))})\s*>)", re.IGNORECASE)


_OF_FILES = re.compile(rf"<(?=/?\s*(?:{'|'.join(_TAGS_OF_FILES)})\b)", re.IGNORECASE)
