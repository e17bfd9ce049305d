"""Searches: what each provider is asked, and that its answer comes in V1's form."""

import json
from typing import Any

import pytest

from o.errors import ToolFailed
from o.settings.built_in import BuiltInSettings
from o.tools.invocation import Invocation
from o.tools.registry import BUILT_IN_TOOLS
from o.tools.web import SearchArguments
from o.web.search import WebSearch
from o.web.search_requests import Exa, SearchProvider, SearXNG, Tavily
from o.web.tools import web_runners
from tests.web import site as sites
from tests.web.site import Asked, Site, page

ALL = {
    "query": "tides",
    "num_results": 2,
    "category": "news",
    "include_text": True,
    "include_domains": ["example.com"],
    "exclude_domains": ["bad.example.com"],
    "start_published_date": "2025-01-01",
    "end_published_date": "2025-12-31T00:00:00Z",
    "user_location": "US",
}
FOUND = {
    "title": "Tides",
    "url": "https://example.com/1",
    "publishedDate": "2025-02-03T00:00:00Z",
    "published_date": "2025-02-03T00:00:00Z",
    "author": "Ada",
    "highlights": ["the moon"],
    "content": "the moon",
    "summary": "short",
    "text": "whole",
    "raw_content": "whole",
}
OTHERS = [
    FOUND | {"url": "https://elsewhere.org/"},
    FOUND | {"url": "https://bad.example.com/"},
    FOUND | {"publishedDate": "2020-01-01"},
]


def made(which: str, url: str) -> SearchProvider:
    match which:
        case "exa":
            return Exa(url, "key")
        case "tavily":
            return Tavily(url, "key")
        case _:
            return SearXNG(url)


async def searched(which: str, answer: Any, **wanted: Any) -> tuple[Any, Asked]:
    async with Site({"/search": answer}) as site:
        search = WebSearch(made(which, site.url("")))
        found = await search.search(SearchArguments(**{"query": "tides", **wanted}))
        return json.loads(found), site.asked[0]


@pytest.mark.parametrize("which", ["exa", "tavily", "searxng"])
async def test_an_answer_comes_in_the_form_of_v1(which: str) -> None:
    answer = sites.as_json(results=[*(OTHERS if which == "searxng" else []), FOUND])
    found, asked = await searched(which, answer, **ALL)
    (result,) = found["results"]
    assert found["query"] == "tides"
    assert (result["title"], result["url"]) == ("Tides", "https://example.com/1")
    assert result["published_date"] == "2025-02-03T00:00:00Z"
    assert result["highlights"] == ["the moon"]
    assert ("text" in result) == (which != "searxng")
    if which == "searxng":
        assert asked.method == "GET"
        assert "q=tides+site:example.com+-site:bad.example.com" in asked.path
        assert "format=json&categories=news" in asked.path
    else:
        assert asked.method == "POST"
        key = {"exa": ("x-api-key", "key"), "tavily": ("authorization", "Bearer key")}[which]
        assert asked.headers[key[0]] == key[1]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (page("", status="401 No"), "does not accept this server"),
        (page("", status="429 Many"), "takes no more searches"),
        (page("", status="400 Bad"), "refuses the search"),
        (page("", status="503 Down"), "has an error"),
        (sites.to("/elsewhere"), "has an error"),
        (page("<html>", "text/html"), "cannot be read"),
        (page("[]", "application/json"), "cannot be read"),
        (page('{"results": [1]}', "application/json"), "cannot be read"),
        (page("[" * 100_000, "application/json"), "cannot be read"),
        (b"", "cannot be reached"),
        (sites.bomb, "cannot be read"),
    ],
)
async def test_what_goes_wrong_is_a_sentence_without_the_key(answer: Any, says: str) -> None:
    with pytest.raises(ToolFailed) as failure:
        await searched("exa", answer)
    assert says in failure.value.message
    assert "key" not in failure.value.message


async def test_whole_texts_are_shortened_rather_than_results_lost() -> None:
    long = [FOUND | {"text": "x" * 200_000, "url": f"https://example.com/{n}"} for n in range(10)]
    found, _ = await searched("exa", sites.as_json(results=long), include_text=True)
    assert len(found["results"]) == 10
    assert len(json.dumps(found)) < 51_000


async def no_secrets(call: Invocation) -> dict[str, str]:
    return {}


async def test_an_agent_with_a_key_of_its_own_searches_with_that() -> None:
    async def secrets(call: Invocation) -> dict[str, str]:
        return {"EXA_API_KEY": "of-the-agent"}

    async def sending() -> None:
        pass

    async with Site({"/search": sites.as_json(results=[FOUND])}) as site:
        settings = BuiltInSettings(web_tools=True, exa_base_url=site.url(""))
        runner = web_runners(settings, secrets)["web_search"]
        call = Invocation("org", "web_search", {"query": "x"}, idempotency_key="key")
        returned = await runner.run(call, before_sending=sending)
        assert returned.status == "success"
        assert site.asked[0].headers["x-api-key"] == "of-the-agent"


async def test_the_web_is_off_until_it_is_enabled() -> None:
    assert web_runners(BuiltInSettings(web_tools=False), no_secrets) == {}
    for name in ("web_search", "fetch_webpage"):
        with pytest.raises(ToolFailed, match="not enabled"):
            await BUILT_IN_TOOLS[name](None, {})  # type: ignore[arg-type]
    runners = web_runners(BuiltInSettings(web_tools=True), no_secrets)
    call = Invocation("org", "web_search", {"query": "x"}, idempotency_key="key")
    with pytest.raises(ToolFailed, match="O_SEARXNG_URL"):
        await runners["web_search"].run(call, before_sending=None)  # type: ignore[arg-type]
