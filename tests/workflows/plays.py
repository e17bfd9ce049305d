"""Conversations that take more than one message after the other to play, for `record.py`."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx
from letta_client.types import AgentState

from tests.support.approvals import (
    INSERT,
    answer,
    approval,
    ask,
    await_rest,
    guarded_agent,
    request_of,
)
from tests.support.product import Product, eventually
from tests.support.provider import FakeProvider, call, do, say
from tests.support.terminal import list_workflows, signal, temporal, update, waiting
from workflows import options

_TWO = {"calls": [*INSERT["calls"], *call("memory_insert", label="human", new_string="B")["calls"]]}


class Stage:
    """An agent whose memory edits are guarded, and what is done with it."""

    def __init__(self, product: Product, provider: FakeProvider) -> None:
        self.product = product
        self.provider = provider
        self.client = product.client(max_retries=0)
        self.agent: AgentState = guarded_agent(self.client)
        ((self.thread,),) = product.query(
            "SELECT id FROM conversations WHERE agent_id = %s", self.agent.id
        )

    def say(self, text: str) -> None:
        """Send a message and wait for the answer."""
        self.client.agents.messages.create(self.agent.id, input=text)

    def request(self, *actions: dict[str, Any]) -> list[str]:
        """Make the agent ask; the ids of the calls that wait."""
        return [one.tool_call_id for one in request_of(self.ask(*actions)).tool_calls]

    def ask(self, *actions: dict[str, Any]) -> Any:
        """Make the agent take these actions, a guarded one by default."""
        return ask(self.client, self.agent, *actions)

    def answer(self, *approvals: dict[str, Any]) -> Any:
        """Answer through the API."""
        return answer(self.client, self.agent, *approvals)

    def await_rest(self) -> None:
        """Wait until nothing is open and nothing waits."""
        await_rest(self.client, self.agent)

    @contextmanager
    def queued(self, text: str, *more: str) -> Iterator[list[Future[Any]]]:
        """Hold the model at `text`, with the other messages behind it in the queue."""
        held = self.provider.hold(lambda prompt: bool(prompt[-1]["content"] == text))
        with ThreadPoolExecutor(len(more) + 1) as pool:
            sent = []
            for place, each in enumerate((text, *more), start=1):
                sent.append(pool.submit(self._post, each))
                eventually(partial(self._has_open, place), what="the queue")
            assert held.reached.wait(20)
            try:
                yield sent
            finally:
                held.opened.set()

    def _post(self, text: str) -> Any:
        url = f"{self.product.url}/v1/agents/{self.agent.id}/messages"
        return httpx.post(url, json={"input": text}, timeout=60).json()

    def _has_open(self, count: int) -> bool:
        return len(self.client.runs.list(agent_id=self.agent.id, active=True).items) == count


def _approval(stage: Stage) -> None:
    """Approved, then denied, through the API."""
    stage.answer(approval(*stage.request()))
    stage.answer(approval(*stage.request(), approve=False, reason="no"))


def _partial(stage: Stage) -> None:
    first, second = stage.request(_TWO)
    stage.answer(approval(second, approve=False))
    stage.answer(approval(first))


def _refreshed(stage: Stage) -> None:
    """Nothing to put right, then a cancel of which nobody notified the conversation."""
    first, second = stage.request(_TWO)
    stage.answer(approval(first))
    signal(stage.product, stage.thread, "refresh")
    eventually(
        lambda: [one["calls"] for one in waiting(stage.product, stage.agent)] == [[second]],
        what="the rest of the request",
    )
    stage.product.query(
        "UPDATE approvals SET status = 'cancelled' WHERE agent_id = %s", stage.agent.id
    )
    signal(stage.product, stage.thread, "refresh", "{}")
    eventually(lambda: not waiting(stage.product, stage.agent), what="the end of waiting")


def _by_update(stage: Stage) -> None:
    first, second = stage.request(_TWO)
    update(stage.product, stage.thread, "decide", tool_call_id=first, approve=True)
    update(stage.product, stage.thread, "decide", tool_call_id=second, approve=False)
    stage.await_rest()


def _by_signal(stage: Stage) -> None:
    (call_id,) = stage.request()
    verdicts = [
        json.dumps({"tool_call_id": named, "approve": True}) for named in ("x", "", call_id)
    ]
    for given in ([], ["1"], ['{"approve": true}'], *([one] for one in verdicts)):
        signal(stage.product, stage.thread, "decide", *given)
    stage.await_rest()


def _cancelled(stage: Stage) -> None:
    """In a model call, with one more in the queue; then by update."""
    with stage.queued("stop me", "and me"):
        stage.client.agents.messages.cancel(stage.agent.id)
    with stage.queued("stop me too", "but not me"):
        (_, run) = stage.client.runs.list(agent_id=stage.agent.id, active=True).items
        update(stage.product, stage.thread, "cancel", run_ids=[run.id])
    stage.say("still there?")


def _cancelled_approval(stage: Stage) -> None:
    with stage.queued(do(INSERT, say("done")), "behind it") as (first, _):
        pass
    assert first.result(20)["stop_reason"]["stop_reason"] == "requires_approval"
    stage.client.agents.messages.cancel(stage.agent.id)
    stage.await_rest()
    stage.request()
    signal(stage.product, stage.thread, "cancel", "{}")
    stage.await_rest()


def _queue(stage: Stage) -> None:
    with stage.queued("one", "two", "three", "four"):
        pass


def _interrupted(stage: Stage) -> None:
    url = f"{stage.product.url}/v1/agents/{stage.agent.id}/messages"
    with stage.queued("a long story"):
        httpx.post(url, json={"input": "now", "busy_policy": "interrupt"}, timeout=60)
    stage.request()
    httpx.post(url, json={"input": "never mind", "busy_policy": "interrupt"}, timeout=60)


def _by_button(stage: Stage) -> None:
    """Temporal's own cancel: in a model call with one behind it, of what waits, of nothing."""
    with stage.queued("stop me", "and me") as sent:
        temporal(stage.product, "workflow", "cancel", "--workflow-id", stage.thread)
        for each in sent:
            each.result(20)
    stage.say("still there?")
    stage.request()
    temporal(stage.product, "workflow", "cancel", "--workflow-id", stage.thread)
    stage.await_rest()
    temporal(stage.product, "workflow", "cancel", "--workflow-id", stage.thread)
    stage.say("and now?")


