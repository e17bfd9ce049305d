"""The figures as Markdown that a README can quote, and the targets that they met or missed."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

from bench import growth, rounds, sandboxes, tail, workers
from bench.death import Deaths
from bench.measure import Measured
from bench.memory import Memory
from bench.sandboxes import Sandboxed
from bench.series import Series, rate_ratio, time_ratio
from bench.sql import SqlCount

_PARTS = ("api", "workers", "temporal", "postgres", "floor", "web", "load")


@dataclass(frozen=True)
class Findings:
    """All that one run of the benchmark found; times in seconds.

    Attributes:
        deaths: None in quick mode, like `second_start_s` and `scaled`.
    """

    measured: Measured
    first_start_s: float
    load_before: float
    sandboxed: Sandboxed
    deaths: Deaths | None = None
    second_start_s: float | None = None
    scaled: list[workers.Scaled] | None = None


@dataclass(frozen=True)
class Target:
    """A promise about speed or size.

    Attributes:
        limit: What `measured` may be at most, or must be at least.
        shown: How a figure is written, with one place for it.
    """

    name: str
    measured: float
    limit: float
    at_least: bool = False
    shown: str = "{:.2f}"

    @property
    def is_met(self) -> bool:
        """Whether the promise was kept."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def row(self) -> str:
        """Its line of the table."""
        wanted = ("≥ " if self.at_least else "≤ ") + self.shown.format(self.limit)
        mark = "met" if self.is_met else "**missed**"
        return f"| {self.name} | {wanted} | {self.shown.format(self.measured)} | {mark} |"


def targets(found: Findings) -> list[Target]:
    """Every target that this run can judge."""
    series, memory = found.measured.series, found.measured.memory
    first, last = (rounds.after(count) for count in (rounds.HISTORIES[0], rounds.HISTORIES[-1]))
    # Both are forked, so what is resident in them is mostly there once for all of them.
    workers = [one.pss_mb for name, one in memory.items() if name.startswith("worker")]
    retrieve, select = rounds.RETRIEVE + rounds.AT_ONCE, rounds.SELECT + rounds.AT_ONCE
    judged = [
        Target(
            "turn / floor, one after the other, p50",
            time_ratio(series[rounds.TURN], series[rounds.FLOOR]),
            1.3,
        ),
        Target(
            "turn / floor, 50 ms apart, p50",
            time_ratio(series[rounds.SPACED_TURN], series[rounds.SPACED_FLOOR]),
            1.3,
        ),
        *(
            Target(f"{name}, p99 / p50", series[name].tail, 3.0)
            for name in (tail.BACK_TO_BACK, tail.APART)
        ),
        Target(
            "50 agents at once / 50 floors, throughput",
            rate_ratio(series[rounds.CROWD_TURN], series[rounds.CROWD_FLOOR]),
            0.6,
            at_least=True,
        ),
        Target(
            "turn with a custom tool / turn, 1 s apart, p50",
            time_ratio(series[rounds.CUSTOM_TURN], series[rounds.APART_TURN]),
            3.0,
        ),
        Target(
            "first event of a stream, p50", series[rounds.FIRST_EVENT].p50_ms, 15, shown="{:.1f} ms"
        ),
        Target(
            "retrieve an agent / FastAPI with one select, throughput",
            rate_ratio(series[retrieve], series[select]),
            0.5,
            at_least=True,
        ),
        Target(f"{last} / after 10, p50", time_ratio(series[last], series[first]), 1.3),
        *_growth(series),
        Target("API, proportional", memory["api"].pss_mb, 150, shown="{:.0f} MB"),
        Target("a worker, proportional", max(workers), 330, shown="{:.0f} MB"),
    ]
    if calls := found.sandboxed.series:
        for name, limit_ms in ((sandboxes.WARM, 25), (sandboxes.COLD, 600)):
            p50 = calls[name].p50_ms
            judged.append(Target(f"{name}, p50", p50, limit_ms, shown="{:.1f} ms"))
    if found.deaths is not None:
        cost = median(found.deaths.killed) - median(found.deaths.released)
        judged.append(Target("a worker's death costs", cost, 0.5, shown="{:.2f} s"))
    if found.second_start_s is not None:
        judged.append(Target("second start", found.second_start_s, 10, shown="{:.1f} s"))
    return judged


def _growth(series: dict[str, Series]) -> Iterator[Target]:
    """What a hundred times the history costs, and what it costs others."""
    small, large = f"{growth.SMALL:,}", f"{growth.LARGE:,}"

    def pair(name: str) -> tuple[Series, Series]:
        return series[growth.of(name, growth.LARGE)], series[growth.of(name, growth.SMALL)]

    for name in growth.OPERATIONS:
        ratio = time_ratio(*pair(name))
        yield Target(f"{name}, {large} / {small} messages, p50", ratio, 1.3)
    for name in growth.BESIDE:
        larger, smaller = pair(name)
        ratio = larger.p99_ms / smaller.p99_ms
        yield Target(f"{name} beside {large} / {small} messages, p99", ratio, 1.2)


