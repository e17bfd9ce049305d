"""The tools `fetch_webpage` and `web_search`, where the operator has enabled them."""

from collections.abc import Awaitable, Callable, Mapping

from o.errors import ToolFailed
from o.outbound import OutboundGuard
from o.settings.built_in import BuiltInSettings
from o.tools.invocation import Invocation, Returned, ToolRunner
from o.tools.tool import parsed
from o.tools.web import FETCH, SEARCH, FetchArguments, SearchArguments
from o.web.markdown import MarkdownProcesses
from o.web.pages import Pages
from o.web.reading import read_page
from o.web.search import WebSearch
from o.web.search_requests import Exa, SearchProvider, SearXNG, Tavily

_NO_PROVIDER = (
    "Nothing was searched: this server has no provider of web searches. Do not try again; tell the "
    "user that its operator would have to set O_EXA_API_KEY, O_TAVILY_API_KEY or O_SEARXNG_URL."
)


SecretsOf = Callable[[Invocation], Awaitable[Mapping[str, str]]]
"""The variables that the tool of a call sees, by name."""

_OWN_KEY = "EXA_API_KEY"


def web_runners(settings: BuiltInSettings, secrets_of: SecretsOf) -> dict[str, ToolRunner]:
    """The runners of the web tools by name, none where they are not enabled."""
    if not settings.web_tools:
        return {}
    provider = _provider(settings)
    return {
        FETCH: FetchRunner(Pages(OutboundGuard(settings.web_allow))),
        SEARCH: SearchRunner(provider, lambda key: Exa(settings.exa_base_url, key), secrets_of),
    }


def _provider(settings: BuiltInSettings) -> SearchProvider | None:
    if settings.exa_api_key is not None:
        return Exa(settings.exa_base_url, settings.exa_api_key.get_secret_value())
    if settings.tavily_api_key is not None:
        return Tavily(settings.tavily_base_url, settings.tavily_api_key.get_secret_value())
    return SearXNG(settings.searxng_url) if settings.searxng_url else None


class FetchRunner:
    """Fetches a page and makes it readable."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._markdown = MarkdownProcesses()

    def repeats_safely(self, call: Invocation) -> bool:
        """Yes: pages are only read."""
        return True

    async def run(
        self, call: Invocation, *, before_sending: Callable[[], Awaitable[None]]
    ) -> Returned:
        """Fetch a page; see `ToolRunner`."""
        arguments = parsed(FetchArguments, call.arguments)
        await before_sending()
        hosts: list[str] = []
        try:
            page = await self._pages.fetch(arguments.url, hosts.append)
            text = await read_page(page, self._markdown)
        except ToolFailed as error:
            return Returned("error", error.message, hosts=list(dict.fromkeys(hosts)))
        return Returned("success", text, hosts=list(dict.fromkeys(hosts)))


class SearchRunner:
    """Searches the web: with a key of the agent's own where it has one, as in V1."""

    def __init__(
        self,
        provider: SearchProvider | None,
        with_key: Callable[[str], SearchProvider],
        secrets_of: SecretsOf,
    ) -> None:
        self._provider = provider
        self._with_key = with_key
        self._secrets_of = secrets_of

    def repeats_safely(self, call: Invocation) -> bool:
        """Yes: a search changes nothing."""
        return True

    async def run(
        self, call: Invocation, *, before_sending: Callable[[], Awaitable[None]]
    ) -> Returned:
        """Search; see `ToolRunner`."""
        arguments = parsed(SearchArguments, call.arguments)
        secrets = {**await self._secrets_of(call), **call.environment}
        own = secrets.get(_OWN_KEY)
        provider = self._with_key(own) if own else self._provider
        if provider is None:
            raise ToolFailed(_NO_PROVIDER)
        await before_sending()
        return Returned("success", await WebSearch(provider).search(arguments))
