"""Searches of the web, through the provider that the operator has set."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import aiohttp

from o.domain.json_bounds import JsonOutOfBounds, parse_json
from o.errors import ToolFailed
from o.tools.web import SearchArguments
from o.web.bodies import ACCEPTED_ENCODINGS, read_body
from o.web.search_requests import SearchProvider, SearchRequest

_WHOLE_S = 30.0
_MOST_BYTES = 8 * 1024 * 1024
_MOST_CHARS = 50_000


class WebSearch:
    """Asks one provider. It is the operator's word where that is, so its address is not judged."""

    def __init__(self, provider: SearchProvider) -> None:
        self._provider = provider

    async def search(self, wanted: SearchArguments) -> str:
        """What was found, in V1's form.

        Raises:
            ToolFailed: Nothing can be found now, in words for the model.
        """
        name = self._provider.name
        try:
            async with asyncio.timeout(_WHOLE_S):
                answer = await self._ask(self._provider.request(wanted))
            found = self._provider.results(answer, wanted)[: wanted.most]
        except TimeoutError:
            raise ToolFailed(f"{name} did not answer within {_WHOLE_S:g} s. Try again.") from None
        except aiohttp.ClientError:
            raise ToolFailed(f"{name} cannot be reached now. Try again later.") from None
        except (LookupError, TypeError, ValueError, AttributeError):
            raise ToolFailed(f"{name} gave an answer that cannot be read.") from None
        return _within_bounds(wanted.query, found)

    async def _ask(self, request: SearchRequest) -> Mapping[str, Any]:
        headers = {"Accept": "application/json", "Accept-Encoding": ACCEPTED_ENCODINGS}
        method = "GET" if request.body is None else "POST"
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(
                method,
                request.url,
                json=request.body,
                headers={**headers, **request.headers},
                allow_redirects=False,
            ) as response,
        ):
            self._check_status(response.status)
            body = await read_body(response, most=_MOST_BYTES)
        try:
            answer = parse_json(body.data.decode())
        except JsonOutOfBounds as error:
            raise ValueError from error
        if not isinstance(answer, dict):
            raise TypeError
        return answer

    def _check_status(self, status: int) -> None:
        name = self._provider.name
        if status in {401, 403}:
            raise ToolFailed(
                f"{name} does not accept this server (HTTP {status}). Tell the user that its "
                "operator has to look at the settings of the web search."
            )
        if status in {402, 429, 432, 433}:
            raise ToolFailed(
                f"{name} takes no more searches now (HTTP {status}): a limit was met. Try later."
            )
        if status == 400:
            raise ToolFailed(f"{name} refuses the search: change its arguments.")
        if status != 200:
            raise ToolFailed(f"{name} has an error (HTTP {status}). Try again later.")


def _within_bounds(query: str, found: list[dict[str, Any]]) -> str:
    """The answer as JSON; whole texts are left out from behind while it is too long."""
    while True:
        answer = json.dumps({"query": query, "results": found}, ensure_ascii=False)
        if len(answer) <= _MOST_CHARS or not found:
            return answer
        longest = max(found, key=lambda one: len(one.get("text") or ""))
        text = longest.get("text") or ""
        if len(text) > 1_000:
            longest["text"] = text[: len(text) // 2]
        else:
            found = found[:-1]