def as_markdown(found: Findings) -> str:
    """The report."""
    return "\n".join(
        [
            *_heading(found),
            "",
            *_targets(found),
            "",
            *_table(found.measured),
            "",
            *_sandboxes(found.sandboxed),
            "",
            *_memory(found.measured),
            "",
            *([*workers.as_table(found.scaled), ""] if found.scaled else []),
            *_notes(found),
        ]
    )


def _heading(found: Findings) -> Iterator[str]:
    loads = f"{found.load_before:.1f} before and {os.getloadavg()[0]:.1f} after"
    count = len(found.measured.series[rounds.TURN].rounds)
    yield (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with {os.cpu_count()} cores, load average "
        f"{loads}, in {count} rounds; an instant model, everything on one machine, the load "
        "generator too."
    )


def _targets(found: Findings) -> Iterator[str]:
    yield "| target | | measured | |"
    yield "|---|---|---:|---|"
    for target in targets(found):
        yield target.row()


def _table(measured: Measured) -> Iterator[str]:
    yield (
        "| operation | n | p50 ms | p99 ms | max ms | a second | CPU ms: API | workers | Temporal "
        "| PostgreSQL | floor's worker | FastAPI | load | SQL statements |"
    )
    yield "|---" + "|---:" * 13 + "|"
    for series in measured.series.values():
        yield _row(series, measured.sql.get(series.name))


def _row(series: Series, sql: SqlCount | None) -> str:
    is_timed = series.rate > 0  # else its parts were taken from one stream
    cells = [
        series.name,
        str(len(series.seconds)),
        f"{series.p50_ms:.1f}",
        f"{series.p99_ms:.1f}",
        f"{series.max_ms:.1f}",
        f"{series.rate:.0f}" if is_timed else "",
        *(f"{series.cpu_ms(part):.1f}" if is_timed else "" for part in _PARTS),
        "" if sql is None else f"{sql.statements:g} ({sql.transactions:g})",
    ]
    return f"| {' | '.join(cells)} |"


def _sandboxes(found: Sandboxed) -> Iterator[str]:
    if found.problem:
        yield f"Tools in sandboxes were not measured: {found.problem}."
        return
    yield "| a tool of one's own in a container | n | p50 ms | p99 ms | max ms | a second |"
    yield "|---" + "|---:" * 5 + "|"
    for name, series in found.series.items():
        figures = (series.p50_ms, series.p99_ms, series.max_ms, 1e3 / series.p50_ms)
        cells = [name, str(len(series.seconds)), *(f"{figure:.1f}" for figure in figures)]
        yield f"| {' | '.join(cells)} |"


def _memory(measured: Measured) -> Iterator[str]:
    yield "| memory, MB | resident, first turn | proportional | resident, end | proportional |"
    yield "|---|---:|---:|---:|---:|"
    for name, before in measured.memory.items():
        yield _memory_row(name, before, measured.memory_later.get(name, Memory(0, 0)))
    yield _memory_row("all", *(_sum(m) for m in (measured.memory, measured.memory_later)))


def _memory_row(name: str, before: Memory, later: Memory) -> str:
    figures = (before.rss_mb, before.pss_mb, later.rss_mb, later.pss_mb)
    return f"| {name} | {' | '.join(f'{figure:.0f}' for figure in figures)} |"


def _sum(memory: dict[str, Memory]) -> Memory:
    return Memory(
        sum(one.rss_mb for one in memory.values()), sum(one.pss_mb for one in memory.values())
    )


def _notes(found: Findings) -> Iterator[str]:
    yield (
        "The floor is an update with one activity in a plain workflow on the same server. Ratios "
        "are medians of the rounds' own, so that other work on the machine meets both sides. CPU "
        "of the spaced rows includes the pauses. SQL in brackets: transactions. Proportional "
        "memory counts once what processes share."
    )
    yield ""
    yield (
        f"First start {found.first_start_s:.1f} s; very first turn "
        f"{found.measured.cold_turn_s:.2f} s."
    )
    yield ""
    disk = found.measured.disk
    yield (
        f"A thousand turns of one conversation add {disk.database_mb:.1f} MB to the database and "
        f"{disk.temporal_mb:.1f} MB to Temporal's file, before anything goes because it is old."
    )
    yield ""
    yield _control_note(found.measured.series)
    if found.deaths is not None:
        yield _death_note(found.deaths)


def _control_note(series: dict[str, Series]) -> str:
    queued = rate_ratio(series[rounds.TURN], series[rounds.QUEUED_TURN])
    approved = time_ratio(series[rounds.APPROVED_TURN], series[rounds.TOOL_TURN])
    return (
        f"Of 10 messages queued at once, each takes {queued:.2f} times as long as a turn alone; a "
        f"turn whose tool call is approved takes {approved:.2f} times as long as one whose call "
        f"needs no approval; a cancel, {series[rounds.CANCEL].p50_ms:.1f} ms until the turn's own "
        f"client has its answer; a stream read again, {series[rounds.RESUMED].p50_ms:.1f} ms to "
        "its first event."
    )


def _death_note(deaths: Deaths) -> str:
    killed, released = median(deaths.killed), median(deaths.released)
    return (
        f"A worker killed with a step in hand: {killed:.2f} s until the next model call, at the "
        f"median of {len(deaths.killed)} (from {min(deaths.killed):.2f} to "
        f"{max(deaths.killed):.2f}); {released:.2f} s without the kill."
    )
