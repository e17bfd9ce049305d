"""The figures as Markdown that a README can quote."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

from bench.death import Deaths
from bench.overhead import FIRST_TURN, ROUNDS, TIMES, TURN, Overhead
from bench.sql import SqlCount

_PARTS = ("api", "workers", "temporal", "postgres", "floor")
_TURN_IN_FLOORS = 1.6
_DEATH_S = 0.5
_SECOND_START_S = 10.0


@dataclass(frozen=True)
class Findings:
    """All that one run of the benchmark found; times in seconds."""

    overhead: Overhead
    deaths: Deaths
    first_start_s: float
    second_start_s: float
    load_before: float


def as_markdown(found: Findings) -> str:
    """The report."""
    return "\n".join([*_heading(found), "", *_table(found.overhead), "", *_targets(found)])


def _heading(found: Findings) -> Iterator[str]:
    loads = f"{found.load_before:.1f} before and {os.getloadavg()[0]:.1f} after"
    yield (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with {os.cpu_count()} cores, load average "
        f"{loads}; one conversation at a time, an instant model, everything on one machine."
    )


def _table(overhead: Overhead) -> Iterator[str]:
    yield (
        "| operation | n | p50 ms | p99 ms | CPU ms: API | workers | Temporal | PostgreSQL "
        "| floor's worker | SQL statements |"
    )
    yield "|---" + "|---:" * 9 + "|"
    for series in overhead.series.values():
        cells = [
            series.name,
            str(len(series.seconds)),
            f"{series.p50_ms:.1f}",
            f"{series.p99_ms:.1f}",
            *(f"{series.cpu_ms(part):.1f}" for part in _PARTS),
            _sql(overhead.sql.get(series.name)),
        ]
        yield f"| {' | '.join(cells)} |"
    yield ""
    yield (
        f"In turns on one server, in {ROUNDS} rounds of {TIMES}, each with a new conversation of "
        "either kind that is warm. The floor is an update with one activity in a plain workflow. "
        "The client is `http.client` on a kept-alive connection. CPU of the spaced rows includes "
        "the pauses. SQL in brackets: transactions."
    )


def _sql(count: SqlCount | None) -> str:
    return "" if count is None else f"{count.statements:g} ({count.transactions:g})"


def _targets(found: Findings) -> Iterator[str]:
    ratio = found.overhead.ratio
    killed, released = median(found.deaths.killed), median(found.deaths.released)
    yield "| target | | measured |"
    yield "|---|---|---:|"
    yield _target("turn / floor, p50", ratio, _TURN_IN_FLOORS, "≤ {:g}", "{:.2f}")
    yield _target("a worker's death costs", killed - released, _DEATH_S, "< {:g} s", "{:.2f} s")
    yield _target("second start", found.second_start_s, _SECOND_START_S, "< {:g} s", "{:.1f} s")
    yield ""
    yield (
        f"50 ms apart, a turn takes {found.overhead.spaced_ratio:.2f} floors. "
        f"A worker killed with a step in hand: {killed:.2f} s until the next model call, at the "
        f"median of {len(found.deaths.killed)} (from {min(found.deaths.killed):.2f} to "
        f"{max(found.deaths.killed):.2f}); {released:.2f} s without the kill. "
        f"First start {found.first_start_s:.1f} s; very first turn "
        f"{found.overhead.cold_turn_s:.2f} s; first turn of an agent "
        f"{found.overhead.series[FIRST_TURN].p50_ms:.0f} ms, "
        f"then {found.overhead.series[TURN].p50_ms:.0f} ms."
    )


def _target(what: str, measured: float, limit: float, target: str, shown: str) -> str:
    mark = "met" if measured <= limit else "missed"
    return f"| {what} | {target.format(limit)} | {shown.format(measured)} ({mark}) |"
