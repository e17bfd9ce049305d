"""What is measured, by name. "Watching it" in docs/operations.md says what each means.

Labels hold what this code names, so that there are few: no ids, no addresses, no names that people
give. What is counted here is one process's; `o.metrics.exposition` puts several together.
"""

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
)

REGISTRY = CollectorRegistry()

_PARTS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_ANSWERS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30, 120)

TURNS = Counter("o_turns", "Turns that ended, by why they did.", ["outcome"], registry=REGISTRY)
TURN_S = Histogram(
    "o_turn_seconds",
    "From the time a turn was accepted to its end.",
    registry=REGISTRY,
    buckets=_PARTS_S,
)
PART_S = Histogram(
    "o_turn_part_seconds",
    "What a turn's time goes into: it waits its turn (wait), is read (begin), its model is asked "
    "(model), a tool works (tool), what came is written (commit).",
    ["part"],
    registry=REGISTRY,
    buckets=_PARTS_S,
)
FIRST_TOKEN_S = Histogram(
    "o_first_token_seconds",
    "From the call of a model to the first piece of its reply, of replies that are streamed.",
    registry=REGISTRY,
    buckets=_PARTS_S,
)
MODEL_CALLS = Counter(
    "o_model_calls", "Calls of models, by what came of them.", ["outcome"], registry=REGISTRY
)
TOKENS = Counter(
    "o_tokens",
    "Tokens, as providers report them; cached and reasoning are in the other two as well.",
    ["direction"],
    registry=REGISTRY,
)
TOOL_CALLS = Counter(
    "o_tool_calls",
    "Tool calls that returned, by whether the tool comes with the server.",
    ["kind", "status"],
    registry=REGISTRY,
)
SWEPT = Counter(
    "o_swept", "What the sweepers have found and put right.", ["duty"], registry=REGISTRY
)
SWEEP_FAILURES = Counter(
    "o_sweep_failures", "Sweeps that failed, and are tried again.", ["duty"], registry=REGISTRY
)
REQUESTS = Counter(
    "o_requests",
    "Requests that were answered.",
    ["method", "route", "status"],
    registry=REGISTRY,
)
REQUEST_S = Histogram(
    "o_request_seconds",
    "From a request to the beginning of its answer.",
    ["method", "route"],
    registry=REGISTRY,
    buckets=_ANSWERS_S,
)
OPEN_REQUESTS = Gauge("o_open_requests", "Requests and streams under way.", registry=REGISTRY)
CONNECTIONS = Gauge(
    "o_database_connections",
    "Connections of the pool, by whether they are in use.",
    ["state"],
    registry=REGISTRY,
)
CONNECTIONS_MAX = Gauge(
    "o_database_connections_max", "The most that the pool may have.", registry=REGISTRY
)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_NO_ROUTE = "none"


def begin(outcomes: Iterable[str], *, processes: bool = True) -> None:
    """Have the counters that alerts look at stand at nought, and measure this process itself.

    Called once, by a process that serves: what is loaded before is shared by several.

    Args:
        outcomes: How a turn may end.
        processes: Whether memory, CPU and descriptors of the process are shown.
    """
    for outcome in outcomes:
        TURNS.labels(outcome)
    for direction in ("input", "output", "cached_input", "reasoning"):
        TOKENS.labels(direction)
    MODEL_CALLS.labels("ok")
    if processes:
        ProcessCollector(registry=REGISTRY)


def turn_ended(outcome: str, accepted_at: datetime | None = None) -> None:
    """Count a turn whose end is written."""
    TURNS.labels(outcome).inc()
    if accepted_at is not None:
        TURN_S.observe(max(0.0, (datetime.now(UTC) - accepted_at).total_seconds()))


def turn_waited(accepted_at: datetime) -> None:
    """Note how long a turn that begins has waited. Clocks of two machines may differ a little."""
    PART_S.labels("wait").observe(max(0.0, (datetime.now(UTC) - accepted_at).total_seconds()))


def request_answered(method: str, route: str | None, status: int, took_s: float) -> None:
    """Count a request by its route's template; what no route takes is one."""
    count, time_s = _of_requests(method if method in _METHODS else "other", route, status)
    count.inc()
    time_s.observe(took_s)


@lru_cache(maxsize=4_096)  # looking labels up is most of what counting costs
def _of_requests(method: str, route: str | None, status: int) -> tuple[Counter, Histogram]:
    named = route or _NO_ROUTE
    return REQUESTS.labels(method, named, str(status)), REQUEST_S.labels(method, named)


def model_called(outcome: str) -> None:
    """Count a call of a model: `ok`, or a `Failure`."""
    MODEL_CALLS.labels(outcome).inc()


def tokens_used(*, prompt: int, completion: int, cached: int, reasoning: int) -> None:
    """Count what a model call cost; a provider that reports nonsense counts for nothing."""
    for direction, count in (
        ("input", prompt),
        ("output", completion),
        ("cached_input", cached),
        ("reasoning", reasoning),
    ):
        if count > 0:
            TOKENS.labels(direction).inc(count)


class Stopwatch:
    """How long a part of a turn takes."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()

    def note(self, part: str) -> None:
        """Note the part that ends now; the next one begins."""
        now_s = time.monotonic()
        PART_S.labels(part).observe(now_s - self._began_s)
        self._began_s = now_s
