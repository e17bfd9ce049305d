"""The part of the system prompt that tells of folders and shows open files, as V1 lays it out."""

from collections.abc import Mapping, Sequence

from o.domain.agents import Agent
from o.domain.files.directories import Directories, Directory, ListedFile
from o.domain.files.folders import ProcessingStatus
from o.memory.estimates import estimate
from o.memory.file_views import shortened
from o.memory.structure import inert_in_files

OPENING, CLOSING = "<directories>", "</directories>"

# Of the context window: what open files may take together, and the list of those that are closed.
_VIEWS_PART, _LIST_PART = 1 / 3, 1 / 20
_LEAST_LIST_TOKENS = 500
_LEAST_TEXT_CHARS = 500
_CHARS_A_TOKEN = 4


def directories_section(agent: Agent, directories: Directories | None) -> str:
    """The section, empty for an agent without folders.

    Open files never take more than a third of the context window: they are cut to equal shares,
    and say so. Closed files are listed as far as a twentieth of it goes. No text inside closes
    the tags around it.
    """
    if directories is None or not directories.folders:
        return ""
    views = _fitting(directories.views, int(agent.context_window * _VIEWS_PART))
    listing = _Listing(views, directories.budget.view_chars, agent.context_window)
    shown = "\n".join(listing.directory(folder) for folder in directories.folders)
    more = ""
    if directories.more_folders:
        more = f"\n[{directories.more_folders} more folders are attached, and not listed here]"
    return (
        f"{OPENING}\n<file_limits>\n"
        f"- current_files_open={len(directories.open_files)}\n"
        f"- max_files_open={directories.budget.max_open}\n"
        f"</file_limits>\n{shown}{more}\n{CLOSING}"
    )


def directories_of(memory: str) -> str:
    """The section at the end of a part of a prompt; empty where it has none."""
    if not memory.endswith(CLOSING):
        return ""
    start = memory.rfind(OPENING)  # no text inside has the tag
    return memory[start:] if start >= 0 else ""


class _Listing:
    """Writes the files of one prompt down, as far as there is room."""

    def __init__(self, views: Mapping[str, str], view_chars: int, window: int) -> None:
        self._views = views
        self._view_chars = view_chars
        self._room = max(_LEAST_LIST_TOKENS, int(window * _LIST_PART))
        self._text_chars = max(_LEAST_TEXT_CHARS, int(window * _LIST_PART) * _CHARS_A_TOKEN)

    def directory(self, folder: Directory) -> str:
        parts = [f'<directory name="{_attribute(folder.name)}">']
        for tag, text in (
            ("description", folder.description),
            ("instructions", folder.instructions),
        ):
            if text:
                parts.append(f"<{tag}>{self._text(text)}</{tag}>")
        shown = [one for file in folder.files if (one := self._file(file)) is not None]
        parts.extend(shown)
        if folder.has_more or len(shown) < len(folder.files):
            parts.append(
                "[More files are here than are listed: grep_files and semantic_search_files look "
                "in all of them]"
            )
        return "\n".join([*parts, "</directory>"])

    def _text(self, text: str) -> str:
        text = inert_in_files(text)
        return text if len(text) <= self._text_chars else f"{text[: self._text_chars]}… [cut]"

    def _file(self, file: ListedFile) -> str | None:
        name = _attribute(file.name)
        if not file.is_open:
            closed = f'<file status="closed" name="{name}">\n</file>'
            self._room -= estimate(closed)
            return closed if self._room >= 0 else None
        view = inert_in_files(self._views.get(file.id) or _not_seen(file))
        return (
            f'<file status="open" name="{name}">\n'
            "<metadata>\n- read_only=true\n"
            f"- chars_current={len(view)}\n- chars_limit={self._view_chars}\n</metadata>\n"
            f"<value>\n{view}\n</value>\n</file>"
        )


def _not_seen(file: ListedFile) -> str:
    if file.status == ProcessingStatus.ERROR:
        return f"[This file could not be read: {file.problem or 'its text was not found'}]"
    return "[This file is still being read, and will be shown here]"


def _fitting(views: Mapping[str, str], room: int) -> dict[str, str]:
    """The views, the longest ones cut so that all of them take no more than `room` tokens."""
    sizes = {id_: estimate(view) for id_, view in views.items()}
    share = _share(sorted(sizes.values()), room)
    return {
        id_: shortened(view, len(view) * share // sizes[id_]) if sizes[id_] > share else view
        for id_, view in views.items()
    }


def _share(sizes: Sequence[int], room: int) -> int:
    """What each may take at most, so that those that are smaller leave the rest to the others."""
    for place, size in enumerate(sizes):
        left = len(sizes) - place
        if size * left > room:
            return room // left
        room -= size
    return max(sizes, default=0)


def _attribute(name: str) -> str:
    """A name between quotation marks, on one line."""
    escaped = name.replace("&", "&amp;").replace('"', "&quot;")
    return " ".join(escaped.replace("<", "&lt;").replace(">", "&gt;").split())
