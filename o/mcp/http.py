"""HTTP to an MCP server: what the `mcp` package sends goes through the outbound guard.

It is loaded with that package, and only then. Proxies, `.netrc` and cookies are not used, and
bodies are read up to a limit, whatever the server says of their length.
"""

from collections.abc import AsyncIterator, Mapping

import aiohttp
import httpx2
from yarl import URL

from o.errors import McpFailed, McpUnauthorized
from o.outbound import OutboundGuard, connection_failure, is_refusal

_CHUNK = 64 * 1024
_FAREWELL_S = 2.0
_FAILURES = {
    400: "it refused the request (400)",
    401: "it wants other credentials (401); OAuth is not supported, a token or header is",
    403: "its credentials do not allow this (403)",
    404: "it knows no such address or session (404)",
    405: "it takes no such request (405): the transport may be another one",
    429: "it is asked too often (429)",
}


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Sends the requests of one session.

    Attributes:
        problem: The first thing that was wrong, in words; the package's own errors say little.
        refused: Whether that was the server's answer, before it did anything.
        challenged: Whether it was a 401 that says how to show who asks (`WWW-Authenticate`).
    """

    def __init__(
        self, guard: OutboundGuard, headers: Mapping[str, str], *, connect_s: float, most: int
    ) -> None:
        """Connect to nothing yet.

        Args:
            guard: Says which addresses may be reached.
            headers: Of every request, secrets among them.
            connect_s: How long a connection may take.
            most: How many bytes the server may send in all.
        """
        self._guard = guard
        self._headers = dict(headers)
        self._connect_s = connect_s
        self._left = most
        self._most = most
        self._sessions: dict[tuple[str, str, int | None], aiohttp.ClientSession] = {}
        self.problem = ""
        self.refused = False
        self.challenged = False

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request. No redirect is followed here, and each address is judged by itself."""
        if self._left <= 0:
            raise self._failed(f"it sent more than {self._most} bytes")
        body = await request.aread()
        farewell = request.method == "DELETE"
        # Behind the first request, a GET is for what the server has to say by itself, if anything.
        is_aside = farewell or (request.method == "GET" and bool(self._sessions))
        try:
            response = await self._session(request.url).request(
                request.method,
                URL(str(request.url), encoded=True),
                data=body or None,
                headers=self._headers_of(request),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    total=_FAREWELL_S if farewell else None, sock_connect=self._connect_s
                ),
            )
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
            raise self._failed(_words(error)) from error
        if not is_aside:
            self._note_status(response)
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            response.close()
            raise self._failed("it compresses what it sends, which was not asked for")
        return httpx2.Response(
            response.status, headers=response.raw_headers, stream=_Body(self, response)
        )

    async def aclose(self) -> None:
        """Close the connections."""
        for session in self._sessions.values():
            await session.close()

    def take(self, size: int) -> None:
        """Count bytes that came.

        Raises:
            httpx2.ReadError: There were more than may be.
        """
        self._left -= size
        if self._left < 0:
            raise self._failed(f"it sent more than {self._most} bytes")

    def broke_off(self, error: Exception) -> httpx2.TransportError:
        """What a body that does not end as it should raises."""
        return self._failed("its answer broke off", error)

    def _headers_of(self, request: httpx2.Request) -> list[tuple[str, str]]:
        own = {name.lower() for name in self._headers} | {"accept-encoding", "host", "user-agent"}
        kept = [
            (name, value)
            for name, value in request.headers.items()
            if name.lower() not in own and name.lower() not in ("content-length", "connection")
        ]
        return [*kept, *self._headers.items(), ("Accept-Encoding", "identity")]

    def _note_status(self, response: aiohttp.ClientResponse) -> None:
        status = response.status
        if status >= 300 and not self.problem:
            is_redirect = status < 400
            words = "it redirects to somewhere else, which is not followed"
            words = words if is_redirect else _FAILURES.get(status, f"it answered {status}")
            self.problem, self.refused = words, status < 500
            self.challenged = status == 401 and "WWW-Authenticate" in response.headers

    def _failed(self, words: str, error: Exception | None = None) -> httpx2.TransportError:
        self.problem = self.problem or words
        failure = httpx2.ReadError(words)
        failure.__cause__ = error
        return failure

    def _session(self, url: httpx2.URL) -> aiohttp.ClientSession:
        """One for each place, since the guard judges a name and its port."""
        place = (url.scheme, url.host, url.port)
        if place not in self._sessions:
            self._sessions[place] = aiohttp.ClientSession(
                connector=self._guard.connector(str(url)),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return self._sessions[place]


class _Body(httpx2.AsyncByteStream):
    """The body of an answer, counted while it is read."""

    def __init__(self, transport: GuardedTransport, response: aiohttp.ClientResponse) -> None:
        self._transport = transport
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.content.iter_any():
                self._transport.take(len(chunk))
                for start in range(0, len(chunk), _CHUNK):
                    yield chunk[start : start + _CHUNK]
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._transport.broke_off(error) from error

    async def aclose(self) -> None:
        self._response.close()


def _words(error: Exception) -> str:
    """Why a request was not answered, without an address."""
    if is_refusal(error):
        return "its address is not public, and O_OUTBOUND_ALLOW does not name it"
    if isinstance(error, TimeoutError):
        return "it does not take connections in time"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "it closed the connection without an answer"
    if isinstance(error, aiohttp.ClientOSError):
        return f"it cannot be reached: {connection_failure(error)}"
    if isinstance(error, aiohttp.ClientError):
        return "what it answers is no HTTP"
    return "a header of its settings cannot be sent"


def failure_of(transport: GuardedTransport) -> McpFailed | None:
    """What the transport met, as an error; None where it met nothing."""
    if not transport.problem:
        return None
    if transport.challenged:
        return McpUnauthorized(transport.problem)
    return McpFailed(transport.problem, answered=transport.refused)