def _deleted_in_turn(stage: Stage) -> None:
    with stage.queued("a long story", "and one more"):
        stage.client.agents.delete(stage.agent.id)
        running = f"WorkflowId = '{stage.thread}' AND ExecutionStatus = 'Running'"
        eventually(lambda: not list_workflows(stage.product, running), what="the end of it")


def _expired(stage: Stage) -> None:
    url = f"{stage.product.url}/v1/agents/{stage.agent.id}"
    httpx.patch(url, json={"approval_timeout_s": 1}).raise_for_status()
    stage.request()
    stage.await_rest()


def _continued(stage: Stage) -> None:
    """Waits across a continue-as-new, which comes when nobody speaks."""
    for n in range(20):
        stage.say(f"message {n}")
    calls = stage.request()
    eventually(lambda: len(_executions(stage)) > 1, what="the next execution of the conversation")
    stage.answer(approval(*calls))


def _handed_over(stage: Stage) -> None:
    """Once in the middle of busy talk, with the next turn; once when nobody speaks any more."""
    while len(_executions(stage)) < 2:
        for n in range(20):
            stage.say(f"message {n}")
    for n in range(20):
        stage.say(f"more {n}")
    eventually(lambda: len(_executions(stage)) > 2, what="the next execution of the conversation")
    stage.say("and then?")


def _later(stage: Stage) -> None:
    """Somebody comes back after more than a minute, which the memo then shows."""
    stage.say("hello")
    time.sleep(options.SHOW_TIME_EVERY.total_seconds() + 1)
    stage.say("hello again")


def _executions(stage: Stage) -> list[Any]:
    return list_workflows(stage.product, f"WorkflowId = '{stage.thread}'")


PLAYS: dict[str, Callable[[Stage], None]] = {
    "approval": _approval,
    "approval_partial": _partial,
    "approval_by_update": _by_update,
    "approval_by_signal": _by_signal,
    "approval_cancelled": _cancelled_approval,
    "approval_refreshed": _refreshed,
    "approval_expired": _expired,
    "approval_continued": _continued,
    "cancelled": _cancelled,
    "queue": _queue,
    "interrupted": _interrupted,
    "cancelled_by_button": _by_button,
    "deleted_in_turn": _deleted_in_turn,
    "handed_over": _handed_over,
    "later": _later,
}
