"""Transactions that wait for one another: held up while they hold locks, and counted."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from o.storage.database import libpq_url
from tests.support.product import Product, eventually

_PAUSE = 4711


def deadlocks(server: Product) -> int:
    """How many rings the database has broken since it was made."""
    ((count,),) = server.query(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    )
    return int(count)


@contextmanager
def changes_paused(server: Product, what: str = "UPDATE ON blocks") -> Iterator[Callable[[], None]]:
    """Whoever has changed a row waits, with its lock in hand, until the function is called."""
    server.query(
        f"""
        CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_advisory_xact_lock({_PAUSE}); RETURN NULL; END $$;
        CREATE TRIGGER paused AFTER {what} FOR EACH ROW EXECUTE FUNCTION pause()
        """
    )
    try:
        with psycopg.connect(libpq_url(server.state["database_url"])) as holding:
            holding.execute("SELECT pg_advisory_xact_lock(%s)", (_PAUSE,))
            yield holding.commit
    finally:
        server.query(f"DROP TRIGGER paused ON {what.rsplit(maxsplit=1)[-1]}; DROP FUNCTION pause()")


def waiting(server: Product) -> int:
    """How many transactions wait for a lock."""
    ((count,),) = server.query(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    )
    return int(count)


def wait_for_locks(server: Product, count: int) -> None:
    """Until so many transactions wait for locks of others."""
    eventually(lambda: waiting(server) >= count, what=f"{count} that wait for locks")
