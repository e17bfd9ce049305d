"""Throughput by the number of workers, each beside what bare workflows get in the same moments."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from temporalio.client import Client

from bench import client, floor
from bench.child import child
from bench.connection import Connection
from bench.cpu import CpuMeter, product_groups
from bench.series import Series, rate_ratio
from tests.support.product import Product

COUNTS = (1, 2, 4)

_CROWD, _TIMES = 50, 2
_PARTS = ("api", "workers", "temporal", "postgres", "load")


@dataclass(frozen=True)
class Scaled:
    """What so many workers do.

    Attributes:
        floors: Bare workflows, which have a worker process of their own.
        turns: Turns of as many agents.
    """

    workers: int
    floors: Series
    turns: Series

    def cores(self, part: str) -> float:
        """How many cores a part of the product keeps busy while all agents talk."""
        return self.turns.cpu_ms(part) * self.turns.rate / 1e3


async def measure(folder: Path, env: dict[str, str], rounds: int) -> list[Scaled]:
    """Start a product for each number of workers, and have 50 agents talk at once."""
    found = []
    for count in COUNTS:
        print(f"measuring: {count} of {COUNTS[-1]} workers …", file=sys.stderr, flush=True)
        product = Product(folder / str(count) / "o", env | {"O_WORKERS": str(count)})
        try:
            product.start(within_s=300)
            found.append(await _measure(product, count, rounds))
        finally:
            product.stop()
    return found


async def _measure(product: Product, workers: int, rounds: int) -> Scaled:
    address = product.state["temporal_address"]
    with child("bench.floor", address):
        temporal = await Client.connect(address)
        meter = CpuMeter(product_groups(product.state["processes"]))
        api = [Connection(product.url) for _ in range(_CROWD)]
        agents = [await client.create_agent(api[0]) for _ in range(_CROWD)]
        turns = [client.turn(one, agent) for one, agent in zip(api, agents, strict=True)]
        conversations = [await floor.begin_conversation(temporal) for _ in range(_CROWD)]
        floors = [partial(floor.take_turn, one) for one in conversations]
        found = Scaled(workers, Series("floors", meter), Series("turns", meter))
        await Series("warm", meter).record_crowd(2, turns)
        for _ in range(rounds):
            await found.floors.record_crowd(_TIMES, floors)
            await found.turns.record_crowd(_TIMES, turns)
        for connection in api:
            connection.close()
        return found


def as_table(found: list[Scaled]) -> Iterator[str]:
    """Turns a second against the floor's, and the cores that each part keeps busy meanwhile."""
    yield (
        "| workers | turns a second | floors a second | turns / floors | cores: API | workers "
        "| Temporal | PostgreSQL | load |"
    )
    yield "|---:" * 9 + "|"
    for one in found:
        cells = [
            str(one.workers),
            f"{one.turns.rate:.0f}",
            f"{one.floors.rate:.0f}",
            f"{rate_ratio(one.turns, one.floors):.2f}",
            *(f"{one.cores(part):.2f}" for part in _PARTS),
        ]
        yield f"| {' | '.join(cells)} |"
