"""How large things are on the disk and in memory, over time, and whether they stay so."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.product import Product

MB = 1_000_000
_TABLES = """
SELECT 'table ' || relname, pg_total_relation_size(oid) FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
UNION ALL SELECT 'database', pg_database_size(current_database())
UNION ALL SELECT 'write-ahead log', sum(size)::bigint FROM pg_ls_waldir()
"""
_SLACK_MB = {"memory": 60.0, "write": 200.0, "table": 4.0}
"""By how a name begins: what may come to it late and is no growth; PostgreSQL keeps files of
its log for reuse, and a process keeps what it once needed."""
_USUAL_SLACK_MB = 30.0
_MOST = 1.2


@dataclass(frozen=True)
class Sample:
    """Sizes at one moment.

    Attributes:
        at_s: Seconds since the beginning.
        turns: That were done until then.
        mb: Megabytes by name.
    """

    at_s: float
    turns: int
    mb: Mapping[str, float]


def sizes_of(product: Product) -> dict[str, float]:
    """Megabytes of every table, of files beside the database, and of the memory of each process."""
    found = {name: size / MB for name, size in product.query(_TABLES)}
    for name, pattern in (("temporal's file", "temporal.db*"), ("logs", "logs/*")):
        found[f"disk {name}"] = sum(_bytes(path) for path in product.data_dir.glob(pattern)) / MB
    for name, pid in product.state["processes"].items():
        with suppress(psutil.Error):
            found[f"memory {name}"] = psutil.Process(pid).memory_info().rss / MB
    return found


def sample(product: Product, began_s: float, turns: int) -> Sample:
    """The sizes now; `began_s` is a time of `time.monotonic`."""
    return Sample(time.monotonic() - began_s, turns, sizes_of(product))


def growing(samples: Sequence[Sample]) -> list[str]:
    """What is larger in the second half of the turns than it ever was in the first."""
    half = samples[-1].turns / 2
    first = [one for one in samples if one.turns <= half]
    second = [one for one in samples if one.turns > half]
    found = []
    for name in sorted({name for one in second for name in one.mb}):
        before = max((one.mb.get(name, 0.0) for one in first), default=0.0)
        after = max(one.mb.get(name, 0.0) for one in second)
        if after > before * _MOST + _slack_mb(name):
            found.append(f"{name} grew from {before:.1f} MB to {after:.1f} MB")
    return found


def table_of(samples: Sequence[Sample], *, columns: int = 8) -> list[str]:
    """Lines of text: a row for each thing of a megabyte or more, a column for some moments."""
    step = max(1, -(-len(samples) // columns))
    shown = [*samples[::step]]
    if shown[-1] is not samples[-1]:
        shown.append(samples[-1])
    lines = [
        f"{'turns':28}" + "".join(f"{one.turns:>9}" for one in shown),
        f"{'seconds':28}" + "".join(f"{one.at_s:>9.0f}" for one in shown),
    ]
    for name in sorted({name for one in samples for name in one.mb}):
        values = [one.mb.get(name, 0.0) for one in shown]
        if max(values) >= 1.0:
            lines.append(f"{name + ' MB':28}" + "".join(f"{value:>9.1f}" for value in values))
    return lines


def _slack_mb(name: str) -> float:
    return next((mb for begin, mb in _SLACK_MB.items() if name.startswith(begin)), _USUAL_SLACK_MB)


def _bytes(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0
