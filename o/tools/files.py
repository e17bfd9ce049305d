"""The built-in tools by which an agent reads the files of its folders.

What is open stands in the prompt: `open_files` says what is, and is a tool of memory. The others
only read, outside of transactions: a `ToolRunner` runs them.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import from_json

from o.domain.files.directories import FileRequest, OpenedFile, OpenedFiles
from o.domain.llm import ToolSpec
from o.errors import ToolFailed
from o.tools.tool import Arguments, BuiltIn, Caller, RunElsewhere, Tool, integer, schema, string

OPEN_FILES = "open_files"
GREP_FILES = "grep_files"
SEARCH_FILES = "semantic_search_files"
FILE_TOOL_NAMES = (OPEN_FILES, GREP_FILES, SEARCH_FILES)

GREP_PAGE = 20
"""Matches that one call shows, as in V1."""

_TYPE = "letta_files_core"
_NOT_HERE = "Nothing was searched: this process has no access to what is stored."
_MAX_LINE = 1 << 30

_OPEN = ToolSpec(
    name=OPEN_FILES,
    tool_type=_TYPE,
    description="Open files, so that their lines stand in the directories part of your prompt, "
    "from your next step on. <file_limits> says how many can be open; those that you used longest "
    "ago are closed for others. Opening a file again shows other lines of it.",
    parameters=schema(
        {
            "file_requests": {
                "type": "array",
                "items": schema(
                    {
                        "file_name": string(
                            "The file's name as your prompt lists it, such as handbook/zoo.txt."
                        ),
                        "offset": integer("Lines to leave out at the beginning; none by default."),
                        "length": integer(
                            "Lines to show; as many as there is room for by default."
                        ),
                    },
                    ["file_name"],
                ),
                "description": "The files, and which lines of each.",
            },
            "close_all_others": {
                "type": "boolean",
                "description": "Close all other files. False by default.",
                "default": False,
            },
        },
        ["file_requests"],
    ),
)

_GREP = ToolSpec(
    name=GREP_FILES,
    tool_type=_TYPE,
    description="Search the lines of all your files, open or not, for a word or a regular "
    f"expression (RE2 syntax: no lookaround, no backreferences). Shows {GREP_PAGE} matches a call, "
    "and says with which offset to go on.",
    parameters=schema(
        {
            "pattern": string(
                "A word or a regular expression, which lines are searched for. Case does not "
                "matter; it does behind (?-i)."
            ),
            "include": string(
                "Only files with such names: a part of the name, *.md and the like, or a regular "
                "expression."
            ),
            "context_lines": integer("Lines to show before and after each match.", default=1),
            "offset": integer("Matches to pass over, to see later ones.", default=0),
        },
        ["pattern"],
    ),
)

_SEARCH = ToolSpec(
    name=SEARCH_FILES,
    tool_type=_TYPE,
    description="Search all your files, open or not, by meaning and by words. What fits best "
    "comes first.",
    parameters=schema(
        {
            "query": string("What to look for: a question, or words."),
            "limit": integer("How many passages at most.", default=5),
        },
        ["query"],
    ),
)


def with_file_tools(names: Sequence[str]) -> list[str]:
    """The tools of an agent that is given its first folder, as in V1."""
    return [*names, *(name for name in FILE_TOOL_NAMES if name not in names)]


def without_file_tools(names: Sequence[str]) -> list[str]:
    """The tools of an agent that has lost its last folder, as in V1."""
    return [name for name in names if name not in FILE_TOOL_NAMES]


def _listed(given: object) -> object:
    """Models send one request alone, names alone, or the whole list as text now and then."""
    if isinstance(given, str):
        try:
            given = from_json(given)  # which ends at a depth; Python's own runs out of stack
        except ValueError:
            given = [given]
    requests = given if isinstance(given, list) else [given]
    return [{"file_name": one} if isinstance(one, str) else one for one in requests]


class OpenArguments(Arguments):
    """Which lines of a file are asked for: V1's `FileOpenRequest`."""

    file_name: str
    offset: int | None = None
    length: int | None = None

    def request(self) -> FileRequest:
        """The same by lines that count from 1.

        Raises:
            ToolFailed: There are no such lines.
        """
        offset, length = self.offset or 0, self.length
        if offset < 0 or (length is not None and length < 1):
            raise ToolFailed(
                f"Nothing was opened: of {self.file_name}, an offset of {offset} and a length of "
                f"{length} are asked for. Offsets begin with 0, and lengths with 1."
            )
        start = min(offset + 1, _MAX_LINE)
        end = None if length is None else min(offset + length, _MAX_LINE)
        return FileRequest(self.file_name, start if offset else None, end)


class OpenFilesArguments(Arguments):
    """Arguments of `open_files`."""

    file_requests: Annotated[list[OpenArguments], BeforeValidator(_listed)]
    close_all_others: bool = False


class GrepArguments(Arguments):
    """Arguments of `grep_files`."""

    pattern: str
    include: str | None = None
    context_lines: int = 1
    offset: int = 0


class SearchFilesArguments(Arguments):
    """Arguments of `semantic_search_files`."""

    query: str
    limit: int | None = None


async def _open(caller: Caller, arguments: OpenFilesArguments) -> str:
    if not arguments.file_requests:
        raise ToolFailed("Nothing was opened: file_requests names no file.")
    wanted = [one.request() for one in arguments.file_requests]
    return _said(await caller.memory.open_files(wanted, close_others=arguments.close_all_others))


def _said(done: OpenedFiles) -> str:
    lines = [f"* Opened {_line(file)}" for file in done.opened]
    if done.closed:
        lines.append(f"\nNOTE: No longer open: {', '.join(done.closed)}")
    return "\n".join(lines)


def _line(file: OpenedFile) -> str:
    if file.total is None:
        return f"{file.name}, which is still being read and will be shown once it is"
    if file.start is None and file.end is None:
        return f"{file.name} ({file.total} lines)"
    end = file.total if file.end is None else min(file.end, file.total)
    return f"{file.name} (lines {file.start or 1}-{end} of {file.total})"


FILE_TOOLS: tuple[Tool, ...] = (
    BuiltIn(_OPEN, OpenFilesArguments, _open),
    RunElsewhere(_GREP, _NOT_HERE, only_reads=True),
    RunElsewhere(_SEARCH, _NOT_HERE, only_reads=True),
)


def said_of_unread(unread: int) -> str:
    """What a search says of files that it could not look into yet; nothing where there are none."""
    if not unread:
        return ""
    what = "1 file is" if unread == 1 else f"{unread} files are"
    return f"\n\n{what} still being read or could not be, and not searched."


def found_passage(name: str, ordinal: int | None, total: int | None, text: str) -> dict[str, Any]:
    """A passage of a file as agents are shown it."""
    place = None if ordinal is None else ordinal + 1
    return {"file": name, "passage": place, "of": total, "content": text}
