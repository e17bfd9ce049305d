"""The rounds: every operation beside what it is compared with, a few times each, over and over."""

import asyncio
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from temporalio.client import Client, WorkflowHandle

from bench import client, floor, web
from bench.client import Operation, repeat
from bench.connection import Connection, request
from bench.cpu import CpuMeter
from bench.history import fill
from bench.provider import CUSTOM_USER, INSTANT, SILENT, TOOL_USER
from bench.series import Series
from tests.support.product import Product

FLOOR, TURN = "Temporal's floor", "turn"
SPACED_FLOOR, SPACED_TURN = "floor, 50 ms apart", "turn, 50 ms apart"
FIRST_TURN, TOOL_TURN = "first turn of an agent", "turn with a memory tool"
CROWD_FLOOR, CROWD_TURN = "floor, 50 at once", "turn, 50 agents at once"
CUSTOM_TURN, APART_TURN = "turn with a custom tool, 1 s apart", "turn, 1 s apart"
QUEUED_TURN, APPROVED_TURN = "turn, 10 queued at once", "turn with an approved memory tool"
CANCEL, RESUMED = "cancel, to the end of the turn", "first event of a stream read again"
FIRST_EVENT, FIRST_TEXT = "first event of a stream", "first text of a stream"
HELLO, SELECT = "FastAPI hello", "FastAPI with one select"
RETRIEVE, LIST = "retrieve an agent", "list its messages"
CREATE, UPDATE = "create an agent", "update a block"
AT_ONCE = ", 16 at once"
READS = (HELLO, SELECT, RETRIEVE, LIST)


def after(messages: int) -> str:
    """Name of the turn that follows so many messages."""
    return f"turn after {messages:,} messages"


HISTORIES = (10, 100, 1_000)
NAMES = (
    *(FLOOR, TURN, SPACED_FLOOR, SPACED_TURN, FIRST_TURN, TOOL_TURN, APART_TURN, CUSTOM_TURN),
    *(QUEUED_TURN, APPROVED_TURN, CANCEL),
    *(CROWD_FLOOR, CROWD_TURN, FIRST_EVENT, FIRST_TEXT, RESUMED),
    *(after(count) for count in HISTORIES),
    *(CREATE, UPDATE, *READS, *(name + AT_ONCE for name in READS)),
)

_TIMES = 20
_FEW = 5
_SPACED_TIMES, _PAUSE_S = 10, 0.05
_REFILL_S = 1.0
_CROWD, _CROWD_TIMES = 50, 2
_QUEUE = 10
_READERS, _READS_EACH = 16, 10


