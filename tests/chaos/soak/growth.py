"""Very many turns with short retention: nothing may grow for ever."""

import asyncio
import sys
import time
from collections.abc import Callable

import httpx

from tests.chaos.soak.sizes import Sample, growing, sample, table_of
from tests.support.product import Product
from tests.support.provider import HANDLE, FakeProvider, call, do, say

_TALKERS = 8
_TURNS_OF_AN_AGENT = 25
_SAMPLE_EVERY_S = 10.0
_TIMEOUT_S = 120.0


def short_retention(keep_s: float) -> dict[str, str]:
    """Settings by which all that is old goes after `keep_s` seconds."""
    hours, days = str(keep_s / 3600), str(keep_s / 86_400)
    return {
        "O_EVENT_RETENTION_H": hours,
        "O_TRACE_RETENTION_H": hours,
        "O_KEEP_PLACES_H": hours,
        "O_TEMPORAL_RETENTION_H": hours,
        "O_KEEP_RUNS_DAYS": days,
        "O_KEEP_AUDIT_DAYS": days,
        "O_KEEP_USAGE_DAYS": days,
        "O_TRACES": "all",
    }


class Growth:
    """One run of it: agents talk, and are deleted with their memory when they have."""

    def __init__(self, product: Product, provider: FakeProvider) -> None:
        self._product = product
        self._provider = provider
        self._turns = 0
        self._wrong: list[str] = []
        self._samples: list[Sample] = []

    def run(self, turns: int, *, at_most_s: float) -> list[str]:
        """Take the turns, or as many as there is time for; answers what grew, or went wrong."""
        asyncio.run(self._run(turns, at_most_s))
        for line in table_of(self._samples):
            print(line)
        taken_s = self._samples[-1].at_s
        print(f"{self._turns} turns in {taken_s:.0f} s: {self._turns / taken_s:.1f} a second")
        return [*self._wrong[:20], *growing(self._samples)]

    async def _run(self, turns: int, at_most_s: float) -> None:
        began = time.monotonic()
        limits = httpx.Limits(max_connections=_TALKERS)
        async with httpx.AsyncClient(
            base_url=self._product.url, timeout=_TIMEOUT_S, limits=limits
        ) as http:
            looking = asyncio.create_task(self._look(began))

            def is_over() -> bool:
                return self._turns >= turns or time.monotonic() - began > at_most_s

            async with asyncio.TaskGroup() as talking:
                for _ in range(_TALKERS):
                    talking.create_task(self._talk(http, is_over))
            looking.cancel()
        self._samples.append(await asyncio.to_thread(sample, self._product, began, self._turns))

    async def _look(self, began: float) -> None:
        while True:
            one = await asyncio.to_thread(sample, self._product, began, self._turns)
            self._samples.append(one)
            self._provider.prompts.clear()
            print(f"\r{one.turns} turns, {one.at_s:.0f} s ", end="", file=sys.stderr, flush=True)
            await asyncio.sleep(_SAMPLE_EVERY_S)

    async def _talk(self, http: httpx.AsyncClient, is_over: Callable[[], bool]) -> None:
        blocks = [{"label": "notes", "value": ""}]
        while not is_over():
            made = await http.post("/v1/agents/", json={"model": HANDLE, "memory_blocks": blocks})
            agent = made.json()
            for n in range(_TURNS_OF_AN_AGENT):
                if is_over():
                    break
                await self._turn(http, agent["id"], n)
            await http.delete(f"/v1/agents/{agent['id']}")
            for block in agent["blocks"]:
                await http.delete(f"/v1/blocks/{block['id']}")

    async def _turn(self, http: httpx.AsyncClient, agent_id: str, n: int) -> None:
        text = f"message {n} of {agent_id}"
        if n % 5 == 4:
            text = do(call("memory_insert", label="notes", new_string=f"{n}"), say(text))
        answer = await http.post(f"/v1/agents/{agent_id}/messages", json={"input": text})
        self._turns += 1
        if answer.status_code != 200:
            self._wrong.append(f"a turn got {answer.status_code}: {answer.text[:100]}")
