"""A PostgreSQL of its own for tests that migrate, stop or break one."""

import subprocess
from dataclasses import dataclass

from o.storage.database import Database


@dataclass(frozen=True)
class BareServer:
    """A running server, under its guard, and a pool of connections to its empty database."""

    database: Database
    process: subprocess.Popen[bytes]
    postgres: int
