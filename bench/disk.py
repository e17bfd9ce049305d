"""Disk: what turns leave behind, before anything of it goes because it is old."""

from dataclasses import dataclass

from tests.support.product import Product

_DATABASE = "SELECT pg_database_size(current_database()), (SELECT count(*) FROM runs)"


@dataclass(frozen=True)
class DiskUse:
    """Bytes at one moment, and how many turns there have been."""

    database: int
    temporal: int
    turns: int


@dataclass(frozen=True)
class PerThousand:
    """Megabytes that a thousand turns add."""

    database_mb: float
    temporal_mb: float


def disk_use(product: Product) -> DiskUse:
    """What is on the disk now. PostgreSQL's log is not counted: it is written over."""
    ((database, turns),) = product.query(_DATABASE)
    files = product.data_dir.glob("temporal.db*")
    return DiskUse(database, sum(file.stat().st_size for file in files), turns)


def per_thousand(before: DiskUse, after: DiskUse) -> PerThousand:
    """What lies between two moments with turns between them."""
    thousands = max(after.turns - before.turns, 1) / 1_000
    return PerThousand(
        (after.database - before.database) / 1e6 / thousands,
        (after.temporal - before.temporal) / 1e6 / thousands,
    )
