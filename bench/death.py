"""What the death of a worker costs a turn: from the kill to the next call of the model."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from letta_client.types import AgentState

from tests.chaos.killing import KillableProduct, Sending, new_agent
from tests.support.product import eventually
from tests.support.provider import FakeProvider, call, do, last_user_text, say

ROUNDS = 7
_POINT = "step-committed-0"
_TURN = do(call("memory_insert", label="notes", new_string="a line"), say("done"))
_STEADY_S = 3.2  # a worker that dies younger than 3 s may have to pause before it is started


@dataclass
class Deaths:
    """Seconds from the moment at which a step is committed and not reported to the next one.

    Attributes:
        killed: Its worker is killed at that moment.
        released: Nothing happens to it.
    """

    killed: list[float] = field(default_factory=list)
    released: list[float] = field(default_factory=list)


def measure(folder: Path) -> Deaths:
    """Measure on a product of its own, with kill points, in `folder`."""
    provider = FakeProvider()
    provider.start()
    try:
        product = KillableProduct(folder / "o", provider)
        try:
            product.start()
            return _measure(product)
        finally:
            product.stop()
    finally:
        provider.stop()


def _measure(product: KillableProduct) -> Deaths:
    deaths = Deaths()
    agent = new_agent(product)
    eventually(lambda: _readiness(product) >= _workers(product), what="every worker polls")
    for _ in range(2 * _workers(product)):  # a worker's first turn takes longer
        _until_next_step(product, agent, lambda pid: None)
        agent = new_agent(product)
    for _ in range(ROUNDS):
        deaths.released.append(_until_next_step(product, agent, lambda pid: None))
        ready = _readiness(product)
        deaths.killed.append(_until_next_step(product, agent, _kill))
        eventually(lambda: _readiness(product) > ready, what="the next worker")  # noqa: B023
        time.sleep(_STEADY_S)
    return deaths


def _until_next_step(
    product: KillableProduct, agent: AgentState, act: Callable[[int], None]
) -> float:
    """Take a turn; answers the seconds from `act` on the stopped worker to the next model call."""
    gate = product.provider.hold(_asks_for_second_step)
    with product.stopped_at(_POINT) as reached:
        sending = Sending(product, agent, _TURN)
        pid = reached()
        assert pid is not None
        began = time.perf_counter()
        act(pid)
    assert gate.reached.wait(60), "the turn was not carried on"
    took = time.perf_counter() - began
    gate.opened.set()
    sending.reply()
    return took


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def _asks_for_second_step(prompt: list[dict[str, Any]]) -> bool:
    return last_user_text(prompt) == _TURN and prompt[-1]["role"] == "tool"


def _workers(product: KillableProduct) -> int:
    return sum(name.startswith("worker") for name in product.state["processes"])


def _readiness(product: KillableProduct) -> int:
    """How often a worker has said that it polls."""
    logs = (product.data_dir / "logs").glob("worker-*.log")
    return sum(log.read_text().count("worker polls") for log in logs)
