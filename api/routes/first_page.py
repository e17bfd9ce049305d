"""The page at `/`: what this is, and where to go from here."""

import asyncio
import html
from importlib.metadata import version
from pathlib import Path
from string import Template

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from sqlalchemy.exc import SQLAlchemyError

from api.deps import Parts
from api.routes.health import V1_RELEASE
from o.ids import DEFAULT_ORGANIZATION_ID
from o.llm.providers.catalogue import Catalogue, ProviderState
from o.settings.all import Settings

_PATIENCE_S = 2.0

_PAGE = Template(Path(__file__).with_suffix(".html").read_text(encoding="utf-8"))
# It runs no script and loads nothing, and no other page may frame it.
_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "frame-ancestors 'none'"
}


def first_page(settings: Settings) -> APIRouter:
    """The route of the page, which says what this server is to a person who opens its address."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def show(request: Request) -> HTMLResponse:
        parts: Parts | None = getattr(request.app.state, "parts", None)
        # Which providers there are is for callers who bring the token, and this page asks for none.
        known = None if parts is None or settings.api_token else parts.catalogue
        page = _page(settings, await _models(known))
        return HTMLResponse(page, headers=_HEADERS)

    return router


def _page(settings: Settings, models: str) -> str:
    needs_token = settings.api_token is not None
    return _PAGE.substitute(
        token="; requests need the server's token" if needs_token else "",
        models=models,
        temporal=_temporal(settings.temporal_ui_url),
        version=version("o-server"),
        v1=V1_RELEASE,
    )


async def _models(catalogue: Catalogue | None) -> str:
    """How the providers stand, as far as that is known within a moment."""
    where = '<a href="v1/models/">which agents can use</a>'
    if catalogue is None:
        return where
    try:
        async with asyncio.timeout(_PATIENCE_S):
            states = await catalogue.survey(DEFAULT_ORGANIZATION_ID)
    except (TimeoutError, SQLAlchemyError):
        return where
    return f"{where}: {html.escape('; '.join(map(_words, states)) or 'none')}"


def _words(state: ProviderState) -> str:
    if state.problem:
        return f"{state.provider.name} does not answer ({state.problem.rstrip('.')})"
    if state.count is None:
        return f"{state.provider.name} (has no list)"
    return f"{state.provider.name} ({state.count})"


def _temporal(url: str | None) -> str:
    if url is None:
        return "its UI shows every conversation at work; its address is not known here"
    address = html.escape(url)
    return f'<a href="{address}">{address}</a> shows every conversation at work'
