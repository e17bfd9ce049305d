"""Everything of one agent as files: what a server reads again, and what a person reads."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from o.errors import InvalidInput, NotFound, OError, Unavailable
from server.api_client.organizations import Organization
from server.export.markdown import (
    Shown,
    block_markdown,
    conversation_heading,
    message_markdown,
)
from server.export.names import distinct_names, name_with_id, safe_name
from server.export.writing import Place

ABOUT = "agent.json"
"""What says whose folder it is; the list of all agents is made from these."""

_KEPT = ("id", "name", "description", "agent_type", "model", "tags", "created_at", "updated_at")
_MEDIA_OF_TEXT = ("text/", "application/json")
_PASSAGE = ("id", "created_at", "text", "tags", "metadata")


@dataclass
class Exported:
    """What came of an agent.

    Attributes:
        folder: The name of its folder.
        written: How many files were written.
        kept: How many were there, and are as they were.
        failed: What could not be had, and why.
    """

    folder: str
    written: int = 0
    kept: int = 0
    failed: list[str] = field(default_factory=list)


class AgentExport:
    """Puts one agent into a folder. What is there whole is passed over."""

    def __init__(
        self, organization: Organization, place: Place, agent: Shown, *, tell: Callable[[str], None]
    ) -> None:
        """Nothing is asked yet.

        Args:
            organization: Whose it is.
            place: Where its folder is to be.
            agent: As the API's list shows it.
            tell: Told how far it is.
        """
        self._source, self._about = organization.source, organization.about
        self._agent = agent
        self._path = f"agents/{agent['id']}"
        self._tell = tell
        folder = name_with_id(str(agent["name"]), str(agent["id"]))
        self._place = place.below(folder)
        self.result = Exported(folder)

    def run(self) -> Exported:
        """Export it; what cannot be had is told of, and keeps nothing else.

        Raises:
            InvalidInput: A file cannot be written.
            NotFound: The agent was deleted.
            Unavailable: The API is away.
        """
        self._source.get(self._path)  # that it was deleted is known before there is a folder
        steps = {
            "the agent file": self._agent_file,
            "its conversations": self._conversations,
            "its blocks": self._blocks,
            "its archives": self._archives,
            "its files": self._files,
        }
        for what, step in steps.items():
            self._tell(what)
            self._trying(what, step)
        about = {name: self._agent.get(name) for name in _KEPT}
        if self._about:
            about["organization"] = {name: self._about[name] for name in ("id", "name")}
        self._place.write(ABOUT, f"{json.dumps(about, ensure_ascii=False, indent=2)}\n")
        return self.result

    def _trying(self, what: str, step: Callable[[], None]) -> None:
        try:
            step()
        except (InvalidInput, Unavailable):  # of this machine, or of all that is asked
            raise
        except OError as error:
            self.result.failed.append(f"{what}: {error.message}")

    def _agent_file(self) -> None:
        name = f"{safe_name(str(self._agent['name']), 'agent')}.af"
        if (file := self._begun(self._place, name)) is not None:
            with file as opened:
                self._source.download(f"{self._path}/export", opened)

    def _conversations(self) -> None:
        found = [
            one
            for page in self._source.pages("conversations/", agent_id=self._agent["id"])
            for one in page
        ]
        titles = [(str(one.get("summary") or "conversation"), str(one["id"])) for one in found]
        names = distinct_names([("own thread", str(self._agent["id"])), *titles])
        for name, conversation in zip(names, [None, *found], strict=True):
            self._conversation(f"{name}.md", conversation)

    def _conversation(self, name: str, conversation: Shown | None) -> None:
        file = self._begun(self._place.below("conversations"), name)
        if file is None:
            return
        path, params = "conversations/default/messages", {"agent_id": self._agent["id"]}
        if conversation is not None:
            path, params = f"conversations/{conversation['id']}/messages", {}
        count = 0
        with file as opened:
            _put(opened, conversation_heading(self._agent, conversation))
            for page in self._source.pages(path, **params):
                for message in page:
                    _put(opened, message_markdown(message, str(self._agent["name"])))
                count += len(page)
                self._tell(f"{count:,} messages")

    def _blocks(self) -> None:
        found = self._all(f"{self._path}/core-memory/blocks")
        names = distinct_names([(str(one["label"]), str(one["id"])) for one in found])
        for name, block in zip(names, found, strict=True):
            if (file := self._begun(self._place.below("blocks"), f"{name}.md")) is not None:
                with file as opened:
                    _put(opened, block_markdown(block))

    def _archives(self) -> None:
        """All passages are one list, which is told apart by their archives."""
        found = self._all("archives/", agent_id=self._agent["id"])
        named = distinct_names([(str(one["name"]), str(one["id"])) for one in found])
        names = {str(one["id"]): f"{name}.jsonl" for name, one in zip(named, found, strict=True)}
        place = self._place.below("archives")
        lacking = [name for name in names.values() if place.lacks(name)]
        self.result.kept += len(names) - len(lacking)
        if not lacking:
            return
        count = 0
        with ExitStack() as stack:
            files = {name: stack.enter_context(place.writing(name)) for name in lacking}
            for page in self._source.pages(f"{self._path}/archival-memory"):
                for passage in page:
                    if (file := files.get(names.get(passage["archive_id"], ""))) is not None:
                        kept = {one: passage.get(one) for one in _PASSAGE}
                        _put(file, f"{json.dumps(kept, ensure_ascii=False)}\n")
                count += len(page)
                self._tell(f"{count:,} passages")
        self.result.written += len(lacking)

    def _files(self) -> None:
        folders = self._all(f"{self._path}/folders")
        names = distinct_names([(str(one["name"]), str(one["id"])) for one in folders])
        for name, folder in zip(names, folders, strict=True):
            self._folder(self._place.below("files", name), folder)

    def _folder(self, place: Place, folder: Shown) -> None:
        path = f"folders/{folder['id']}/files"
        found = self._all(path)
        named = [(_file_name(one, folder), str(one["id"])) for one in found]
        for name, one in zip(distinct_names(named), found, strict=True):
            # What is there is text, of whatever it was read from.
            media_type = str(one.get("file_type") or "")
            is_text = media_type.startswith(_MEDIA_OF_TEXT) and "html" not in media_type
            full = name if is_text else f"{name}.txt"
            if not place.lacks(full):
                self.result.kept += 1
                continue
            try:
                content = self._source.get(f"{path}/{one['id']}", include_content=True)["content"]
            except NotFound:  # deleted meanwhile
                continue
            if content is None:
                status = one.get("processing_status")
                self.result.failed.append(f"the file {name}: there is no text of it ({status})")
                continue
            place.write(full, str(content))
            self.result.written += 1

    def _all(self, path: str, **params: Any) -> list[Shown]:
        """A list that is held whole: of names, and of what is small."""
        return [one for page in self._source.pages(path, **params) for one in page]

    def _begun(self, place: Place, name: str) -> "_Begun | None":
        if not place.lacks(name):
            self.result.kept += 1
            return None
        return _Begun(place, name, self.result)


class _Begun:
    """A file that is being written; it counts once it is whole."""

    def __init__(self, place: Place, name: str, result: Exported) -> None:
        self._writing = place.writing(name)
        self._result = result

    def __enter__(self) -> BinaryIO:
        return self._writing.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._writing.__exit__(*error)
        if error[0] is None:
            self._result.written += 1


def _file_name(file: Shown, folder: Shown) -> str:
    """What the file is called in its folder, with the directories that it came from in one name."""
    name = str(file.get("file_name") or file.get("original_file_name") or "file")
    return name.removeprefix(f"{folder['name']}/")


def _put(file: BinaryIO, text: str) -> None:
    file.write(text.encode("utf-8", "replace"))
