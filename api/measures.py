"""What the server shows to Prometheus: its processes on this machine, and what waits.

A scrape neither loads the database nor waits for it: what comes from there is kept for some
seconds, and left out where it does not come in time.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client
from temporalio.service import RPCError

from o.errors import OError
from o.metrics.exposition import text_of, together
from o.metrics.neighbours import shown_to_others, texts_of_others
from o.metrics.own import OwnMeasures
from o.storage.backlog import Backlog, count_backlog
from o.storage.database import Database
from o.temporal.connection import check_serving
from o.temporal.namespace import is_prepared
from o.temporal.queues import find_queue

_KEPT_S = 5.0
_PATIENCE_S = 2.0


class Measures:
    """Makes the text of /metrics."""

    def __init__(self, database: Database, temporal: Client, task_queue: str) -> None:
        self._database = database
        self._temporal = temporal
        self._task_queue = task_queue
        self._looking = asyncio.Lock()
        self._found = ""
        self._kept_until_s = 0.0
        self.own = OwnMeasures(database.pool_standing)
        self._name = "api-1"
        self._directory: Path | None = None

    @asynccontextmanager
    async def shown(self, directory: Path | None) -> AsyncIterator[None]:
        """Be one of the processes that meet in a directory, if any, while the block lasts."""
        async with shown_to_others(directory, "api", self.own.text) as name:
            self._name, self._directory = name, directory
            yield

    async def text(self) -> str:
        """All that is known now of this machine's processes, and of what is there once for all."""
        own, others, once = await asyncio.gather(
            self.own.text(self._name),
            texts_of_others(self._directory, self._name),
            self._once_for_all(),
        )
        up = _text(_processes([self._name, *others]))
        return together([up, once, own, *others.values()])

    async def _once_for_all(self) -> str:
        """What every API process would say alike, looked at by one scrape for all of a while."""
        async with self._looking:
            if time.monotonic() >= self._kept_until_s:
                backlog, temporal = await asyncio.gather(self._backlog(), self._queue())
                self._found = _text([*backlog, *temporal])
                self._kept_until_s = time.monotonic() + _KEPT_S
            return self._found

    async def _backlog(self) -> list[GaugeMetricFamily]:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                found = await count_backlog(self._database, timeout_s=_PATIENCE_S)
        except (SQLAlchemyError, OError, TimeoutError):
            return [_answers("database", is_well=False)]
        return [_answers("database", is_well=True), *_of_backlog(found)]

    async def _queue(self) -> list[GaugeMetricFamily]:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await check_serving(self._temporal, timeout_s=_PATIENCE_S)
                queue, prepared = await asyncio.gather(
                    find_queue(self._temporal, self._task_queue, timeout_s=_PATIENCE_S),
                    is_prepared(self._temporal, timeout_s=_PATIENCE_S / 2),
                )
        except (RuntimeError, RPCError, TimeoutError):
            return [_answers("temporal", is_well=False)]
        answers = [_answers("temporal", is_well=True)]
        if prepared is not None:
            words = "Whether Temporal's namespace has O's search attributes; else no turn begins."
            answers.append(GaugeMetricFamily("o_temporal_prepared", words, int(prepared)))
        if queue is not None:
            words = "How long the oldest task has waited for a worker's free slot."
            answers.append(GaugeMetricFamily("o_oldest_task_seconds", words, queue.longest_wait_s))
        if queue is not None and queue.workers is not None:
            words = "Workers that polled Temporal within the last minute, on whatever machine."
            answers.append(GaugeMetricFamily("o_workers", words, len(queue.workers)))
        return answers


def _of_backlog(found: Backlog) -> list[GaugeMetricFamily]:
    runs = GaugeMetricFamily(
        "o_open_turns", "Turns that wait for their beginning, or are under way.", labels=["status"]
    )
    runs.add_metric(["waiting"], found.waiting)
    runs.add_metric(["running"], found.running)
    return [
        runs,
        GaugeMetricFamily(
            "o_oldest_waiting_turn_seconds",
            "How long the turn that was accepted first has waited for its beginning, of those that "
            "are not behind an approval request.",
            found.oldest_waiting_s,
        ),
        GaugeMetricFamily(
            "o_pending_approvals", "Approval requests that wait for an answer.", found.approvals
        ),
        GaugeMetricFamily(
            "o_oldest_approval_seconds",
            "How long the first of them has waited.",
            found.oldest_approval_s,
        ),
    ]


def _answers(part: str, *, is_well: bool) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"o_{part}_answers", f"Whether the {part} answers.", int(is_well))


def _processes(names: list[str]) -> list[GaugeMetricFamily]:
    up = GaugeMetricFamily("o_process_up", "Processes that answer.", labels=["process"])
    for name in names:
        up.add_metric([name], 1)
    build = GaugeMetricFamily("o_build_info", "What runs.", labels=["version"])
    build.add_metric([version("o-server")], 1)
    return [up, build]


class _Found(Collector):
    def __init__(self, families: list[GaugeMetricFamily]) -> None:
        self._families = families

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield from self._families


def _text(families: list[GaugeMetricFamily]) -> str:
    registry = CollectorRegistry()
    registry.register(_Found(families))
    return text_of(registry)
