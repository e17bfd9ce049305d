"""`python -m bench.reads`: what the API's reads cost beside FastAPI's hello, each on one core.

Both servers are pinned to the same core, the load generator and PostgreSQL to the others, and they
are asked in turn, over and over: what else the machine does meets both. Beside the throughput
stands the CPU that the two servers take for a request, which other work does not change.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import uvloop

from bench import client, web
from bench.child import child
from bench.client import Operation, repeat
from bench.connection import Connection, request
from bench.cpu import CpuMeter
from bench.history import fill
from bench.series import Series, rate_ratio
from tests.support.product import Product

HELLO, SELECT = "FastAPI hello", "FastAPI with one select"
RETRIEVE, WHOLE = "retrieve an agent", "retrieve one with blocks, tools and tags"
BLOCKS, BLOCK = "list its blocks", "retrieve a block"
PAGE, AGENTS = "list 50 messages", "list 20 agents"
COMPARED = (SELECT, RETRIEVE, WHOLE, BLOCK, BLOCKS, PAGE, AGENTS)

_CAN_PIN = hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1
_ROUNDS, _QUICK_ROUNDS = 30, 8
_READERS, _READS_EACH = 32, 25
"""So many that the servers' core always has something to do while PostgreSQL is asked."""

_HISTORY = 200
_RELATED = "&".join(f"include=agent.{name}" for name in ("blocks", "tools", "tags"))


def main() -> None:
    """Measure and print a table. It judges nothing: exits 0."""
    parser = argparse.ArgumentParser(prog="python -m bench.reads", description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--readers", type=int, default=_READERS, help=f"connections [{_READERS}]")
    parser.add_argument("--rounds", type=int, help=f"[{_ROUNDS}; {_QUICK_ROUNDS} with --quick]")
    options = parser.parse_args()
    rounds = options.rounds or (_QUICK_ROUNDS if options.quick else _ROUNDS)
    with (
        tempfile.TemporaryDirectory(prefix="o-bench-") as folder,
        child("bench.provider") as (_, provider_url),
    ):
        env = {"OPENAI_API_KEY": "sk-bench", "OPENAI_BASE_URL": provider_url}
        product = Product(Path(folder) / "o", env | {"O_WORKERS": "1", "O_SWEEP_INTERVAL_S": "3"})
        try:
            product.start()
            series = uvloop.run(measure(product, rounds, options.readers))
        finally:
            product.stop()
    print("\n".join(as_table(series, options.readers)))


async def measure(product: Product, rounds: int, readers: int) -> dict[str, Series]:
    """Take so many rounds of every read, with a product that nobody else uses."""
    with child("bench.web", product.state["database_url"]) as (web_pid, web_url):
        api_pid = product.pid_of("api")
        _share_out([api_pid, web_pid], [product.pid_of("postgres"), os.getpid()])
        meters = {HELLO: web_pid, SELECT: web_pid}
        series = {
            name: Series(name, CpuMeter({"server": [meters.get(name, api_pid)]}))
            for name in (HELLO, *COMPARED)
        }
        api = [Connection(product.url) for _ in range(readers)]
        beside = [Connection(web_url) for _ in range(readers)]
        reads = await _reads(product, api, beside)
        for operations in reads.values():  # statements are prepared, code is warm
            await Series("warm", CpuMeter({})).record_crowd(5, operations)
        for number in range(1, rounds + 1):
            print(f"measuring: round {number} of {rounds} …", file=sys.stderr, flush=True)
            for name, operations in reads.items():
                await series[name].record_crowd(_READS_EACH, operations)
        for connection in api + beside:
            connection.close()
        return series


async def _reads(
    product: Product, api: list[Connection], beside: list[Connection]
) -> dict[str, list[Operation]]:
    # Each reader asks for its own, so that no row serves two.
    agent, *own = [await client.create_agent(api[0]) for _ in (None, *api)]
    fill(product, agent, _HISTORY)
    blocks = [f"/v1/agents/{one}/core-memory/blocks" for one in own]
    found = [json.loads((await api[0].ask(request("GET", path))).content)[0] for path in blocks]
    asked = {
        RETRIEVE: [(f"/v1/agents/{one}", one) for one in own],
        WHOLE: [(f"/v1/agents/{one}?{_RELATED}", one) for one in own],
        BLOCK: [(f"/v1/blocks/{one['id']}", one["id"]) for one in found],
        BLOCKS: [(path, one["id"]) for path, one in zip(blocks, found, strict=True)],
        PAGE: [(f"/v1/agents/{agent}/messages?limit=50", "message-")] * len(own),
        AGENTS: [("/v1/agents/?limit=20", "agent-")] * len(own),
    }
    hello = request("GET", web.HELLO), "world"
    select = request("GET", web.SELECT), web.SELECTED
    operations = {HELLO: [repeat(one, *hello) for one in beside]}
    operations[SELECT] = [repeat(one, *select) for one in beside]
    for name, shares in asked.items():
        operations[name] = [
            repeat(one, request("GET", path), mark)
            for one, (path, mark) in zip(api, shares, strict=True)
        ]
    return operations


def as_table(series: dict[str, Series], readers: int) -> Iterator[str]:
    """Ratios to the hello of the same round: the median, and the tenth worst and best."""
    yield (
        f"{readers} connections, {len(series[HELLO].rounds)} rounds; load average "
        f"{os.getloadavg()[0]:.1f}; servers {'pinned to one core' if _CAN_PIN else 'not pinned'}."
    )
    yield ""
    yield "| read | p50 ms | p99 ms | a second | CPU ms | rate / hello's | 10 % to 90 % | by CPU |"
    yield "|---" + "|---:" * 7 + "|"
    hello = series[HELLO]
    for one in series.values():
        ratios = sorted(a.rate / b.rate for a, b in zip(one.rounds, hello.rounds, strict=True))
        tenth = len(ratios) // 10
        cells = [
            one.name,
            f"{one.p50_ms:.1f}",
            f"{one.p99_ms:.1f}",
            f"{one.rate:.0f}",
            f"{one.cpu_ms('server'):.2f}",
            f"{rate_ratio(one, hello):.2f}",
            f"{ratios[tenth]:.2f} to {ratios[-1 - tenth]:.2f}",
            f"{hello.cpu_ms('server') / one.cpu_ms('server'):.2f}",
        ]
        yield f"| {' | '.join(cells)} |"


def _share_out(servers: list[int], others: list[int]) -> None:
    """One core for the servers, the rest for the others; where the system pins nothing, all mix."""
    if not _CAN_PIN:
        return
    first, *rest = sorted(os.sched_getaffinity(0))
    for pids, cores in ((servers, [first]), (others, rest)):
        for pid in pids:
            family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            for thread in (thread for one in family for thread in one.threads()):
                os.sched_setaffinity(thread.id, cores)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("stopped")
