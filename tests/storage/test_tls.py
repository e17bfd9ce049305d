"""PostgreSQL over TLS, by what libpq reads in DATABASE_URL: whoever asks, and whoever answers.

The bundled servers are built without TLS, so a door before them speaks it, as a pooler does.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from migrations.upgrade import migrate
from o.errors import Unavailable
from o.settings.all import Settings
from o.settings.providers import ProviderSettings
from o.storage.availability import reach, why_unreachable
from o.storage.database import Database, connect_alone, libpq_url
from server.doctor import examine
from tests.storage.bare import BareServer
from tests.support.certificates import Files, self_signed

# What is tested is libpq's side, which is the same whatever the server's release.
pytestmark = pytest.mark.parametrize("bare", ["pginstall18"], indirect=True)

_GSS, _TLS = 80_877_104, 80_877_103


class Door:
    """Takes TLS only, and passes on what comes to a server's socket."""

    def __init__(self, socket: str, files: Files) -> None:
        self._socket = socket
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(files.cert, files.key)
        self.port = 0
        self.encrypted = 0

    def want_certificates(self, ca: Path) -> None:
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._context.load_verify_locations(ca)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = int.from_bytes((await reader.readexactly(8))[4:])
            if asked == _GSS:
                writer.write(b"N")
                asked = int.from_bytes((await reader.readexactly(8))[4:])
            if asked != _TLS:
                return
            writer.write(b"S")
            await writer.drain()
            await writer.start_tls(self._context)
            self.encrypted += 1
            inner, outer = await asyncio.open_unix_connection(self._socket)
            await asyncio.gather(_copy(reader, outer), _copy(inner, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while piece := await source.read(65_536):
            sink.write(piece)
            await sink.drain()
    finally:
        sink.close()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    folder = tmp_path / "certificates"
    folder.mkdir()
    return self_signed(folder, "localhost")


@pytest.fixture
async def door(bare: BareServer, files: Files) -> AsyncIterator[Door]:
    home = bare.database.engine.url.query["host"]
    door = Door(f"{home}/.s.PGSQL.5432", files)
    server = await asyncio.start_server(door.take, "127.0.0.1", 0)
    door.port = server.sockets[0].getsockname()[1]
    yield door
    server.close()


def address(door: Door, files: Files, *, host: str = "localhost", **options: object) -> str:
    wanted = {"sslmode": "verify-full", "sslrootcert": files.ca, **options}
    query = "&".join(f"{name}={value}" for name, value in wanted.items() if value is not None)
    return f"postgresql://o@{host}:{door.port}/postgres?{query}"


async def test_all_who_ask_the_database_do_so_over_tls(door: Door, files: Files) -> None:
    url = address(door, files)
    await reach(url)
    database = Database(url)
    try:
        before, after = await migrate(database)
        assert before is None
        assert after is not None
        async with database.connect() as connection:
            assert await connection.scalar(text("SELECT 1")) == 1
    finally:
        await database.close()
    async with await connect_alone(libpq_url(url), "o listens") as alone:
        await alone.execute("LISTEN somebody")
    before_doctor = door.encrypted
    settings = Settings.model_validate({"database_url": url})
    found = await asyncio.to_thread(examine, settings, ProviderSettings())
    assert any("PostgreSQL" in one.what and one.level == "ok" for one in found)
    assert any("schema is up to date" in one.what for one in found)
    assert door.encrypted > before_doctor


async def test_a_server_that_is_not_who_it_says_is_named_and_not_waited_for(
    door: Door, files: Files, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    stranger = self_signed(other, "localhost")
    for url in (
        address(door, files, host="127.0.0.1"),  # the certificate is of another name
        address(door, stranger),  # nobody vouches for it
        address(door, files, sslrootcert=tmp_path / "nowhere.pem"),
    ):
        reason = await why_unreachable(url)
        assert "certificate" in str(reason) or "TLS" in str(reason)
        async with asyncio.timeout(30):
            with pytest.raises(Unavailable):
                await reach(url, patience_s=120)


async def test_a_server_that_wants_our_certificate_gets_it(door: Door, files: Files) -> None:
    door.want_certificates(files.ca)
    files.key.chmod(0o600)
    await reach(address(door, files, sslcert=files.cert, sslkey=files.key))
    with pytest.raises(Unavailable):
        await reach(address(door, files))


async def test_without_tls_nobody_gets_in(door: Door, files: Files) -> None:
    with pytest.raises(Unavailable):
        await reach(address(door, files, sslmode="disable", sslrootcert=None))
    assert door.encrypted == 0
