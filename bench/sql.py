"""Counts SQL statements by what PostgreSQL itself logs, in a pass of its own."""

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench.client import Operation
from tests.support.product import Product

_PREFIX = "bench[%a|%p] "
_RECORD = re.compile(
    r"^bench\[([^|]*)\|(\d+)\] LOG:  (?:statement|execute [^:]*): (.*?)\s*\Z", re.S
)
_OURS = ("o api", "o worker")
_SWEEPER = ("pg_try_advisory_lock", "pg_advisory_unlock", "deleted_at IS NOT NULL")
_HOUSEKEEPING = ("LISTEN", "DEALLOCATE")


@dataclass(frozen=True)
class SqlCount:
    """Statements for one operation.

    Attributes:
        statements: What asks or changes something.
        transactions: Pairs of BEGIN and COMMIT around some of them.
    """

    statements: float
    transactions: float


@dataclass
class _Unit:
    """A transaction, or a statement that stands alone."""

    statements: list[str] = field(default_factory=list)
    in_transaction: bool = False

    @property
    def is_sweep(self) -> bool:
        return any(mark in one for one in self.statements for mark in _SWEEPER)


class SqlCounter:
    """Reads what PostgreSQL logs while `logging` lasts."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self._path = product.data_dir / "logs" / "postgres.log"

    @contextmanager
    def logging(self) -> Iterator[None]:
        """Let PostgreSQL log every statement until the end of the block."""
        self._ask(f"ALTER SYSTEM SET log_line_prefix = '{_PREFIX}'")
        self._ask("ALTER SYSTEM SET log_statement = 'all'")
        self._reload()
        try:
            yield
        finally:
            self._ask("ALTER SYSTEM RESET ALL")
            self._reload()

    async def count(self, times: int, operation: Operation) -> SqlCount:
        """Do it `times` times; what the sweeper asks meanwhile is left out."""
        start = self._path.stat().st_size
        for _ in range(times):
            await operation()
        await asyncio.sleep(0.1)  # what an operation leaves behind its answer belongs to it
        with self._path.open("rb") as log:
            log.seek(start)
            units = [unit for unit in _units(log.read().decode()) if not unit.is_sweep]
        return SqlCount(
            statements=sum(len(unit.statements) for unit in units) / times,
            transactions=sum(unit.in_transaction for unit in units) / times,
        )

    def _reload(self) -> None:
        self._ask("SELECT pg_reload_conf()")
        time.sleep(0.3)  # until every backend has heard of it

    def _ask(self, statement: str) -> None:
        self._product.query(statement)


def _units(log: str) -> list[_Unit]:
    """What O's own processes asked, put together by the connection it came through."""
    done: list[_Unit] = []
    open_units: dict[str, _Unit] = {}
    for application, backend, statement in _statements(log):
        if application not in _OURS or statement.startswith(_HOUSEKEEPING):
            continue
        if statement.startswith("BEGIN"):
            open_units[backend] = _Unit(in_transaction=True)
        elif statement in ("COMMIT", "ROLLBACK"):
            done += [open_units.pop(backend)] if backend in open_units else []
        elif backend in open_units:
            open_units[backend].statements.append(statement)
        else:
            done.append(_Unit([statement]))
    return done


def _statements(log: str) -> Iterator[tuple[str, str, str]]:
    """Application, backend and text of each; a statement may have many lines."""
    for record in re.split(r"^(?=bench\[)", log, flags=re.M):
        if found := _RECORD.match(record):
            yield found[1], found[2], found[3]
