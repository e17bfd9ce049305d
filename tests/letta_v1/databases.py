"""V1 databases, and databases of O that nobody serves, beside those of the product under test."""

import asyncio
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg

from migrations.upgrade import migrate
from o.storage.database import Database
from tests.letta_v1 import schema
from tests.letta_v1.moving import database_url
from tests.letta_v1.rows import V1
from tests.support.product import REPOSITORY, Product

# What is made anew at random, or says when it was written.
_VOLATILE = {
    "moved_rows": ["moved_at", "moved_hash"],  # of secrets too, which are encrypted anew each time
    "block_versions": ["created_at"],
    "organizations": ["providers_mark"],
    "archives": ["space_id", "next_space_id", "embed_after"],
    "vector_spaces": ["id", "index_name", "created_at"],
    "passage_vectors": ["space_id"],
    "providers": ["api_key", "access_key", "last_synced"],
    "tool_variables": ["value"],
    "mcp_servers": ["secrets"],
}
Rows = dict[str, list[str]]


_TEMPLATE = "o_template"


@contextmanager
def new_database(server: Product, prefix: str, template: str = "template1") -> Iterator[str]:
    """A new database in the product's PostgreSQL; its URL."""
    name = f"{prefix}_{uuid.uuid4().hex}"
    server.query(f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield database_url(server, name)
    finally:
        server.query(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def new_v1(server: Product) -> Iterator[V1]:
    """An empty V1 database."""
    with new_database(server, "v1") as url:
        with psycopg.connect(url, autocommit=True) as connection:
            schema.create(connection)
        database = V1(url)
        yield database
        database.close()


@contextmanager
def new_o(server: Product) -> Iterator[str]:
    """A database of O that nobody serves; its URL."""
    if not server.query("SELECT 1 FROM pg_database WHERE datname = %s", _TEMPLATE):
        server.query(f"CREATE DATABASE {_TEMPLATE}")
        _migrate(database_url(server, _TEMPLATE))
    with new_database(server, "o", _TEMPLATE) as url:
        yield url


def _migrate(url: str) -> None:
    async def run() -> None:
        database = Database(url, pool_size=2)
        await migrate(database)
        await database.close()

    with ThreadPoolExecutor(1) as thread:  # the tests' own loop may be running in this one
        thread.submit(asyncio.run, run()).result()


def start_move(
    v1_url: str, o_url: str, *flags: str, key: str | None = None
) -> subprocess.Popen[str]:
    """`o import letta` into a database of O, as a process."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("O_")}
    env |= {"DATABASE_URL": o_url, "O_DATA_DIR": "/nowhere", "O_ENCRYPTION_KEY": "k" * 43}
    env |= {"O_LETTA_ENCRYPTION_KEY": key} if key else {}
    command = [sys.executable, "-m", "server.cli", "import", "letta", v1_url, "--json", *flags]
    return subprocess.Popen(
        command, cwd=REPOSITORY, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def move(v1_url: str, o_url: str, *flags: str, key: str | None = None) -> dict[str, Any]:
    """The same to its end: its result, its exit `status`, and its `errors`."""
    process = start_move(v1_url, o_url, *flags, key=key)
    out, errors = process.communicate(timeout=100)
    return {"status": process.returncode, "errors": errors} | (json.loads(out) if out else {})


def all_rows(o_url: str) -> Rows:
    """Every row of a database of O by table, without what is never twice the same."""
    found: Rows = {}
    with psycopg.connect(o_url) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        tables = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' "
            "AND relnamespace = 'public'::regnamespace ORDER BY 1"
        ).fetchall()
        for (table,) in tables:
            statement = (
                f"SELECT (to_jsonb(t) - %s::text[])::text FROM {table} AS t ORDER BY 1".encode()
            )
            rows = connection.execute(statement, (_VOLATILE.get(table, []),))
            found[table] = [row for (row,) in rows]
    return found


def differences(one: Rows, other: Rows) -> dict[str, int]:
    """The tables that differ, each with how many rows do."""
    return {
        table: len(set(one[table]) ^ set(other[table])) or -1
        for table in one
        if one[table] != other[table]
    }