@dataclass
class Rounds:
    """What the rounds work with.

    Attributes:
        api: Connections to the product, as many as ever ask at once.
        web: Connections to what the product's reads are compared with.
        cold_turn_s: The very first turn of the product.
    """

    product: Product
    temporal: Client
    api: list[Connection]
    web: list[Connection]
    series: dict[str, Series]
    cold_turn_s: float = 0.0
    _agents: list[str] = field(default_factory=list)
    _floors: list[WorkflowHandle[floor.Floor, None]] = field(default_factory=list)

    @classmethod
    async def begin(
        cls, product: Product, temporal: Client, web_url: str, meter: CpuMeter
    ) -> "Rounds":
        """Connect, and take the very first turn."""
        rounds = cls(
            product,
            temporal,
            [Connection(product.url) for _ in range(_CROWD)],
            [Connection(web_url) for _ in range(_READERS)],
            {name: Series(name, meter) for name in NAMES},
        )
        began = time.perf_counter()
        await client.turn(rounds.api[0], await rounds._new_agent())()
        rounds.cold_turn_s = time.perf_counter() - began
        return rounds

    async def warm_up(self) -> None:
        """Make the crowd and let it talk and read: first times take longer in every process."""
        for _ in range(_CROWD):
            self._agents.append(await self._new_agent())
            self._floors.append(await floor.begin_conversation(self.temporal))
        for _ in range(3):
            await asyncio.gather(*(turn() for turn in self._crowd()))
        for name in READS:
            reads = (self._read(name, self._agents[0], n) for n in range(_READERS))
            await asyncio.gather(*(read() for read in reads))

    async def take(self) -> None:
        """One round. Conversations that are timed alone are new, so that histories stay short."""
        created = await self._new_agent()
        await self._pair(created, FLOOR, TURN, _TIMES, 0.0)
        await self._pair(
            await self._new_agent(), SPACED_FLOOR, SPACED_TURN, _SPACED_TIMES, _PAUSE_S
        )
        tool_user = await self._new_agent(TOOL_USER)
        tool_turn = client.tool_turn(self.api[0], tool_user)
        await tool_turn()
        await self.series[TOOL_TURN].record(_FEW, tool_turn)
        tool_id = await client.create_tool(self.api[0])
        custom = client.tool_turn(
            self.api[0], await self._new_agent(CUSTOM_USER, tool_ids=[tool_id])
        )
        await custom()
        # Apart, as people talk: back to back it is the pool's refill that is measured. What a turn
        # takes beside it is measured at the same pace, since idle processes wake up slowly.
        plain = client.turn(self.api[0], created)
        await self.series[APART_TURN].record(_FEW, plain, pause_s=_REFILL_S)
        await self.series[CUSTOM_TURN].record(_FEW, custom, pause_s=_REFILL_S)
        await self._connect()
        floors = [partial(floor.take_turn, one) for one in self._floors]
        await self.series[CROWD_FLOOR].record_crowd(_CROWD_TIMES, floors)
        await self.series[CROWD_TURN].record_crowd(_CROWD_TIMES, self._crowd())
        await self._streams(created)
        await self._histories()
        await self._reads(created)
        create = repeat(self.api[0], client.creation())
        await self.series[CREATE].record(_FEW, create)
        await self.series[UPDATE].record(_FEW, client.update_block(self.api[0], created))
        await self._controlled()

    async def _controlled(self) -> None:
        """Turns that wait for others, turns that wait for approval, turns that are cancelled."""
        await self._connect()
        agent_id = await self._new_agent()
        queue = [client.turn(one, agent_id) for one in self.api[:_QUEUE]]
        await queue[0]()
        await self.series[QUEUED_TURN].record_crowd(1, queue)
        guarded = await self._new_agent(TOOL_USER, **client.GUARDED)
        approved = client.approved_turn(self.api[0], guarded)
        await approved()
        await self.series[APPROVED_TURN].record(_FEW, approved)
        silent = await self._new_agent(SILENT)
        self.series[CANCEL].add(
            [await client.cancel_turn(self.api[0], self.api[1], silent) for _ in range(_FEW)]
        )

    def close(self) -> None:
        """Hang up."""
        for connection in self.api + self.web:
            connection.close()

    def _crowd(self) -> list[Operation]:
        return [client.turn(one, agent) for one, agent in zip(self.api, self._agents, strict=True)]

    async def _new_agent(self, model: str = INSTANT, **more: Any) -> str:
        return await client.create_agent(self.api[0], model, **more)

    async def _pair(
        self, agent_id: str, floor_name: str, turn_name: str, times: int, pause_s: float
    ) -> None:
        """The floor, then turns at the same pace."""
        conversation = await floor.begin_conversation(self.temporal)
        take_floor = partial(floor.take_turn, conversation)
        await self.series[floor_name].record(times, take_floor, pause_s=pause_s)
        await conversation.signal(floor.Floor.close)
        turn = client.turn(self.api[0], agent_id)
        await self.series[FIRST_TURN].record(1, turn)
        await self.series[turn_name].record(times, turn, pause_s=pause_s)

    async def _streams(self, agent_id: str) -> None:
        sent = client.stream_request(agent_id)
        events: list[float] = []
        texts: list[float] = []
        for _ in range(_FEW):
            began = time.perf_counter()
            answer = await self.api[0].ask(sent)
            events.append(answer.arrival_of(b"data:") - began)
            texts.append(answer.arrival_of(b'"assistant_message"') - began)
            await asyncio.sleep(_PAUSE_S)
        self.series[FIRST_EVENT].add(events)
        self.series[FIRST_TEXT].add(texts)
        resume = await client.finished_stream(self.api[0], agent_id)
        self.series[RESUMED].add([await self._first_event(resume) for _ in range(_FEW)])

    async def _first_event(self, sent: bytes) -> float:
        began = time.perf_counter()
        return (await self.api[0].ask(sent)).arrival_of(b"data:") - began

    async def _histories(self) -> None:
        for count in HISTORIES:
            agent_id = await self._new_agent()
            turn = client.turn(self.api[0], agent_id)
            await turn()
            fill(self.product, agent_id, count - 2)
            await turn()  # the prompt is compiled anew
            await self.series[after(count)].record(_FEW, turn)

    async def _connect(self) -> None:
        """Before many ask at once, so that no round counts connections."""
        for connection in self.api + self.web:
            await connection.open()

    async def _reads(self, agent_id: str) -> None:
        await self._connect()
        for name, times in ((name, _TIMES) for name in READS):
            await self.series[name].record(times, self._read(name, agent_id, 0))
        for name in READS:
            readers = [self._read(name, agent_id, n) for n in range(_READERS)]
            await self.series[name + AT_ONCE].record_crowd(_READS_EACH, readers)

    def _read(self, name: str, agent_id: str, n: int) -> Operation:
        reads = {
            HELLO: lambda: repeat(self.web[n], request("GET", web.HELLO), "world"),
            SELECT: lambda: repeat(self.web[n], request("GET", web.SELECT), web.SELECTED),
            RETRIEVE: lambda: client.retrieve_agent(self.api[n], agent_id),
            LIST: lambda: client.list_messages(self.api[n], agent_id),
        }
        return reads[name]()
