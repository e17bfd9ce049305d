"""Addresses with and without their last slash: both are served, none redirects.

Plain HTTP clients do not follow redirects, and a redirected POST loses its body in some of them.
"""

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

_TRIED = "o.other_spelling"


class OtherSpelling:
    """What the router does where no route fits: try the address once in its other spelling."""

    def __init__(self, router: ASGIApp, not_found: ASGIApp) -> None:
        self._router = router
        self._not_found = not_found

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the route of the other spelling does, or that there is none."""
        path = scope.get("path", "/")
        if scope["type"] != "http" or path == "/" or _TRIED in scope:
            await self._not_found(scope, receive, send)
            return
        scope[_TRIED] = True
        scope["path"] = other_spelling(path)
        await self._router(scope, receive, send)


def other_spelling(path: str) -> str:
    """The address without its last slash, or with one where it has none."""
    return path.removesuffix("/") if path.endswith("/") else f"{path}/"


def serve_both_spellings(app: FastAPI) -> None:
    """Answer each address with and without its last slash."""
    app.router.redirect_slashes = False
    app.router.default = OtherSpelling(app.router.app, app.router.default)
