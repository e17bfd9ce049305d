"""The way from a tool to this server's own API, under the name `o.internal`."""

import asyncio
import ssl
from urllib.parse import urlsplit

from o.call_tokens import Call, CallTokens
from sandbox.egress.head import Head, Headers

# Who asks is said by the proxy, and by nobody else.
_SAID_HERE = frozenset(
    {"authorization", "x-bare-password", "user_id", "user-id", "cookie", "origin"}
)


class ApiDoor:
    """Connects to the API and says on whose behalf."""

    def __init__(self, url: str, tokens: CallTokens) -> None:
        """Take the API's address as workers reach it."""
        parts = urlsplit(url)
        self.host = parts.netloc
        """What the API is called in `Host`."""
        self._tokens = tokens
        self._name = parts.hostname or ""
        self._is_tls = parts.scheme == "https"
        self._port = parts.port or (443 if self._is_tls else 80)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the API; raises OSError where it is not there."""
        context = ssl.create_default_context() if self._is_tls else None
        return await asyncio.open_connection(self._name, self._port, ssl=context)

    def signed(self, head: Head, call: Call) -> tuple[Head, Headers]:
        """The request without what it says of its sender, and the header that says it.

        Raises:
            Unavailable: There is no key to make a token with.
        """
        kept = tuple((key, text) for key, text in head.headers if key.lower() not in _SAID_HERE)
        bare = Head(head.method, head.host, head.port, head.path, kept, head.body_bytes)
        return bare, (("Authorization", f"Bearer {self._tokens.mint(call)}"),)
