"""Edits that an agent makes to the text of a block. Pure: text in, text out, or `ToolFailed`."""

import re

from o.errors import ToolFailed

LINE_NUMBER_BANNER = (
    "# The line numbers and arrows are for orientation; they are no part of the block."
)
"""Stands above blocks that are shown with line numbers (`o.memory.prompt`)."""

# Of the blanks before the number only those of its own line are looked at: what could go over line
# ends would be tried from each of them to the last, and 100,000 empty lines would take an hour.
_LINE_NUMBER = re.compile(r"^[^\S\n]*\d+→", re.MULTILINE)


def insert(value: str, new_string: str, insert_line: int = -1) -> str:
    """`value` with `new_string` put in after line `insert_line`; 0 is the top, -1 the end.

    Raises:
        ToolFailed: The line does not exist, or the text carries line numbers of the display.
    """
    refuse_line_numbers(new_string)
    lines = _plain(value).split("\n") if value else []
    if insert_line == -1:
        insert_line = len(lines)
    if not 0 <= insert_line <= len(lines):
        raise ToolFailed(
            f"insert_line {insert_line} is out of range: the block has {len(lines)} lines, "
            f"so use 0 to {len(lines)}, or -1 for the end."
        )
    added = _plain(new_string).split("\n")
    return "\n".join(lines[:insert_line] + added + lines[insert_line:])


def replace(value: str, old_string: str, new_string: str) -> str:
    """`value` with the one occurrence of `old_string` replaced. Tabs count as spaces.

    Lines may end as in Windows; they end in line feeds alone afterwards.

    Raises:
        ToolFailed: `old_string` is empty, absent or ambiguous, or carries line numbers.
    """
    refuse_line_numbers(old_string, new_string)
    value, old, new = _plain(value), _plain(old_string), _plain(new_string)
    if not old:
        raise ToolFailed("old_string is empty: quote the text to replace, or insert text instead.")
    found = value.count(old)
    if found == 0:
        raise ToolFailed("old_string was not found in the block: quote it exactly as it stands.")
    if found > 1:
        lines = [n for n, line in enumerate(value.split("\n"), start=1) if old in line]
        where = f" (on lines {', '.join(map(str, lines))})" if lines else ""
        raise ToolFailed(
            f"old_string occurs {found} times{where}: quote more of the text around it."
        )
    return value.replace(old, new)


def append(value: str, content: str) -> str:
    """`value` with `content` on a new line at its end, as V1's `core_memory_append` does."""
    refuse_line_numbers(content)
    return f"{value}\n{content}" if value else content


def replace_all(value: str, old_content: str, new_content: str) -> str:
    """`value` with every `old_content` replaced, as V1's `core_memory_replace` does.

    Raises:
        ToolFailed: `old_content` is empty or absent, or carries line numbers.
    """
    refuse_line_numbers(old_content, new_content)
    if not old_content or old_content not in value:
        raise ToolFailed(f"Old content {old_content!r} was not found in the block.")
    return value.replace(old_content, new_content)


def rethink(new_memory: str) -> str:
    """The whole new value of a block.

    Raises:
        ToolFailed: It carries line numbers of the display.
    """
    refuse_line_numbers(new_memory)
    return new_memory


def with_plain_ends(text: str) -> str:
    """The text with line feeds alone at the ends of lines: models see no others."""
    return text.replace("\r\n", "\n")


def _plain(text: str) -> str:
    return with_plain_ends(text).expandtabs()


def refuse_line_numbers(*texts: str) -> None:
    """Refuse text that was copied with what the display adds.

    Raises:
        ToolFailed: A line starts with a number and an arrow, or the banner is there.
    """
    for text in texts:
        if LINE_NUMBER_BANNER in text or _LINE_NUMBER.search(text):
            raise ToolFailed(
                "The text holds line numbers such as '1→' or the banner above them. They belong "
                "to the display, not to the block: leave them out."
            )
