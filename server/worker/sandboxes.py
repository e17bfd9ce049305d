"""The sandbox of a worker: made in the background, and told of in the database."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict

from sqlalchemy.exc import SQLAlchemyError

from o.errors import OError
from o.settings.all import Settings
from o.storage.database import Database
from o.storage.tools.sandbox_states import SAID_EVERY_S, forget_sandbox_state, say_sandbox_state
from sandbox.choice import ChosenSandbox, build_sandbox
from sandbox.egress.exits import Egress
from sandbox.old_packages import remove_old
from server.worker.outside_work import packages_folder

_log = logging.getLogger(__name__)
_CHANGE_S = 0.5
_TIDY_S = 3600.0


@asynccontextmanager
async def sandbox_of_worker(
    settings: Settings, database: Database, worker: str
) -> AsyncIterator[ChosenSandbox]:
    """The sandbox, while the block lasts. Nothing waits until it is known."""
    sandbox = build_sandbox(settings, Egress(settings))
    await sandbox.start()
    beside = [
        asyncio.create_task(_tell(sandbox, database, worker)),
        asyncio.create_task(_keep_tidy(settings)),
    ]
    try:
        yield sandbox
    finally:
        for task in beside:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await sandbox.close()


async def _tell(sandbox: ChosenSandbox, database: Database, worker: str) -> None:
    """Say what it is whenever that changes, and every 20 s, until cancelled."""
    loop = asyncio.get_running_loop()
    said, said_at_s = None, 0.0
    try:
        while True:
            state = sandbox.state
            if sandbox.is_known and (state != said or loop.time() - said_at_s >= SAID_EVERY_S):
                with contextlib.suppress(SQLAlchemyError, OError):  # the next time
                    async with database.begin() as connection:
                        await say_sandbox_state(connection, worker, asdict(state))
                    said, said_at_s = state, loop.time()
            await asyncio.sleep(_CHANGE_S)
    finally:
        with contextlib.suppress(SQLAlchemyError, OError, TimeoutError):
            async with asyncio.timeout(1.0), database.begin() as connection:
                await forget_sandbox_state(connection, worker)


async def _keep_tidy(settings: Settings) -> None:
    """Remove installed requirements that no tool has needed for long, until cancelled."""
    kept_s = settings.keep_packages_days * 24 * 3600
    while True:
        await asyncio.sleep(_TIDY_S)  # a worker that starts has more to do
        try:
            await asyncio.to_thread(remove_old, packages_folder(settings), kept_s=kept_s)
        except OSError as error:
            _log.warning("unused requirements stay", extra={"error": type(error).__name__})
