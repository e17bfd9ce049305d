"""Growth: what an agent costs that has a hundred times the history of another one.

Both windows hold the newest messages only, as compaction leaves them, so that what differs is what
lies behind: history that no prompt holds and no list shows.
"""

import asyncio
import json

from bench import client
from bench.client import Operation, repeat
from bench.connection import Connection, request
from bench.cpu import CpuMeter
from bench.history import fill, narrow
from bench.series import Series
from tests.support.product import Product

SMALL, LARGE = 1_000, 100_000
TURN, RETRIEVE, LIST = "turn", "retrieve", "list the newest messages"
PAGE, CONTEXT = "list a page from the middle", "show the context window"
OPERATIONS = (TURN, RETRIEVE, LIST, PAGE, CONTEXT)
NEIGHBOUR, HEALTH = "turn of another agent", "/v1/health"
BESIDE = (NEIGHBOUR, HEALTH)

_WINDOW = 100
_FEW, _MANY = 5, 30


def of(operation: str, messages: int) -> str:
    """Name of an operation on an agent with so many messages, or beside one."""
    where = "beside" if operation in BESIDE else "with"
    return f"{operation}, {where} {messages:,} messages"


async def measure(
    product: Product, api: list[Connection], meter: CpuMeter, rounds: int
) -> dict[str, Series]:
    """Both agents in turn, over and over.

    Args:
        product: Where to.
        api: Three connections at least.
        meter: What CPU is read from.
        rounds: How often.
    """
    names = [of(name, count) for name in (*OPERATIONS, *BESIDE) for count in (SMALL, LARGE)]
    found = {name: Series(name, meter) for name in names}
    agents = {count: await _agent(product, api[0], count) for count in (SMALL, LARGE)}
    product.query("ANALYZE messages")  # as autovacuum does a minute later
    neighbour = client.turn(api[1], await client.create_agent(api[1]))
    health = repeat(api[2], request("GET", "/v1/health/"))
    asked = {count: await _operations(api[0], agent) for count, agent in agents.items()}
    for operations in asked.values():
        for operation in operations.values():
            await operation()
    await neighbour()
    for _ in range(rounds):
        for name in OPERATIONS:
            for count, operations in asked.items():
                await found[of(name, count)].record(_FEW, operations[name])
        for name, operation in ((NEIGHBOUR, neighbour), (HEALTH, health)):
            for count, operations in asked.items():
                work = [operations[TURN], operations[LIST], operations[CONTEXT]]
                await _beside(found[of(name, count)], operation, work)
    return found


async def _agent(product: Product, api: Connection, count: int) -> str:
    agent_id = await client.create_agent(api)
    turn = client.turn(api, agent_id)
    await turn()
    fill(product, agent_id, count - 4)
    narrow(product, agent_id, _WINDOW)
    await turn()
    return agent_id


async def _operations(api: Connection, agent_id: str) -> dict[str, Operation]:
    path = f"/v1/agents/{agent_id}"
    newest = request("GET", f"{path}/messages?limit=50")
    page: list[dict[str, str]] = json.loads((await api.ask(newest)).content)
    cursor = f"{path}/messages?limit=50&before={page[0]['id']}"
    return {
        TURN: client.turn(api, agent_id),
        RETRIEVE: client.retrieve_agent(api, agent_id),
        LIST: repeat(api, newest, "message-"),
        PAGE: repeat(api, request("GET", cursor), "message-"),
        CONTEXT: repeat(api, request("GET", f"{path}/context"), "context_window_size_max"),
    }


async def _beside(series: Series, operation: Operation, work: list[Operation]) -> None:
    """Time an operation while others are done, one after the other, until it is through."""
    is_over = asyncio.Event()

    async def go_on() -> None:
        while not is_over.is_set():
            for one in work:
                await one()

    going = asyncio.create_task(go_on())
    try:
        await series.record(_MANY, operation)
    finally:
        is_over.set()
        await going
