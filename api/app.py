"""The application: its parts, its routes, and what stands in front of them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from importlib.metadata import version

from fastapi import APIRouter, FastAPI
from fastapi_offline import FastAPIOffline
from temporalio.client import Client

from api.answers.watch import RunWatcher
from api.deps import Parts
from api.documentation import ERRORS, document, serve_document
from api.edge.allow_header import PREFIXES, AllowedMethods
from api.edge.front import add_checks
from api.edge.route_index import find_by_words
from api.edge.slashes import serve_both_spellings
from api.errors import install_error_handlers
from api.local_vectors import LocalVectors
from api.measures import Measures
from api.providers import ProviderBook
from api.readiness import Readiness
from api.routes import (
    admin,
    admin_keys,
    agent_blocks,
    agent_context,
    agent_files,
    agent_folders,
    agent_open_files,
    agent_tools,
    agents,
    archival_memory,
    archive_duplicates,
    archive_embedding,
    archives,
    batches,
    block_versions,
    blocks,
    cancels,
    chat,
    codec,
    compaction,
    conversation_messages,
    conversations,
    embeddings,
    empty_lists,
    first_page,
    folder_files,
    folders,
    generation,
    groups,
    health,
    histories,
    identities,
    identity_links,
    mcp_servers,
    measures,
    message_records,
    message_searches,
    messages,
    models,
    named_mcp_servers,
    not_implemented,
    passage_searches,
    runs,
    sandbox_configs,
    sources,
    steps,
    streams,
    tags,
    tools,
    traces,
    usage,
)
from api.routes import providers as provider_routes
from api.tools.mcp_servers import McpBook
from api.turns.callbacks import Callbacks
from api.turns.turns import Turns
from api.worker_requests import WorkerRequests
from o.domain.runs import StopReason
from o.llm.embedding.embeddings import Embedder
from o.llm.embedding.local import default_embedding
from o.llm.embedding.text_embedder import TextModels
from o.llm.providers.catalogue import Catalogue
from o.llm.providers.provider_rows import ProviderRows
from o.metrics.measures import begin
from o.outbound import OutboundGuard
from o.process_memory import spare_collector
from o.secrets import Keyring
from o.settings.all import Settings
from o.settings.providers import ProviderSettings
from o.storage.availability import until_shutdown
from o.storage.database import Database
from o.storage.providers import provider_reader
from o.storage.search.archival import PassageSearch
from o.storage.search.query_vectors import QueryVectors
from o.storage.search.recall import MessageSearch
from o.storage.tools.variables import Variables
from o.temporal.connection import connect
from o.temporal.embeddings import EmbeddingStarter
from o.temporal.ingestions import IngestionStarter

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
    app = _prepared.pop() if _prepared else _with_routes()
    app.router.lifespan_context = _lifespan(settings, providers, on_ready)
    app.include_router(first_page.first_page(settings))
    app.include_router(measures.router)
    install_error_handlers(app)
    document(app, needs_token=settings.api_token is not None)
    add_checks(app, settings)
    return app


_prepared: list[FastAPI] = []


def prepare() -> None:
    """Make the routes ready for the next `create_app`, in this process or in a fork of it.

    To work out what each of them takes and answers is some two seconds of a processor. A repeat
    does nothing.
    """
    if not _prepared:
        _prepared.append(_with_routes())


def _with_routes() -> FastAPI:
    """The application with every route that no setting changes."""
    app = FastAPIOffline(
        title="O",
        version=version("o-server"),
        description=_DESCRIPTION,
        redoc_url=None,  # it fetches a picture from elsewhere
        strict_content_type=False,  # as V1; whose page sends is checked by its origin
    )
    serve_document(app)
    routes = _routes()
    documented, *others = PREFIXES
    app.include_router(routes, prefix=documented, responses=ERRORS)
    for prefix in others:
        app.include_router(routes, prefix=prefix, include_in_schema=False)
    app.state.allowed = AllowedMethods(route for one in _ROUTERS for route in one.routes)
    serve_both_spellings(app)
    find_by_words(app)
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
        embedder = Embedder()
        parts = _parts(settings, providers, database, watcher, temporal, embedder)
        app.state.parts = parts
        app.state.take_leave = watcher.take_leave
        watching = asyncio.create_task(until_shutdown(database, watcher.run))
        spare_collector()
        begin(StopReason)
        async with parts.measures.shown(settings.metrics_dir):
            on_ready()
            yield
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await embedder.close()
        await database.close()

    return lifespan


def _parts(
    settings: Settings,
    providers: ProviderSettings,
    database: Database,
    watcher: RunWatcher,
    temporal: Client,
    embedder: Embedder,
) -> Parts:
    """What routes are given; nothing of it asks anybody yet."""
    keyring = Keyring(settings.data_dir, settings.encryption_key)
    guard = OutboundGuard(settings.outbound_allow)
    rows = ProviderRows(providers, keyring, provider_reader(database), guard)
    workers = WorkerRequests(database, temporal, keyring, settings.task_queue)
    local = LocalVectors(workers).embed
    texts = TextModels(rows, embedder, local, default_embedding(providers))
    queries = QueryVectors(texts, timeout_s=settings.search_embedding_timeout_s)
    return Parts(
        settings=settings,
        database=database,
        temporal=temporal,
        turns=Turns(database, temporal, watcher, settings),
        callbacks=Callbacks(temporal, watcher, settings.task_queue),
        catalogue=Catalogue(rows),
        providers=ProviderBook(rows, keyring),
        embedder=embedder,
        texts=texts,
        embeddings=EmbeddingStarter(temporal, settings.task_queue),
        ingestions=IngestionStarter(temporal, settings.task_queue),
        default_embedding=default_embedding(providers),
        outbound=guard,
        measures=Measures(database, temporal, settings.task_queue),
        readiness=Readiness(database, temporal, settings.task_queue),
        variables=Variables(keyring),
        passage_search=PassageSearch(database, queries, timeout_s=settings.search_timeout_s),
        message_search=MessageSearch(database, queries, timeout_s=settings.search_timeout_s),
        workers=workers,
        mcp=McpBook(database, keyring, workers, guard, settings),
    )


# They are tried in turn, so those of every turn come first.
_ROUTERS = tuple(
    module.router
    for module in (
        messages,
        cancels,
        compaction,
        generation,
        streams,
        conversation_messages,
        agent_files,  # its `import` is no agent
        agents,
        agent_context,
        histories,
        conversations,
        agent_blocks,
        agent_tools,
        agent_folders,
        agent_open_files,
        folders,
        folder_files,
        sources,
        blocks,
        archival_memory,
        archives,
        archive_duplicates,
        block_versions,
        identities,
        identity_links,
        groups,
        tags,
        runs,
        steps,
        usage,
        traces,
        empty_lists,
        batches,  # it is no message
        message_searches,
        passage_searches,
        message_records,
        models,
        provider_routes,
        embeddings,
        archive_embedding,
        chat,  # its `models/{model_id}` is not V1's `models/embedding`
        tools,
        mcp_servers,
        named_mcp_servers,
        sandbox_configs,
        admin,
        admin_keys,
        health,
        codec,
        not_implemented,
    )
)


def _routes() -> APIRouter:
    """Every route."""
    routes = APIRouter()
    for router in _ROUTERS:
        routes.include_router(router)
    return routes
