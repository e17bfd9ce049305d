"""A product with kill points, and what must hold after any death."""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

from letta_client import Letta
from letta_client.types import AgentState
from letta_client.types.agents import LettaResponse
from temporalio.client import Client

from tests.support.product import REPOSITORY, Product, eventually, is_alive
from tests.support.provider import HANDLE, FakeProvider, call, do, last_user_text, say

_Result = TypeVar("_Result")

INJECT = Path(__file__).parent / "inject"
STEPS = 5
LINES = [f"line {n}" for n in range(STEPS - 1)]
ROLES = ("system", "user", *("assistant", "tool") * len(LINES), "assistant")
NOTING = [call("memory_insert", label="notes", new_string=line) for line in LINES]
TURN = do(*NOTING, say("done"))


class KillableProduct(Product):
    """`o up` whose processes stop at named points."""

    def __init__(self, data_dir: Path, provider: FakeProvider) -> None:
        self.points = data_dir.parent / "points"
        self.points.mkdir(parents=True)
        super().__init__(
            data_dir,
            {
                "OPENAI_API_KEY": "sk-test",
                "OPENAI_BASE_URL": provider.url,
                "O_TEST_POINTS": str(self.points),
                "PYTHONPATH": f"{INJECT}{os.pathsep}{REPOSITORY}",
            },
        )
        # Points are put in where the variable is set; each process looks whose it is.
        self.injected = {"PYTHONPATH": self.env["PYTHONPATH"], "O_TEST_POINTS": "of each product"}
        self.provider = provider

    @contextlib.contextmanager
    def stopped_at(self, point: str) -> Iterator[Callable[[], int | None]]:
        """Arm a point. The value waits until it is reached and gives the pid that stopped there.

        `model-called-N` holds step N's request at the provider instead, and gives None.
        """
        if point.startswith("model-called-"):
            gate = self.provider.hold(is_step(int(point.rpartition("-")[2])))
            yield lambda: _reached(gate.reached)
            gate.opened.set()
            return
        armed, reached = self.points / f"{point}.armed", self.points / f"{point}.reached"
        armed.touch()
        yield lambda: eventually(lambda: _pid_in(reached), what=f"the point {point}")
        reached.unlink(missing_ok=True)
        armed.unlink(missing_ok=True)

    def kill_one(self, name: str, stopped_pid: int | None) -> int:
        """Kill a process by name; `worker` is the one that does the work.

        A killed supervisor takes everything with it, and is started again.
        """
        if name != "worker":
            pid = self.kill(name)
            if name == "supervisor":
                self.start()
            return pid
        pid = self._working(stopped_pid)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not is_alive(pid), within_s=10, what="the death of a worker")
        return pid

    def _working(self, stopped_pid: int | None) -> int:
        workers = [pid for name, pid in self.state["processes"].items() if "worker" in name]
        if stopped_pid in workers:
            return int(stopped_pid or 0)
        name = asyncio.run(_busy_worker(self.state["temporal_address"])) or "worker-1"
        return self.pid_of(name)


def is_step(step: int) -> Callable[[list[dict[str, Any]]], bool]:
    """Whether a prompt asks for this step of the five-step turn."""

    def fits(prompt: list[dict[str, Any]]) -> bool:
        return (
            last_user_text(prompt) == TURN
            and sum(message["role"] == "tool" for message in prompt) == step
        )

    return fits


def _reached(event: threading.Event) -> None:
    assert event.wait(30), "the model was not called"


def _pid_in(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (FileNotFoundError, ValueError):
        return None


async def _busy_worker(address: str) -> str | None:
    """Name of the worker that has an activity in hand."""
    client = await Client.connect(address)
    async for execution in client.list_workflows("ExecutionStatus='Running'"):
        described = await client.get_workflow_handle(execution.id).describe()
        for pending in described.raw_description.pending_activities:
            return "-".join(pending.last_worker_identity.split("-")[:2])
    return None


def new_agent(product: Product, *, guarded: bool = False) -> AgentState:
    """An agent with a block of notes, which it may write in only with approval if it is guarded."""
    return patient_client(product).agents.create(
        model=HANDLE,
        memory_blocks=[{"label": "notes", "value": ""}],
        tool_rules=[{"type": "requires_approval", "tool_name": "memory_insert"}] * guarded,
    )


class Background(threading.Thread, Generic[_Result]):
    """Does something that waits for an answer, while the test goes on."""

    def __init__(self, call: Callable[[], _Result]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self._results: list[_Result] = []
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._results.append(self._call())
        except BaseException as error:
            self._error = error

    def result(self, within_s: float = 60) -> _Result:
        """What came of it, once that is known; what went wrong is raised."""
        self.join(within_s)
        assert not self.is_alive(), "no answer"
        if self._error:
            raise self._error
        return self._results[0]


class Sending(Background[LettaResponse]):
    """Sends the five-step turn and keeps the answer. The client repeats its POST as ever."""

    def __init__(
        self, product: Product, agent: AgentState, text: str = TURN, **options: Any
    ) -> None:
        client = patient_client(product)
        super().__init__(lambda: client.agents.messages.create(agent.id, input=text, **options))

    def reply(self, within_s: float = 60) -> LettaResponse:
        """The answer, once it is there."""
        return self.result(within_s)


def patient_client(product: Product) -> Letta:
    """The official client, told to repeat a request until the product is back."""
    return product.client(max_retries=12, timeout=60)


def assert_turn_happened_once(product: Product, agent: AgentState, reply: LettaResponse) -> None:
    """One run, closed once; every message once and in order; every edit once."""
    assert reply.messages[-1].content == "done"
    assert len(reply.messages) == 2 * len(LINES) + 1
    assert_runs_ended_once(product, agent, [("completed", "end_turn")])
    assert roles_of(product, agent) == ROLES
    assert_notes(product, agent, LINES)


def assert_runs_ended_once(product: Product, agent: AgentState, ends: list[Any]) -> None:
    """The agent's runs have these statuses and stop reasons, and each one closing event."""
    assert (
        product.query(
            "SELECT status, stop_reason FROM runs WHERE agent_id = %s ORDER BY created_at", agent.id
        )
        == ends
    )
    assert product.query(
        "SELECT count(*) FROM run_events e JOIN runs r ON r.id = e.run_id "
        "WHERE r.agent_id = %s AND e.kind = 'closed'",
        agent.id,
    ) == [(len(ends),)]


def roles_of(product: Product, agent: AgentState) -> tuple[str, ...]:
    """Who said what is in the agent's history, in order."""
    rows = product.query(
        "SELECT role FROM messages WHERE agent_id = %s ORDER BY position", agent.id
    )
    return tuple(role for (role,) in rows)


def assert_notes(product: Product, agent: AgentState, lines: list[str]) -> None:
    """Every line was written once: in the block, and in the count of its versions."""
    assert product.query(
        "SELECT value, version FROM blocks b JOIN agent_blocks a ON a.block_id = b.id "
        "WHERE a.agent_id = %s",
        agent.id,
    ) == [("\n".join(lines), 1 + len(lines))]


def assert_next_message_is_accepted(product: Product, agent: AgentState) -> None:
    reply = Sending(product, agent, "still there?").reply()
    assert reply.messages[0].content == "You said: still there?"
