"""What each provider of web searches is asked, and what its answer says in V1's form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

from o.tools.web import SearchArguments

_EXA_CATEGORIES = frozenset(
    {
        *("company", "research paper", "news", "pdf", "github", "tweet"),
        *("personal site", "linkedin profile", "financial report"),
    }
)
_TAVILY_MOST = 20


@dataclass(frozen=True)
class SearchRequest:
    """An HTTP request; a POST where it has a body."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None


class SearchProvider(Protocol):
    """A provider of web searches."""

    name: str

    def request(self, wanted: SearchArguments) -> SearchRequest:
        """What it is asked."""

    def results(self, answer: Mapping[str, Any], wanted: SearchArguments) -> list[dict[str, Any]]:
        """What it found, in V1's form.

        Raises:
            LookupError, TypeError, ValueError, AttributeError: It is no answer of this provider.
        """


class Exa:
    """Exa, as V1 has it."""

    name = "Exa"

    def __init__(self, base_url: str, key: str) -> None:
        self._url, self._key = f"{base_url.rstrip('/')}/search", key

    def request(self, wanted: SearchArguments) -> SearchRequest:
        """See `SearchProvider`."""
        asked = {
            "query": wanted.query,
            "type": "auto",
            "numResults": wanted.most,
            "category": wanted.category if wanted.category in _EXA_CATEGORIES else None,
            "includeDomains": wanted.include_domains,
            "excludeDomains": wanted.exclude_domains,
            "startPublishedDate": wanted.start_published_date,
            "endPublishedDate": wanted.end_published_date,
            "userLocation": wanted.user_location,
            "contents": {"text": wanted.include_text, "highlights": True, "summary": True},
        }
        body = {name: value for name, value in asked.items() if value}
        return SearchRequest(self._url, {"x-api-key": self._key}, body)

    def results(self, answer: Mapping[str, Any], wanted: SearchArguments) -> list[dict[str, Any]]:
        """See `SearchProvider`."""
        return [
            _result(
                one,
                published=one.get("publishedDate"),
                author=one.get("author"),
                highlights=one.get("highlights") or [],
                summary=one.get("summary"),
                text=one.get("text") if wanted.include_text else None,
            )
            for one in answer["results"]
        ]


class Tavily:
    """Tavily, which knows no categories but news, and gives one excerpt of each page."""

    name = "Tavily"

    def __init__(self, base_url: str, key: str) -> None:
        self._url, self._key = f"{base_url.rstrip('/')}/search", key

    def request(self, wanted: SearchArguments) -> SearchRequest:
        """See `SearchProvider`."""
        asked = {
            "query": wanted.query,
            "max_results": min(wanted.most, _TAVILY_MOST),
            "topic": "news" if wanted.category == "news" else None,
            "include_domains": wanted.include_domains,
            "exclude_domains": wanted.exclude_domains,
            "start_date": _day(wanted.start_published_date),
            "end_date": _day(wanted.end_published_date),
            "include_raw_content": "markdown" if wanted.include_text else None,
        }
        body = {name: value for name, value in asked.items() if value}
        return SearchRequest(self._url, {"Authorization": f"Bearer {self._key}"}, body)

    def results(self, answer: Mapping[str, Any], wanted: SearchArguments) -> list[dict[str, Any]]:
        """See `SearchProvider`."""
        return [
            _result(
                one,
                published=one.get("published_date"),
                highlights=[one["content"]] if one.get("content") else [],
                text=one.get("raw_content") if wanted.include_text else None,
            )
            for one in answer["results"]
        ]


class SearXNG:
    """A SearXNG of the operator's own, whose settings must allow the format `json`.

    It knows neither numbers of results nor dates, and hands domains to engines that may pass over
    them: what does not fit is left out here.
    """

    name = "SearXNG"

    def __init__(self, base_url: str) -> None:
        self._url = f"{base_url.rstrip('/')}/search"

    def request(self, wanted: SearchArguments) -> SearchRequest:
        """See `SearchProvider`."""
        places = " OR ".join(f"site:{domain}" for domain in wanted.include_domains or ())
        left_out = " ".join(f"-site:{domain}" for domain in wanted.exclude_domains or ())
        asked = {
            "q": " ".join(filter(None, [wanted.query, places, left_out])),
            "format": "json",
            **({"categories": "news"} if wanted.category == "news" else {}),
        }
        return SearchRequest(f"{self._url}?{urlencode(asked)}")

    def results(self, answer: Mapping[str, Any], wanted: SearchArguments) -> list[dict[str, Any]]:
        """See `SearchProvider`."""
        found = [one for one in answer["results"] if _fits(one, wanted)]
        return [
            _result(
                one,
                published=one.get("publishedDate"),
                author=one.get("author") or None,
                highlights=[one["content"]] if one.get("content") else [],
            )
            for one in found
        ]


def _result(
    one: Mapping[str, Any],
    *,
    published: str | None = None,
    author: str | None = None,
    highlights: Sequence[str] = (),
    summary: str | None = None,
    text: str | None = None,
) -> dict[str, Any]:
    """A result as V1 spells it."""
    return {
        "title": one.get("title"),
        "url": one["url"],
        "published_date": published,
        "author": author,
        "highlights": list(highlights),
        "summary": summary,
        **({"text": text} if text else {}),
    }


def _fits(one: Mapping[str, Any], wanted: SearchArguments) -> bool:
    host = urlsplit(one["url"]).hostname or ""

    def is_of(domains: Sequence[str]) -> bool:
        return any(host == one or host.endswith(f".{one}") for one in domains)

    day = _day(one.get("publishedDate"))
    since, until = _day(wanted.start_published_date), _day(wanted.end_published_date)
    return (
        (not wanted.include_domains or is_of(wanted.include_domains))
        and not is_of(wanted.exclude_domains or ())
        and (day is None or since is None or day >= since)
        and (day is None or until is None or day <= until)
    )


def _day(moment: str | None) -> str | None:
    """The day of an ISO 8601 time."""
    return moment[:10] if moment else None
