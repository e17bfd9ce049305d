"""Runs the tools by which agents search the files of their folders."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from activities.runners.search_tools import SearchRunner
from o.domain.agents import Agent
from o.errors import ToolFailed
from o.storage.database import Database
from o.storage.files.agent_file_names import NamedFile, list_agent_files
from o.storage.files.agent_folder_archives import list_folder_archives, list_passage_places
from o.storage.files.open_files import note_use
from o.storage.files.texts import TextPiece, read_texts
from o.storage.search.archival import PassageQuery, PassageSearch
from o.tools.files import (
    GREP_FILES,
    GREP_PAGE,
    SEARCH_FILES,
    GrepArguments,
    SearchFilesArguments,
    found_passage,
    said_of_unread,
)
from o.tools.grep import FileSearch, grep_report
from o.tools.invocation import Invocation, ToolRunner
from o.tools.patterns import LinePattern, NamePattern, line_pattern
from o.tools.search import number_of_results
from o.tools.tool import parsed

_NO_FILES = "Nothing was searched: there are no files, because no folder with files is attached."
_SHOWN_NAMES = 20


@dataclass(frozen=True)
class GrepBounds:
    """How far one call goes.

    Attributes:
        seconds: How long it searches, between two pieces of text.
        chars: How much text it looks at.
    """

    seconds: float = 10.0
    chars: int = 100_000_000


class _Grep:
    """A search of several files, one after the other."""

    def __init__(self, pattern: LinePattern, wanted: Sequence[NamedFile], *, context: int) -> None:
        self.found: list[tuple[NamedFile, FileSearch]] = []
        self.looked_at = 0
        self.done = 0
        self._regex = pattern.regex
        self._wanted = {file.id: file for file in wanted}
        self._context = context
        self._total = self._kept = 0
        self._under_way: FileSearch | None = None

    def feed(self, pieces: Sequence[TextPiece], *, offset: int) -> None:
        """Search pieces of text; takes as long as they are long."""
        for piece in pieces:
            search = self._under_way or FileSearch(
                self._regex,
                context=self._context,
                skip=max(0, offset - self._total),
                most=GREP_PAGE - self._kept,
            )
            search.feed(piece.text, is_last=piece.is_last)
            self.looked_at += len(piece.text)
            self._under_way = None if piece.is_last else search
            if piece.is_last:
                self._end(piece.file_id, search)
                self.done += 1

    def stop(self, file_id: str) -> None:
        """Keep what is found so far of the file under way."""
        if self._under_way is not None:
            self._end(file_id, self._under_way)

    def _end(self, file_id: str, search: FileSearch) -> None:
        self._total += search.count
        self._kept += len(search.matches)
        if search.count:
            self.found.append((self._wanted[file_id], search))


class FileTools:
    """Searches files for agents. A call may be made again and again: it changes times of use."""

    def __init__(
        self, database: Database, passages: PassageSearch, bounds: GrepBounds | None = None
    ) -> None:
        """Nothing is searched yet.

        Args:
            database: Where files are.
            passages: Searches their passages.
            bounds: How far `grep_files` goes.
        """
        self._database = database
        self._passages = passages
        self._bounds = bounds or GrepBounds()

    def runners(self) -> Mapping[str, ToolRunner]:
        """The runners by the names of their tools."""
        return {
            GREP_FILES: SearchRunner(self._grep),
            SEARCH_FILES: SearchRunner(self._search),
        }

    async def _grep(self, call: Invocation, agent: Agent) -> str:
        arguments = parsed(GrepArguments, call.arguments)
        pattern = await asyncio.to_thread(line_pattern, arguments.pattern)
        wanted = await self._wanted(agent, arguments.include)
        search = _Grep(pattern, wanted, context=arguments.context_lines)
        offset = max(0, arguments.offset)
        left, unread = await self._look(search, wanted, offset)
        await self._note(agent, [file.id for file, one in search.found if one.matches])
        notes = "".join(f"\n\n{note}" for note in (pattern.note, left) if note)
        found = [(file.name, one) for file, one in search.found]
        return grep_report(
            found,
            pattern=arguments.pattern,
            offset=offset,
            ending=notes + said_of_unread(unread),
        )

    async def _wanted(self, agent: Agent, include: str | None) -> list[NamedFile]:
        """The files that are searched."""
        async with self._database.connect() as connection:
            files = await list_agent_files(connection, agent.id)
        if not files:
            raise ToolFailed(_NO_FILES)
        names = NamePattern(include or "")
        wanted = [file for file in files if names.fits(file.name, file.own_name)]
        if not wanted:
            shown = ", ".join(file.name for file in files[:_SHOWN_NAMES])
            more = ", and others" if len(files) > _SHOWN_NAMES else ""
            raise ToolFailed(
                f"Nothing was searched: no file has a name that fits {include!r}. There are: "
                f"{shown}{more}"
            )
        return wanted

    async def _look(
        self, search: _Grep, wanted: Sequence[NamedFile], offset: int
    ) -> tuple[str, int]:
        """Search files until all are, or the bounds are met.

        Returns:
            What is left, in words, and how many files have no text (yet).
        """
        until = time.monotonic() + self._bounds.seconds
        async for pieces in read_texts(self._database, [file.id for file in wanted]):
            await asyncio.to_thread(search.feed, pieces, offset=offset)
            is_over = time.monotonic() > until or search.looked_at >= self._bounds.chars
            if is_over and search.done < len(wanted):
                search.stop(pieces[-1].file_id)
                left = (
                    f"The search was ended after {search.done} of {len(wanted)} files, because "
                    "there is more text than one call looks at: narrow it with include."
                )
                return left, 0
        return "", len(wanted) - search.done

    async def _search(self, call: Invocation, agent: Agent) -> str:
        arguments = parsed(SearchFilesArguments, call.arguments)
        if not arguments.query.strip():
            raise ToolFailed("Nothing was searched: the query is empty.")
        async with self._database.connect() as connection:
            archives = await list_folder_archives(connection, agent.id)
        if not archives:
            raise ToolFailed(_NO_FILES)
        asked = PassageQuery(arguments.query, number_of_results(arguments.limit))
        results = await self._passages.search(agent.organization_id, archives, asked)
        ids = [one.passage.id for one in results.found]
        async with self._database.connect() as connection:
            places = await list_passage_places(connection, ids)
        await self._note(agent, {place.file_id for place in places.values()})
        shown = [
            found_passage(
                places[one.passage.id].name,
                places[one.passage.id].ordinal,
                places[one.passage.id].total,
                one.passage.text,
            )
            for one in results.found
            if one.passage.id in places
        ]
        return json.dumps(shown, ensure_ascii=False)

    async def _note(self, agent: Agent, file_ids: Sequence[str] | set[str]) -> None:
        if file_ids:
            async with self._database.begin() as connection:
                await note_use(connection, agent.id, sorted(file_ids))
