"""Clients that wait: for what they approve, deny or cancel themselves, and in a queue."""

import time
from typing import Any

import httpx
from letta_client import APIError

from tests.chaos.soak.clients import Said, Talker, Verdict, judged, said_of_error
from tests.support.approvals import approval
from tests.support.provider import call, do, say

_VERDICTS: tuple[Verdict, ...] = ("approve", "approve", "deny", "cancel")
_QUEUED = 3
_WAIT_S = 90.0
_OPEN = ("created", "running")


class Guard(Talker):
    """Makes its agent ask before it takes a note, and says yes, says no, or cancels."""

    rules = ({"type": "requires_approval", "tool_name": "memory_insert"},)

    def _next(self, agent_id: str) -> Said:
        mark = f"{self.name} {len(self.said)}"
        note = call("memory_insert", label="notes", new_string=mark)
        text = do(note, say(f"noted {mark}"))
        said = Said(agent_id, "approval", text, f"noted {mark}", mark)
        said.verdict = self._chance.choice(_VERDICTS)
        return said

    def _send(self, said: Said) -> str:
        messages = self._client.agents.messages
        asked: Any = messages.create(said.agent_id, input=said.text).messages[-1]
        if asked.message_type != "approval_request_message":
            return f"wrong: {asked.message_type} where approval is needed"
        if said.verdict == "cancel":
            result = messages.cancel(said.agent_id, run_ids=[asked.run_id])
            # A client that is not told of its cancel asks again, and finds the run at rest.
            return "answered" if result[asked.run_id] in ("cancelled", "failed") else str(result)
        decision = approval(asked.tool_call.tool_call_id, approve=said.verdict == "approve")
        given: Any = {"type": "approval", "approvals": [decision]}
        reply = messages.create(said.agent_id, messages=[given])
        return judged(reply.messages[-1].content, said)


class Queuer(Talker):
    """Sends several messages without waiting for an answer, and then waits for all of them."""

    def _speak(self, agent_id: str) -> None:
        began = time.monotonic()
        sent = []
        for place in range(_QUEUED):
            said = self._next(agent_id)
            said.place = place
            self.said.append(said)
            try:
                run = self._client.agents.messages.create_async(agent_id, input=said.text)
            except (httpx.TransportError, APIError) as error:
                said.outcome = said_of_error(error)
            else:
                sent.append((said, str(run.id)))
        for said, run_id in sent:
            said.outcome = self._await(run_id)
            said.took_s = time.monotonic() - began

    def _await(self, run_id: str) -> str:
        end = time.monotonic() + _WAIT_S
        while time.monotonic() < end:
            try:
                run = self._client.runs.retrieve(run_id)
            except (httpx.TransportError, APIError) as error:
                return said_of_error(error)
            if run.status not in _OPEN:
                return "answered" if run.status == "completed" else f"run {run.status}"
            time.sleep(0.1)
        return "no answer"
