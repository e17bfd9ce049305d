"""The page at `/`: what this is, and where to go from here."""

import html
from importlib.metadata import version
from pathlib import Path
from string import Template

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from api.routes.health import V1_RELEASE
from o.settings import Settings

_PAGE = Template(Path(__file__).with_suffix(".html").read_text(encoding="utf-8"))
# It runs no script and loads nothing, and no other page may frame it.
_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "frame-ancestors 'none'"
}


def first_page(settings: Settings) -> APIRouter:
    """The route of the page, which says what this server is to a person who opens its address."""
    router = APIRouter(include_in_schema=False)
    page = _page(settings)

    @router.get("/")
    async def show() -> HTMLResponse:
        return HTMLResponse(page, headers=_HEADERS)

    return router


def _page(settings: Settings) -> str:
    needs_token = settings.api_token is not None
    return _PAGE.substitute(
        token="; requests need the server's token" if needs_token else "",
        temporal=_temporal(settings.temporal_ui_url),
        version=version("o-server"),
        v1=V1_RELEASE,
    )


def _temporal(url: str | None) -> str:
    if url is None:
        return "its UI shows every conversation at work; its address is not known here"
    address = html.escape(url)
    return f'<a href="{address}">{address}</a> shows every conversation at work'
