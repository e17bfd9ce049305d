"""What O adds to Temporal: floor, turns and reads, measured in turns on one server."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from temporalio.client import Client

from bench import floor
from bench.api_client import ApiClient
from bench.child import child
from bench.cpu import CpuMeter, product_groups
from bench.series import Series
from bench.sql import SqlCount, SqlCounter
from tests.support.product import Product

FLOOR, TURN, FIRST_TURN = "Temporal's floor", "turn", "first turn of an agent"
SPACED_FLOOR, SPACED_TURN = "floor, 50 ms apart", "turn, 50 ms apart"
CREATE, RETRIEVE, LIST = "create an agent", "retrieve an agent", "list its messages"

ROUNDS = 15
TIMES = 20
_SPACED_TIMES = 10
_PAUSE_S = 0.05
_COUNTED = 5
_WARM_UP_AGENTS = 40


@dataclass(frozen=True)
class Overhead:
    """What was measured.

    Attributes:
        series: Timings by operation.
        sql: Statements by operation, where there are any.
        cold_turn_s: The very first turn of the product.
    """

    series: dict[str, Series]
    sql: dict[str, SqlCount]
    cold_turn_s: float

    @property
    def ratio(self) -> float:
        """A turn in floors, by the medians, back to back."""
        return self.series[TURN].p50_ms / self.series[FLOOR].p50_ms

    @property
    def spaced_ratio(self) -> float:
        """The same when the last turn's work behind its answer is over."""
        return self.series[SPACED_TURN].p50_ms / self.series[SPACED_FLOOR].p50_ms


def measure(product: Product) -> Overhead:
    """Measure a product that is ready and has not been used."""
    state = product.state
    address = state["temporal_address"]
    with child("bench.floor", address) as (floor_pid, _), ApiClient(product.url) as api:
        meter = CpuMeter(product_groups(state["processes"]) | {"floor": [floor_pid]})
        logs = list((product.data_dir / "logs").glob("worker-*.log"))

        def is_warm() -> bool:
            """Whether every worker has had a turn: the first one of each takes longer."""
            return all("model replied" in log.read_text() for log in logs)

        series, cold_turn_s = asyncio.run(_take_rounds(address, api, meter, is_warm))
        return Overhead(series, _count_sql(SqlCounter(product), api), cold_turn_s)


async def _take_rounds(
    address: str, api: ApiClient, meter: CpuMeter, is_warm: Callable[[], bool]
) -> tuple[dict[str, Series], float]:
    client = await Client.connect(address)
    cold = Series("cold turn", meter)
    for _ in range(_WARM_UP_AGENTS):
        agent_id = api.create_agent()
        await cold.record(1, _now(lambda: api.take_turn(agent_id)))  # noqa: B023
        if is_warm():
            break
    await floor.begin_conversation(client)
    timed = (FLOOR, TURN, SPACED_FLOOR, SPACED_TURN, FIRST_TURN, CREATE, RETRIEVE, LIST)
    series = {name: Series(name, meter) for name in timed}
    for _ in range(ROUNDS):
        await _take_round(client, api, series)
    return series, cold.seconds[0]


async def _take_round(client: Client, api: ApiClient, series: dict[str, Series]) -> None:
    """A new conversation of both kinds for each pace, so that histories stay short."""
    created: list[str] = []
    for times, floor_name, turn_name, pause_s in (
        (TIMES, FLOOR, TURN, 0.0),
        (_SPACED_TIMES, SPACED_FLOOR, SPACED_TURN, _PAUSE_S),
    ):
        conversation = await floor.begin_conversation(client)
        take_floor = partial(floor.take_turn, conversation)
        await series[floor_name].record(times, take_floor, pause_s=pause_s)
        await conversation.signal(floor.Floor.close)
        await series[CREATE].record(1, _now(lambda: created.append(api.create_agent())))
        turn = _now(partial(api.take_turn, created[-1]))
        await series[FIRST_TURN].record(1, turn)
        await series[turn_name].record(times, turn, pause_s=pause_s)
    agent_id = created[0]
    await series[RETRIEVE].record(TIMES, _now(lambda: api.retrieve_agent(agent_id)))
    await series[LIST].record(TIMES, _now(lambda: api.list_messages(agent_id)))


def _now(call: Callable[[], None]) -> Callable[[], Awaitable[None]]:
    """A call that blocks, in the shape of one that does not; nothing else runs here meanwhile."""

    async def called() -> None:
        call()

    return called


def _count_sql(counter: SqlCounter, api: ApiClient) -> dict[str, SqlCount]:
    agent_id = api.create_agent()
    api.take_turn(agent_id)
    with counter.logging():
        return {
            CREATE: counter.count(_COUNTED, api.create_agent),
            TURN: counter.count(_COUNTED, lambda: api.take_turn(agent_id)),
            RETRIEVE: counter.count(_COUNTED, lambda: api.retrieve_agent(agent_id)),
            LIST: counter.count(_COUNTED, lambda: api.list_messages(agent_id)),
        }
