"""Temporal's file: whether it can be used, and setting it aside when it cannot.

Nothing is lost with it: PostgreSQL is the record, and every open run is handed to a new execution.
"""

import re
import sqlite3
import time
from pathlib import Path

NAME = "temporal.db"

_LONGEST_CHECK_S = 5.0
"""A longer look at a large file would keep everybody waiting; what it misses shows in the log."""
_UNFIT = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_BESIDE = ("-wal", "-shm")
_DAMAGE = re.compile(
    rb"malformed|file is not a database|no such (?:table|column)|unable to open database file"
)
_FAILURE = re.compile(rb"^(?:Error|panic|fatal error): ", re.MULTILINE)
_OUTSIDE = re.compile(
    rb"no space left|database or disk is full|disk I/O error|address already in use|"
    rb"permission denied|too many open files|cannot allocate memory",
    re.IGNORECASE,
)


def what_is_wrong(file: Path, *, thorough: bool = False, may_write: bool = True) -> str | None:
    """Why Temporal cannot go on with `file`, None when it can or when there is none.

    Args:
        file: The database. Somebody may have it open.
        thorough: Look at every page, for some seconds at most, and not only at the beginning.
        may_write: Whether what a kill has left half written may be taken back or moved to its
            place, as SQLite does when it is let. Without it some of that is not seen.
    """
    if not file.exists():
        return None
    if not file.is_file():
        return "it is no file"
    if file.stat().st_size == 0 and not _beside(file, "-wal").exists():
        return "it is empty"
    try:
        uri = f"{file.absolute().as_uri()}?mode={'rw' if may_write else 'ro'}"
        connection = sqlite3.connect(uri, uri=True, timeout=1.0)
    except sqlite3.Error:
        return None  # out of descriptors or memory; Temporal will say so
    try:
        return _look(connection, thorough)
    except sqlite3.DatabaseError as error:
        return str(error) if error.sqlite_errorname.startswith(_UNFIT) else None
    finally:
        connection.close()


def _look(connection: sqlite3.Connection, thorough: bool) -> str | None:
    # Temporal registers its own namespace once it runs, behind the last statement of its schema.
    # It never completes a schema that a kill has left half done.
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if "namespaces" not in tables:
        return "it holds no database of Temporal"
    own = "SELECT 1 FROM namespaces WHERE name = 'temporal-system'"
    if connection.execute(own).fetchone() is None:
        return "Temporal has not finished making it"
    if thorough:
        limit = time.monotonic() + _LONGEST_CHECK_S
        connection.set_progress_handler(lambda: time.monotonic() > limit, 10_000)
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        return None if found == "ok" else str(found).splitlines()[0]
    return None


def set_aside(file: Path, why: str = "unusable") -> Path:
    """Rename the file and what SQLite keeps beside it; answers the new name, which says why."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    new = file.with_name(f"{file.name}.{why}-{stamp}")
    number = 1
    while new.exists():
        number += 1
        new = file.with_name(f"{file.name}.{why}-{stamp}-{number}")
    for ending in _BESIDE:
        if _beside(file, ending).exists():
            _beside(file, ending).rename(_beside(new, ending))
    file.rename(new)
    return new


def speaks_of_damage(log: bytes) -> bool:
    """Whether lines of Temporal's log blame its file."""
    return _DAMAGE.search(log) is not None


def may_be_to_blame(log: bytes) -> bool:
    """Whether a life of Temporal with this log failed for reasons that may lie in its file."""
    return _FAILURE.search(log) is not None and _OUTSIDE.search(log) is None


def _beside(file: Path, ending: str) -> Path:
    return file.with_name(file.name + ending)
