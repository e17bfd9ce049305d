"""`python -m bench.web DATABASE_URL`: the least that FastAPI costs, alone and with one statement.

Served as `o api` is: uvicorn with uvloop and httptools, no access log, one database like ours.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI
from sqlalchemy import select

from bench.child import until_orphaned
from o.storage.database import Database
from o.storage.tables.core import organizations
from server.up.ports import free_port

HELLO, SELECT = "/hello", "/select"
SELECTED = "default_org"
"""What the answer with one question holds."""


def _app(database_url: str) -> FastAPI:
    database = Database(database_url, pool_size=10, name="bench web")
    pool = database
    statement = select(organizations.c.id, organizations.c.name)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await database.close()

    app = FastAPI(lifespan=lifespan)

    @app.get(HELLO)
    async def hello() -> dict[str, str]:
        return {"hello": "world"}

    @app.get(SELECT)
    async def one_select() -> dict[str, str]:
        async with pool.connect() as connection:
            rows = await connection.execute(statement.where(organizations.c.name == SELECTED))
            row = rows.one()
        return {"id": row.id, "name": row.name}

    return app


async def _serve(database_url: str) -> None:
    port = free_port()
    config = uvicorn.Config(
        _app(database_url),
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    await until_orphaned(f"http://127.0.0.1:{port}")
    server.should_exit = True
    await serving


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve(sys.argv[1]))
