"""Scenarios in which somebody waits: for a person's answer, in a queue, or for a cancel."""

from subprocess import TimeoutExpired
from typing import Any

from letta_client.types import AgentState

from tests.chaos.killing import (
    LINES,
    NOTING,
    ROLES,
    TURN,
    Background,
    KillableProduct,
    Sending,
    assert_notes,
    assert_runs_ended_once,
    is_step,
    new_agent,
    patient_client,
)
from tests.chaos.scenarios import Scenario
from tests.support.approvals import answer, approval, request_of
from tests.support.product import eventually
from tests.support.provider import call, do, say
from tests.support.terminal import update, waiting_if_up

_ASKED = ("completed", "requires_approval")
_DONE = ("completed", "end_turn")
_CANCELLED = ("cancelled", "cancelled")


class Request(Scenario):
    """A turn whose tool needs approval; it is given when all is over."""

    text = do(call("memory_insert", label="notes", new_string="approved"), say("done"))
    requests = 2
    roles: tuple[str, ...] = ("system", "user", "assistant", "approval", "tool", "assistant")
    ends: tuple[tuple[str, str], ...] = (_ASKED, _DONE)
    notes: tuple[str, ...] = ("approved",)
    agent: AgentState

    def __init__(self, product: KillableProduct) -> None:
        self.product = product
        self.agent = new_agent(product, guarded=True)
        self.thread = thread_of(product, self.agent)

    def begin(self) -> None:
        self._sending = Sending(self.product, self.agent, self.text)

    def check(self, killed: str) -> None:
        request = request_of(self._sending.reply())
        (shown,) = await_shown(self.product, self.agent)
        assert shown["calls"] == [request.tool_call.tool_call_id]
        said = self.answer(request.tool_call.tool_call_id)
        assert said.messages[-1].content == "done"
        self.assert_over()

    def answer(self, call_id: str, *, approve: bool = True) -> Any:
        """Answer through the API, as often as it takes."""
        client = patient_client(self.product)
        return answer(client, self.agent, approval(call_id, approve=approve))

    def ask(self) -> Any:
        """Make the agent ask, while nobody dies; answers the request."""
        return request_of(Sending(self.product, self.agent, self.text).reply())

    def assert_over(self) -> None:
        """Each run ended once and as it had to, and the tool ran as often as it was allowed to."""
        eventually(self._is_at_rest, what="rest")
        assert_runs_ended_once(self.product, self.agent, list(self.ends))
        assert_notes(self.product, self.agent, list(self.notes))

    def _is_at_rest(self) -> bool:
        ends = self.product.query(
            "SELECT status, stop_reason FROM runs WHERE agent_id = %s ORDER BY created_at",
            self.agent.id,
        )
        return ends == list(self.ends)


class Answer(Request):
    """An approval that is given through the API."""

    approve = True

    def __init__(self, product: KillableProduct) -> None:
        super().__init__(product)
        self._call_id = self.ask().tool_call.tool_call_id

    def begin(self) -> None:
        self._answering: Background[Any] = Background(self._give)

    def check(self, killed: str) -> None:
        said = self._answering.result()
        assert said.messages[-1].content == "done"
        assert self._give().model_dump() == said.model_dump(), "the same answer again"
        self.assert_over()

    def _give(self) -> Any:
        return self.answer(self._call_id, approve=self.approve)


class Denial(Answer):
    """A denial that is given through the API."""

    approve = False
    notes = ()


class Verdict(Request):
    """An approval that is given in Temporal; who is not told what came of it gives it again."""

    def __init__(self, product: KillableProduct) -> None:
        super().__init__(product)
        self._call_id = self.ask().tool_call.tool_call_id

    def begin(self) -> None:
        self._deciding: Background[str] = Background(self._decide)

    def check(self, killed: str) -> None:
        decided = self._deciding.result()
        assert self._decide() == decided, "the same decision again"
        self.assert_over()

    def _decide(self) -> str:
        """The run that carries on."""
        return eventually(self._decide_once, within_s=50, what="the decision")

    def _decide_once(self) -> str:
        try:
            decided = update(
                self.product, self.thread, "decide", tool_call_id=self._call_id, approve=True
            )
        except (AssertionError, TimeoutExpired):  # Temporal is away, or elsewhere by now
            return ""
        return str(decided["run_id"])


class Expiry(Request):
    """A request that nobody answers in time."""

    notes = ()

    def __init__(self, product: KillableProduct) -> None:
        super().__init__(product)
        product.query("UPDATE agents SET approval_timeout_s = 1 WHERE id = %s", self.agent.id)

    def check(self, killed: str) -> None:
        request_of(self._sending.reply())
        self.assert_over()
        decided = "SELECT status, decided_by FROM approvals WHERE agent_id = %s"
        assert self.product.query(decided, self.agent.id) == [("expired", "expiry")]


class CancelledRequest(Request):
    """A request for approval that is cancelled."""

    roles = ("system", "user", "assistant", "approval", "tool")
    requests = 1
    ends = (_CANCELLED,)
    notes = ()

    def __init__(self, product: KillableProduct) -> None:
        super().__init__(product)
        self._run_id = self.ask().run_id

    def begin(self) -> None:
        self._cancelling = Background(lambda: cancel(self.product, self.agent, self._run_id))

    def check(self, killed: str) -> None:
        self._cancelling.result()
        self.assert_over()
        await_nothing_shown(self.product, self.agent)


