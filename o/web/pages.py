"""Pages of the web, fetched for an agent: every connection is judged, and all has its bounds."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import aiohttp
from yarl import URL

from o.errors import ToolFailed
from o.outbound import OutboundGuard, connection_failure, is_refusal
from o.web.bodies import ACCEPTED_ENCODINGS, Body, read_body

_MOST_BYTES = 5 * 1024 * 1024
_MOST_REDIRECTS = 10
_WHOLE_S = 30.0
_CONNECT_S = 10.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = {
    "User-Agent": "Mozilla/5.0 (compatible; O; reads pages that its agents ask for)",
    "Accept": "text/html,application/xhtml+xml,text/*;q=0.9,application/json;q=0.9,*/*;q=0.5",
    "Accept-Language": "en;q=0.8,*;q=0.5",
    "Accept-Encoding": ACCEPTED_ENCODINGS,
}
_REFUSED = (
    "The page was not fetched: its address is not public. Only what anyone can reach may be read."
)


@dataclass(frozen=True)
class Page:
    """What came.

    Attributes:
        url: Where it is, after redirects.
        content_type: In lower case, without parameters; empty where the server says nothing.
        charset: What the server says; None for nothing.
    """

    url: str
    content_type: str
    charset: str | None
    body: Body


class Pages:
    """Fetches pages. Nothing of one call, such as a cookie, is there in another."""

    def __init__(
        self, guard: OutboundGuard, *, most_bytes: int = _MOST_BYTES, whole_s: float = _WHOLE_S
    ) -> None:
        self._guard = guard
        self._most_bytes = most_bytes
        self._whole_s = whole_s

    async def fetch(self, url: str, note_host: Callable[[str], None]) -> Page:
        """The page at a URL, and not more of it than is read here.

        Args:
            url: As a model wrote it; without a scheme it is taken for HTTPS.
            note_host: Called for each host before it is asked.

        Raises:
            ToolFailed: There is no page to read, in words for the model.
        """
        jar = aiohttp.CookieJar(unsafe=True)  # many pages come only to who brings their cookie back
        url = _with_scheme(url.strip())
        try:
            async with asyncio.timeout(self._whole_s):
                for _ in range(_MOST_REDIRECTS + 1):
                    note_host(_host(url))
                    found = await self._ask(url, jar)
                    if not isinstance(found, str):
                        kind, charset, body = found
                        return Page(url, kind, charset, body)
                    url = found
        except TimeoutError:
            raise ToolFailed(
                f"The page did not come within {self._whole_s:g} s. Try another one."
            ) from None
        raise ToolFailed(f"The page leads on and on: {_MOST_REDIRECTS} redirects were followed.")

    async def _ask(self, url: str, jar: aiohttp.CookieJar) -> str | tuple[str, str | None, Body]:
        """Where a page has moved, or what it is."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S)
        try:
            async with (
                aiohttp.ClientSession(
                    connector=self._guard.connector(url),
                    cookie_jar=jar,
                    timeout=timeout,
                    auto_decompress=False,
                ) as session,
                session.get(URL(url), headers=_HEADERS, allow_redirects=False) as response,
            ):
                if response.status in _REDIRECTS and "Location" in response.headers:
                    return _moved(url, response.headers["Location"])
                _check_status(response)
                kind = response.headers.get("Content-Type", "").split(";")[0].strip().lower()
                body = await read_body(response, most=self._most_bytes)
                return kind, response.charset, body
        except aiohttp.ClientError as error:
            raise ToolFailed(_why(error)) from None
        except (ValueError, UnicodeError):
            raise ToolFailed(f"That is no address of a page: {url[:200]!r}.") from None


def _with_scheme(url: str) -> str:
    """Models leave the scheme out; a host with a port looks like one."""
    scheme, colon, rest = url.partition(":")
    has_one = colon and scheme.isalpha() and not rest[:1].isdigit()
    return url if has_one else f"https://{url.removeprefix('//')}"


def _host(url: str) -> str:
    """The host of a URL that may be asked.

    Raises:
        ToolFailed: It may not.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, None
    if parts is None or parts.scheme not in {"http", "https"} or not host:
        raise ToolFailed(
            f"That is no address of a page: {url[:200]!r}. It begins with http:// or https://."
        )
    if parts.username or parts.password:
        raise ToolFailed("An address with a user's name or password in it is not fetched.")
    return host


def _moved(url: str, location: str) -> str:
    # Bytes above 127 come as surrogates; most servers mean UTF-8.
    place = location.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return urljoin(url, place)


def _check_status(response: aiohttp.ClientResponse) -> None:
    status = response.status
    if 200 <= status < 300:
        return
    what = {
        401: "it wants a login",
        402: "it wants to be paid for",
        403: "its server does not give it to programs",
        404: "there is no such page",
        410: "there is no such page any more",
        429: "its server was asked too often; wait before you try again",
        451: "its server may not give it to anyone here",
    }.get(status, "its server has an error" if status >= 500 else "its server refuses it")
    raise ToolFailed(f"The page was not read: {what} (HTTP {status}).")


def _why(error: aiohttp.ClientError) -> str:
    if is_refusal(error):
        return _REFUSED
    if isinstance(error, aiohttp.ClientOSError):
        return f"The page was not fetched: {connection_failure(error)}."
    if isinstance(error, aiohttp.InvalidURL):
        return "That is no address of a page."
    return "The page was not fetched: what its server answered is no proper HTTP."
