"""The tail: how long the slowest of many turns of one conversation take, which must not be much."""

from bench import client
from bench.connection import Connection
from bench.cpu import CpuMeter
from bench.series import Series

TURNS, QUICK_TURNS = 1_000, 300
BACK_TO_BACK, APART = "many turns back to back", "many turns 50 ms apart"
_PAUSES_S = {BACK_TO_BACK: 0.0, APART: 0.05}


async def measure(api: Connection, meter: CpuMeter, turns: int) -> dict[str, Series]:
    """So many turns of one conversation at each pace, with several executions in a row."""
    found = {name: Series(name, meter) for name in _PAUSES_S}
    for name, pause_s in _PAUSES_S.items():
        turn = client.turn(api, await client.create_agent(api))
        await turn()
        await found[name].record(turns, turn, pause_s=pause_s)
    return found
