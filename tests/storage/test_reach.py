"""A database that cannot be reached is named in words; one that shuts down is left."""

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
from psycopg import OperationalError
from sqlalchemy import text
from sqlalchemy.exc import OperationalError as OperationalFailure

from o.errors import InvalidInput, Unavailable
from o.storage.availability import reach, reason_of, until_shutdown, why_unreachable
from o.storage.database import DISK_IS_FULL, Database, libpq_url, why_away
from tests.storage.bare import BareServer, serve_bare
from tests.support.disk import fill, small_disk
from tests.support.product import Product
from tests.support.provider import HANDLE, FakeProvider


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost",
        "mysql://o:hush@127.0.0.1/o",
        "sqlite:///hush",
        "postgresql://o:hush@127.0.0.1:port/o",
        "postgresql://o:hush@[::1/o",
        "postgresql://o:hush@127.0.0.1/o?hushmode=require",
    ],
)
def test_what_is_no_address_of_a_database_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Database(url)
    assert "write postgresql://" in refused.value.message
    assert "hush" not in refused.value.message


@pytest.mark.parametrize(
    "url", ["postgres://o@h/o", "postgresql+psycopg://o@/o?host=/tmp/x&port=1"]
)
def test_every_spelling_of_an_address_is_taken(url: str) -> None:
    assert libpq_url(url).startswith("postgresql://o@")


async def test_who_does_not_answer_or_lets_nobody_in_is_named(bare: BareServer) -> None:
    await reach(bare.database.url)
    home = bare.database.engine.url.query["host"]
    reasons = {
        "postgresql://o:hush@127.0.0.1:9/o": "nothing listens there",
        "postgresql://o:hush@nowhere.invalid/o": "its host name is not known",
        f"postgresql://o@/missing?host={home}": "it has no such database or user",
        f"postgresql://somebody@/postgres?host={home}": "it has no such database or user",
    }
    for url, reason in reasons.items():
        assert str(await why_unreachable(url)) == reason
        with pytest.raises(Unavailable, match=reason) as refused:
            await reach(url)
        assert "hush" not in refused.value.message


@pytest.mark.parametrize("install", ["pginstall", "pginstall18"])
async def test_a_full_disk_that_lets_nobody_in_is_named_with_what_helps(
    tmp_path: Path, install: str
) -> None:
    """A connection may have to write a file first, of what PostgreSQL knows of its catalogue."""
    with small_disk(tmp_path / "disk", 200) as disk:
        async with serve_bare(install, disk / "postgres") as (_, _, url):
            for known in (disk / "postgres").rglob("pg_internal.init"):
                known.unlink()
            fill(disk / "filler")
            with pytest.raises(Unavailable, match=r"its disk is full\. Make room there") as refused:
                await reach(url, patience_s=0.5)
            assert "Start it" not in refused.value.message
            database = Database(url)
            with pytest.raises(OperationalFailure) as failed:
                await database.check_answering()
            assert why_away(failed.value) == DISK_IS_FULL
            (disk / "filler").unlink()
            await database.check_answering()
            await database.close()


@pytest.mark.parametrize(
    ("text", "lasts"),
    [
        ("SSL SYSCALL error: EOF detected", False),
        ("SSL SYSCALL error: Connection reset by peer", False),
        ("SSL error: unexpected eof while reading", False),
        ("SSL connection has been closed unexpectedly", False),
        ("server closed the connection unexpectedly", False),
        ("server does not support SSL, but SSL was required", True),
        ("SSL error: certificate verify failed", True),
        ('root certificate file "/x/root.crt" does not exist', True),
        ("SSL error: tlsv1 alert unknown ca", True),
        ("SSL error: unsupported protocol", True),
    ],
)
def test_only_what_time_does_not_mend_of_tls_is_final(text: str, lasts: bool) -> None:
    reason = reason_of(OperationalError(f'connection to server at "h", port 1 failed: {text}'))
    assert reason.lasts is lasts
    assert "TLS" in str(reason) or "certificate" in str(reason) or not lasts


async def test_a_server_that_breaks_tls_off_while_it_restarts_is_waited_for() -> None:
    """It accepts TLS, and ends before the handshake: libpq says "SSL SYSCALL error"."""
    tries = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tries
        tries += 1
        await reader.read(8)
        writer.write(b"S")
        await reader.read(8)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(Unavailable, match="broke the connection off"):
            await reach(f"postgresql://o@127.0.0.1:{port}/o?sslmode=require", patience_s=0.5)
    assert tries > 1


async def test_a_database_that_shuts_down_is_left_so_that_it_can_end(bare: BareServer) -> None:
    """In its smart way it waits for every client, busy or idle, and for those that listen."""
    database, begun = bare.database, 0

    async def listen() -> None:
        nonlocal begun
        begun += 1
        async with database.connect() as connection:
            await connection.execute(text("LISTEN somebody"))
            await asyncio.sleep(3600)

    async def hold() -> None:
        async with database.begin() as connection:
            await connection.execute(text("SELECT pg_sleep(0.5)"))

    leaving = asyncio.create_task(until_shutdown(database, listen, probe_s=0.05))
    try:
        await asyncio.gather(*(hold() for _ in range(3)))  # three idle connections
        busy = asyncio.create_task(hold())
        async with asyncio.timeout(20):
            while begun == 0 or database.engine.pool.checkedout() < 2:  # type: ignore[attr-defined]
                await asyncio.sleep(0.01)
        os.kill(bare.postgres, signal.SIGTERM)
        await busy  # what has begun ends well
        async with asyncio.timeout(20):
            while psutil.pid_exists(bare.postgres):
                await asyncio.sleep(0.05)
        assert begun > 1, "what listened tries again"
    finally:
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)


async def test_work_that_fails_while_the_database_stays_is_told_of_and_begun_anew(
    bare: BareServer, caplog: pytest.LogCaptureFixture
) -> None:
    again = asyncio.Event()
    begun = 0

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun == 1:
            raise RuntimeError("of the work")
        again.set()
        await asyncio.sleep(3600)

    leaving = asyncio.create_task(until_shutdown(bare.database, work, probe_s=0.05))
    try:
        async with asyncio.timeout(20):
            await again.wait()
    finally:
        leaving.cancel()
        (ended,) = await asyncio.gather(leaving, return_exceptions=True)
    assert isinstance(ended, asyncio.CancelledError)
    assert "background work failed" in caplog.text


async def test_a_whole_product_leaves_a_database_that_shuts_down_and_goes_on_with_the_next(
    bare: BareServer, provider: FakeProvider, tmp_path: Path
) -> None:
    env = {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": provider.url}
    product = Product(tmp_path / "o", env | {"DATABASE_URL": bare.database.url})
    await bare.database.drop_connections()
    await asyncio.to_thread(product.start)
    try:
        client = product.client()
        agent = client.agents.create(model=HANDLE, memory_blocks=[])
        await asyncio.to_thread(client.agents.messages.create, agent.id, input="hello")
        os.kill(bare.postgres, signal.SIGTERM)
        await asyncio.to_thread(bare.process.wait, 30)
        again = subprocess.Popen(bare.process.args, stderr=subprocess.DEVNULL)
        try:
            reply = await asyncio.to_thread(
                client.agents.messages.create, agent.id, input="are you there?"
            )
            assert reply.messages[0].content == "You said: are you there?"
        finally:
            await asyncio.to_thread(product.stop)
            again.terminate()
            again.wait(20)
    finally:
        await asyncio.to_thread(product.stop)
