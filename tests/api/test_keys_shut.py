"""A key that was shut while a process looked it up opens nothing there afterwards."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from api.access.keys import KeyBook
from o.domain.keys import hash_of
from o.storage.database import Database
from tests.support.organizations import new_key
from tests.support.product import Product


class _Slow(Database):
    """A database whose answers come late."""

    def __init__(self, url: str) -> None:
        super().__init__(url, name="keys shut")
        self.has_read, self.goes_on = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:  # type: ignore[override]
        async with super().connect() as connection:
            yield connection
            self.has_read.set()
            await self.goes_on.wait()


async def test_a_look_that_is_older_than_what_was_shut_is_not_remembered(server: Product) -> None:
    book, secret = KeyBook(), new_key(server, "read")
    database = _Slow(server.state["database_url"])
    looking = asyncio.create_task(book.find(database, secret))
    async with asyncio.timeout(10):
        await database.has_read.wait()
    server.query("UPDATE api_keys SET revoked_at = now() WHERE hash = %s", hash_of(secret))
    book.forget()
    database.goes_on.set()
    assert await looking is not None, "it was good when it was asked for"
    assert await book.find(database, secret) is None
    await database.close()
