"""The database of a backup: one's own, that of the `o up` that runs, or one that nobody serves."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from o.settings.all import Settings
from o.storage.database import libpq_url
from server.on_database import target_url
from server.up import embedded_postgres, locks, postgres_account, supervisor
from server.up.child import Child
from server.up.launch import Launcher

_GRACE_S = 25.0


@asynccontextmanager
async def open_source(settings: Settings) -> AsyncIterator[str]:
    """The URL of the database to back up, which may be serving.

    Raises:
        OError: There is none.
    """
    data_dir = settings.data_dir.resolve()
    is_made = (data_dir / "postgres" / "data").exists()
    if settings.database_url is None and is_made and locks.holder(data_dir) is None:
        async with _started(settings, data_dir) as url:
            yield url
    else:
        yield target_url(settings)


@asynccontextmanager
async def open_target(settings: Settings) -> AsyncIterator[str]:
    """The URL of the database to restore into: DATABASE_URL, else one in the data directory.

    Raises:
        Conflict: `o up` runs in the data directory.
        OError: It cannot be made.
    """
    if settings.database_url is not None:
        yield libpq_url(settings.database_url.get_secret_value())
        return
    async with _started(settings, supervisor.private(settings.data_dir)) as url:
        yield url


@asynccontextmanager
async def _started(settings: Settings, data_dir: Path) -> AsyncIterator[str]:
    """The PostgreSQL of a data directory, for as long as it is needed."""
    lock = locks.claim(data_dir)
    launcher = Launcher(data_dir)
    try:
        await locks.wait_until_free(data_dir / "run")
        cluster = embedded_postgres.Cluster(data_dir, settings)
        binaries = embedded_postgres.find_binaries()
        account = await postgres_account.choose(cluster.home, binaries)
        await cluster.prepare(launcher, account)
        child = Child(cluster.program(), launcher)
        child.start()
        try:
            await cluster.wait_ready(child)
            yield libpq_url(cluster.url)
        finally:
            await asyncio.shield(child.stop(_GRACE_S))
    finally:
        launcher.close()
        os.close(lock)
