"""The application: its parts, its routes, and what stands in front of them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from importlib.metadata import version

from fastapi import APIRouter, FastAPI
from fastapi_offline import FastAPIOffline

from api.answers.watch import RunWatcher
from api.callbacks import Callbacks
from api.deps import Parts
from api.documentation import ERRORS, document
from api.edge.allow_header import PREFIXES, AllowedMethods
from api.edge.front import add_checks
from api.edge.slashes import serve_both_spellings
from api.errors import install_error_handlers
from api.mcp_servers import McpBook
from api.providers import ProviderBook
from api.readiness import Readiness
from api.routes import (
    agent_blocks,
    agent_tools,
    agents,
    blocks,
    cancels,
    chat,
    conversation_messages,
    conversations,
    embeddings,
    empty_lists,
    first_page,
    health,
    histories,
    mcp_servers,
    message_records,
    messages,
    models,
    not_implemented,
    runs,
    sandbox_configs,
    steps,
    streams,
    tools,
    traces,
    usage,
)
from api.routes import providers as provider_routes
from api.turns import Turns
from api.worker_requests import WorkerRequests
from o.llm.catalogue import Catalogue
from o.llm.embeddings import Embedder
from o.llm.provider_rows import ProviderRows
from o.outbound import OutboundGuard
from o.process_memory import spare_collector
from o.secrets import Keyring
from o.settings import ProviderSettings, Settings
from o.storage.availability import until_shutdown
from o.storage.database import Database
from o.storage.providers import provider_reader
from o.storage.tool_variables import Variables
from o.temporal.connection import connect

_DESCRIPTION = "A server for AI agents that remember. The API is that of the Letta V1 server."


def create_app(
    settings: Settings,
    providers: ProviderSettings,
    *,
    on_ready: Callable[[], None] = lambda: None,
) -> FastAPI:
    """The API for these settings. Its connections are made when it starts.

    Args:
        settings: Where the database and Temporal are, and what is allowed.
        providers: Where models come from.
        on_ready: Called once, when requests are taken.
    """
    app = FastAPIOffline(
        title="O",
        version=version("o-server"),
        description=_DESCRIPTION,
        lifespan=_lifespan(settings, providers, on_ready),
        redoc_url=None,  # it fetches a picture from elsewhere
        strict_content_type=False,  # as V1; whose page sends is checked by its origin
    )
    routes = _routes()
    app.include_router(first_page.first_page(settings))
    documented, *others = PREFIXES
    app.include_router(routes, prefix=documented, responses=ERRORS)
    for prefix in others:
        app.include_router(routes, prefix=prefix, include_in_schema=False)
    app.state.allowed = AllowedMethods(route for one in _ROUTERS for route in one.routes)
    serve_both_spellings(app)
    install_error_handlers(app)
    document(app, needs_token=settings.api_token is not None)
    add_checks(app, settings)
    return app


def _lifespan(
    settings: Settings, providers: ProviderSettings, on_ready: Callable[[], None]
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """What the application has while it serves."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        database_url = settings.database_url.get_secret_value() if settings.database_url else ""
        database = Database(
            database_url,
            pool_size=settings.database_pool,
            name="o api",
            place=settings.database_dir,
        )
        watcher = RunWatcher(database_url, patience_s=settings.database_patience_s)
        temporal = await connect(settings, lazy=True)
        keyring = Keyring(settings.data_dir, settings.encryption_key)
        rows = ProviderRows(providers, keyring, provider_reader(database))
        embedder = Embedder()
        guard = OutboundGuard(settings.outbound_allow)
        workers = WorkerRequests(database, temporal, keyring, settings.task_queue)
        app.state.parts = Parts(
            settings=settings,
            database=database,
            temporal=temporal,
            turns=Turns(database, temporal, watcher, settings),
            callbacks=Callbacks(temporal, watcher, settings.task_queue),
            catalogue=Catalogue(rows),
            providers=ProviderBook(rows, keyring),
            embedder=embedder,
            outbound=guard,
            readiness=Readiness(database, temporal, settings.task_queue),
            variables=Variables(keyring),
            workers=workers,
            mcp=McpBook(database, keyring, workers, guard, settings),
        )
        app.state.take_leave = watcher.take_leave
        watching = asyncio.create_task(until_shutdown(database, watcher.run))
        spare_collector()
        on_ready()
        yield
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await embedder.close()
        await database.close()

    return lifespan


# They are tried in turn, so those of every turn come first.
_ROUTERS = tuple(
    module.router
    for module in (
        messages,
        cancels,
        streams,
        conversation_messages,
        agents,
        histories,
        conversations,
        agent_blocks,
        agent_tools,
        blocks,
        runs,
        steps,
        usage,
        traces,
        empty_lists,  # its `batches` is no message
        message_records,
        models,
        provider_routes,
        embeddings,
        chat,  # its `models/{model_id}` is not V1's `models/embedding`
        tools,
        mcp_servers,
        sandbox_configs,
        health,
        not_implemented,
    )
)


def _routes() -> APIRouter:
    """Every route."""
    routes = APIRouter()
    for router in _ROUTERS:
        routes.include_router(router)
    return routes