class Cancel(Scenario):
    """A run that is cancelled in its model call, while a message waits behind it."""

    requests = 3
    roles = (*ROLES[:6], "user", "assistant")
    ends = (_CANCELLED, _DONE)

    def __init__(self, product: KillableProduct) -> None:
        self.product = product
        self.agent = new_agent(product)
        self._held = product.provider.hold(is_step(2))
        self._sending = Sending(product, self.agent)
        assert self._held.reached.wait(30)

    def begin(self) -> None:
        self._behind = Sending(self.product, self.agent, "behind it")
        (run_id, _) = await_runs(self.product, self.agent, 2)
        self._cancelling = Background(lambda: cancel(self.product, self.agent, run_id))

    def check(self, killed: str) -> None:
        """What waited is answered although the model never says what it was asked."""
        try:
            assert self._behind.reply().messages[-1].content == "You said: behind it"
            self.assert_cancelled()
            self._cancelling.result()
        finally:
            self._held.opened.set()

    def assert_cancelled(self) -> None:
        """The first run, and whoever sent it knows."""
        assert self._sending.reply().stop_reason.stop_reason == "cancelled"
        assert_runs_ended_once(self.product, self.agent, list(self.ends))
        assert_notes(self.product, self.agent, LINES[:2])


class Interrupt(Cancel):
    """A message that interrupts a model call."""

    def begin(self) -> None:
        client = patient_client(self.product)
        self._interrupting = Background(
            lambda: client.agents.messages.create(
                self.agent.id, input="instead", extra_body={"busy_policy": "interrupt"}
            )
        )

    def check(self, killed: str) -> None:
        try:
            assert self._interrupting.result().messages[-1].content == "You said: instead"
            self.assert_cancelled()
        finally:
            self._held.opened.set()


class Queue(Scenario):
    """Three messages that wait behind a turn."""

    waiting = ("first", "second", "third")
    roles = (*ROLES, *("user", "assistant") * len(waiting))

    def begin(self) -> None:
        super().begin()
        self._queued = []
        for place, text in enumerate(self.waiting, start=1):
            await_runs(self.product, self.agent, place)
            self._queued.append(Sending(self.product, self.agent, text))
        await_runs(self.product, self.agent, len(self.waiting) + 1)

    def check(self, killed: str) -> None:
        """Each is answered, in the order in which they were sent."""
        replies = [sending.reply().messages[-1].content for sending in self._queued]
        assert replies == [f"You said: {text}" for text in self.waiting]
        reply = self._sending.reply()
        assert reply.messages[-1].content == "done"
        assert_runs_ended_once(self.product, self.agent, [_DONE] * (1 + len(self.waiting)))
        assert_notes(self.product, self.agent, LINES)
        said = self.product.query(
            "SELECT parts -> 0 ->> 'text' FROM messages WHERE agent_id = %s AND role = 'user' "
            "ORDER BY position",
            self.agent.id,
        )
        assert [text for (text,) in said] == [TURN, *self.waiting]


class Load(Scenario):
    """So many turns at once that the execution continues as new between them."""

    texts = tuple(do(*NOTING, say(f"done {n}")) for n in range(15))
    text = texts[0]
    roles = ("system", *ROLES[1:] * len(texts))

    def begin(self) -> None:
        self._sendings = [Sending(self.product, self.agent, text) for text in self.texts]

    def check(self, killed: str) -> None:
        replies = [sending.reply(90).messages[-1].content for sending in self._sendings]
        assert replies == [f"done {n}" for n in range(len(self.texts))]
        assert_runs_ended_once(self.product, self.agent, [_DONE] * len(self.texts))
        assert_notes(self.product, self.agent, LINES * len(self.texts))


def cancel(product: KillableProduct, agent: AgentState, run_id: str) -> None:
    """Cancel a run through the API; who is not told what came of it asks again."""
    result = patient_client(product).agents.messages.cancel(agent.id, run_ids=[run_id])
    assert result[run_id] in ("cancelled", "failed")  # the second time it is finished


def await_runs(product: KillableProduct, agent: AgentState, count: int) -> list[str]:
    """The ids of the agent's runs once there are so many, oldest first."""
    statement = "SELECT id FROM runs WHERE agent_id = %s ORDER BY created_at"

    def found() -> list[str]:
        ids = [run_id for (run_id,) in product.query(statement, agent.id)]
        return ids if len(ids) >= count else []

    return eventually(found, what=f"{count} runs")


def await_shown(product: KillableProduct, agent: AgentState) -> list[Any]:
    """What Temporal's list shows that the agent waits for, once it shows something."""
    return eventually(lambda: waiting_if_up(product, agent), what="the request in Temporal's list")


def await_nothing_shown(product: KillableProduct, agent: AgentState) -> None:
    """Wait until Temporal's list shows nothing that the agent waits for."""
    eventually(
        lambda: waiting_if_up(product, agent) == [], what="the end of waiting in Temporal's list"
    )


def thread_of(product: KillableProduct, agent: AgentState) -> str:
    """The agent's own conversation."""
    ((thread,),) = product.query("SELECT id FROM conversations WHERE agent_id = %s", agent.id)
    return str(thread)
