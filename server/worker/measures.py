"""A worker's measures: for the other processes of its machine, and on a port of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hmac import compare_digest
from typing import TYPE_CHECKING

from o.metrics.exposition import CONTENT_TYPE
from o.metrics.neighbours import shown_to_others
from o.metrics.own import OwnMeasures
from o.settings.all import Settings
from server.up.ports import bind

if TYPE_CHECKING:
    from aiohttp import web


@asynccontextmanager
async def worker_measures(settings: Settings, own: OwnMeasures) -> AsyncIterator[None]:
    """Show what the worker measures while the block lasts.

    Raises:
        Conflict: The port of O_METRICS_PORT cannot be taken.
    """
    async with shown_to_others(settings.metrics_dir, "worker", own.text) as name:
        if settings.metrics_port is None:
            yield
            return
        from aiohttp import web  # noqa: PLC0415 - the server's side, for those that have a port

        variables = "O_METRICS_HOST, O_METRICS_PORT"
        sockets = bind(settings.metrics_host, settings.metrics_port, variables=variables)
        runner = web.AppRunner(_application(settings, own, name), access_log=None)
        await runner.setup()
        try:
            for one in sockets:
                await web.SockSite(runner, one).start()
            yield
        finally:
            await runner.cleanup()


def _application(settings: Settings, own: OwnMeasures, name: str) -> "web.Application":
    from aiohttp import web  # noqa: PLC0415 - see above

    tokens = [
        f"Bearer {token.get_secret_value()}".encode()
        for token in (settings.metrics_token, settings.api_token)
        if token is not None
    ]

    async def metrics(request: web.Request) -> web.Response:
        said = request.headers.get("authorization", "").encode(errors="surrogateescape")
        if tokens and not any(compare_digest(said, token) for token in tokens):
            return web.Response(status=401, headers={"www-authenticate": "Bearer"})
        return web.Response(text=await own.text(name), headers={"content-type": CONTENT_TYPE})

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    application = web.Application(client_max_size=1_024)
    application.router.add_get("/metrics", metrics)
    application.router.add_get("/health", health)
    return application
