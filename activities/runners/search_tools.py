"""Runs the tools by which agents search what was said, and what is kept in their archives."""

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from o.domain.agents import Agent
from o.errors import NotFound, ToolFailed, Unavailable
from o.storage.search.archival import PassageQuery, PassageSearch
from o.storage.search.messages import SEARCHED_ROLES, MessageFilter
from o.storage.search.passages import PassageFilter
from o.storage.search.recall import MessageQuery, MessageSearch
from o.tools.invocation import Invocation, Returned, ToolRunner
from o.tools.search import (
    ARCHIVAL_SEARCH,
    CONVERSATION_SEARCH,
    ArchivalSearchArguments,
    ConversationSearchArguments,
    archival_result,
    number_of_results,
    period,
    said_results,
)
from o.tools.tool import parsed

_NOBODY = "Nothing was searched: only an agent has something to search."
_INSTANT = timedelta(microseconds=1)


class SearchTools:
    """Searches for agents. Nothing is changed, so that a call may be made again and again."""

    def __init__(self, messages: MessageSearch, passages: PassageSearch) -> None:
        """Nothing is searched yet.

        Args:
            messages: Searches what was said.
            passages: Searches archives.
        """
        self._messages = messages
        self._passages = passages

    def runners(self) -> Mapping[str, ToolRunner]:
        """The runners by the names of their tools."""
        return {
            CONVERSATION_SEARCH: SearchRunner(self._said),
            ARCHIVAL_SEARCH: SearchRunner(self._kept),
        }

    async def _said(self, call: Invocation, agent: Agent) -> str:
        arguments = parsed(ConversationSearchArguments, call.arguments)
        since, before = period(arguments.start_date, arguments.end_date, agent.timezone)
        query = arguments.query or ""
        wanted = MessageFilter(
            agent_id=agent.id,
            not_of_run=call.run_id,
            roles=arguments.roles or SEARCHED_ROLES,
            since=since,
            before=before,
        )
        limit = number_of_results(arguments.limit)
        asked = MessageQuery(query, limit, wanted)
        results = await self._messages.search(agent.organization_id, asked)
        shown = (
            (
                one.message,
                {
                    "rrf_score": round(one.ranked.score, 4),
                    "vector_rank": one.ranked.vector_rank,
                    "fts_rank": one.ranked.text_rank,
                }
                if query.strip()
                else {},
            )
            for one in results.found
        )
        return said_results(agent, shown)

    async def _kept(self, call: Invocation, agent: Agent) -> str:
        arguments = parsed(ArchivalSearchArguments, call.arguments)
        since, before = period(arguments.start_datetime, arguments.end_datetime, agent.timezone)
        wanted = PassageFilter(
            tags=arguments.tags or (),
            match_all=arguments.tag_match_mode == "all",
            since=since,
            until=None if before is None else before - _INSTANT,
        )
        limit = number_of_results(arguments.top_k)
        asked = PassageQuery(arguments.query, limit, wanted=wanted)
        _, results = await self._passages.search_agent(agent.organization_id, agent.id, asked)
        shown = [archival_result(one.passage, agent.timezone) for one in results.found]
        return json.dumps(shown, ensure_ascii=False)


class SearchRunner:
    """One of the searches as a `ToolRunner`."""

    def __init__(self, search: Callable[[Invocation, Agent], Awaitable[str]]) -> None:
        """It is given the call and the agent that makes it."""
        self._search = search

    def repeats_safely(self, call: Invocation) -> bool:
        """Yes: a search changes nothing."""
        return True

    async def run(
        self, call: Invocation, *, before_sending: Callable[[], Awaitable[None]]
    ) -> Returned:
        """Search; see `ToolRunner`. Nothing has an effect, so that there is nothing to record."""
        if call.agent is None:
            raise ToolFailed(_NOBODY)
        try:
            return Returned("success", await self._search(call, call.agent))
        # The agent is gone; or it took too long, and another try would as well.
        except (NotFound, Unavailable) as error:
            return Returned("error", error.message)
