"""What a page in a browser may do with a server that needs no token.

A browser lets any page send to loopback. It says in `Origin` which page sends, and in `Host` by
which name: a name that somebody else controls may be made to lead here (DNS rebinding), and then
the page is of the same origin. So both are checked.
"""

import re
from collections.abc import Collection
from ipaddress import ip_address

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^:\[\]]+)(?::\d{1,5})?")
_USUAL_NAMES = frozenset({"localhost", "127.0.0.1"})
_WHAT_TO_DO = "An operator may name it in {setting}, or set O_API_TOKEN."


class BrowserCheck:
    """Refuses with 403 what comes by a foreign name, or from a page of a foreign origin."""

    def __init__(
        self, app: ASGIApp, allowed_hosts: Collection[str], allowed_origins: Collection[str]
    ) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in allowed_hosts)
        self._origins = frozenset(allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await JSONResponse({"detail": refusal}, status_code=403)(scope, receive, send)

    def _refusal(self, scope: Scope) -> str | None:
        headers = dict(scope["headers"])
        # Browsers always send it; what is older than HTTP/1.1 need not.
        host = headers.get(b"host", b"localhost").decode("latin-1").lower()
        if not self._is_ours(host):
            what_to_do = _WHAT_TO_DO.format(setting="O_ALLOWED_HOSTS")
            return f"This server does not go by the name {host[:200]!r}. {what_to_do}"
        origin = headers.get(b"origin")
        if origin is None or self._may_send(origin.decode("latin-1"), host):
            return None
        what_to_do = _WHAT_TO_DO.format(setting="O_CORS_ORIGINS")
        return f"Pages of {origin.decode('latin-1')[:200]!r} may not use this server. {what_to_do}"

    def _is_ours(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found["name"]
        return host in self._hosts or name in self._hosts or is_loopback(name.strip("[]"))

    def _may_send(self, origin: str, host: str) -> bool:
        """Whether the origin is allowed, or the page is one of this server's own."""
        if "*" in self._origins or origin in self._origins:
            return True
        own = (f"http://{host}", f"https://{host}")
        return origin.lower() in own


def is_loopback(name: str) -> bool:
    """Whether a name can only mean this machine."""
    if name in _USUAL_NAMES or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
