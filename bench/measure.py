"""One product, measured: the rounds, its memory, and what it asks of PostgreSQL."""

import sys
from dataclasses import dataclass

from temporalio.client import Client

from bench import client, growth, tail
from bench.child import child
from bench.cpu import CpuMeter, product_groups
from bench.disk import PerThousand, disk_use, per_thousand
from bench.memory import Memory, read_memory, supervisor_alone
from bench.provider import TOOL_USER
from bench.rounds import APPROVED_TURN, CREATE, LIST, RETRIEVE, TOOL_TURN, TURN, UPDATE, Rounds
from bench.series import Series
from bench.sql import SqlCount, SqlCounter
from tests.support.product import Product

_COUNTED = 5


@dataclass(frozen=True)
class Measured:
    """What was found.

    Attributes:
        series: Timings by operation.
        sql: Statements by operation, where they were counted.
        memory: By part, when the first model call was over.
        memory_later: By part, when the rounds were over.
        cold_turn_s: The very first turn of the product.
        disk: What turns of the tail have added.
    """

    series: dict[str, Series]
    sql: dict[str, SqlCount]
    memory: dict[str, Memory]
    memory_later: dict[str, Memory]
    cold_turn_s: float
    disk: PerThousand


async def measure(product: Product, rounds: int, turns: int) -> Measured:
    """Measure a product that is ready and has not been used.

    Args:
        product: The product.
        rounds: How often everything is measured.
        turns: How many turns the tail is taken of.
    """
    state = product.state
    address = state["temporal_address"]
    with (
        child("bench.floor", address) as (floor_pid, _),
        child("bench.web", state["database_url"]) as (web_pid, web_url),
    ):
        ours = {"floor": [floor_pid], "web": [web_pid]}
        meter = CpuMeter(product_groups(state["processes"]) | ours)
        work = await Rounds.begin(product, await Client.connect(address), web_url, meter)
        memory = _memory(product)
        await work.warm_up()
        for number in range(1, rounds + 1):
            print(f"measuring: round {number} of {rounds} …", file=sys.stderr, flush=True)
            await work.take()
        print("measuring: the tail …", file=sys.stderr, flush=True)
        before = disk_use(product)
        work.series.update(await tail.measure(work.api[0], meter, turns))
        disk = per_thousand(before, disk_use(product))
        print("measuring: growth …", file=sys.stderr, flush=True)
        work.series.update(await growth.measure(product, work.api, meter, max(rounds // 2, 3)))
        later = _memory(product)
        sql = await _count_sql(SqlCounter(product), work)
        work.close()
        return Measured(work.series, sql, memory, later, work.cold_turn_s, disk)


def _memory(product: Product) -> dict[str, Memory]:
    parts = {name: pid for name, pid in product.state["processes"].items() if pid}
    return supervisor_alone(product.pid_of("supervisor"), parts) | read_memory(parts)


async def _count_sql(counter: SqlCounter, work: Rounds) -> dict[str, SqlCount]:
    """In a pass of its own, because the log of statements costs."""
    api = work.api[0]
    agent_id = await client.create_agent(api)
    tool_user = await client.create_agent(api, TOOL_USER)
    guarded = await client.create_agent(api, TOOL_USER, **client.GUARDED)
    operations = {
        TURN: client.turn(api, agent_id),
        TOOL_TURN: client.tool_turn(api, tool_user),
        APPROVED_TURN: client.approved_turn(api, guarded),
        CREATE: client.repeat(api, client.creation()),
        UPDATE: client.update_block(api, agent_id),
        RETRIEVE: client.retrieve_agent(api, agent_id),
        LIST: client.list_messages(api, agent_id),
    }
    for operation in operations.values():
        await operation()
    with counter.logging():
        return {
            name: await counter.count(_COUNTED, operation) for name, operation in operations.items()
        }
