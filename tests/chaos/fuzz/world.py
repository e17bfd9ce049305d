"""An agent and two conversations of it, what a client may do to them, and what was done so far."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx
from letta_client.types import AgentState

from o.ids import new_id
from tests.chaos.fuzz.posts import Answer, How, Post, Request, is_passing, patiently
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, Action, call, do, say
from tests.support.terminal import waiting_if_up

GUARDED, FREE, CLIENTS = "memory_insert", "core_memory_append", "Look"
TOOLS = (GUARDED, FREE, CLIENTS)
Kind = Literal["plain", "calls", "answer"]

_AT_REST_S = 45.0


@dataclass(frozen=True)
class Waiting:
    """A pending approval request.

    Attributes:
        calls: The calls that wait, with the names of their tools.
    """

    id: str
    run_id: str
    calls: dict[str, str]


@dataclass
class Thread:
    """A conversation.

    Attributes:
        asked: The ids of the calls that waited for an answer in it, newest last.
    """

    id: str
    is_own: bool
    asked: list[str] = field(default_factory=list)


@dataclass
class Sent:
    """A request that was made, and its first answer.

    Attributes:
        text: What was said, if anything.
    """

    kind: Kind
    thread: Thread
    post: Post
    otid: str | None
    text: str = ""


class World:
    """What the fuzz acts on. Everything that is done is noted, for the checks at the end."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.http = httpx.Client(timeout=90, limits=httpx.Limits(max_connections=None))
        self.agent = self._new_agent()
        self._guarded_id = next(
            tool.id
            for tool in product.client().agents.tools.list(self.agent.id)
            if tool.name == GUARDED
        )
        ((own,),) = product.query("SELECT id FROM conversations WHERE agent_id = %s", self.agent.id)
        self.threads = [Thread(own, is_own=True), Thread(self.new_conversation(), is_own=False)]
        self.gone: list[Thread] = []
        self.sent: list[Sent] = []
        self.approved: set[str] = set()  # tokens whose call somebody approved
        self.tools: dict[str, str] = {}  # by the token that a call was made up about
        self.tools_of: dict[str, tuple[str, str]] = {}  # token by call id, and its tool
        self.calls_of: dict[str, list[str]] = {}  # of an approval request, those that waited
        self.repeated: set[str] = set()  # ids that two calls have
        self.was_reset = self.lost_runs = self.lost_tool = False
        self._numbers = itertools.count()

    def close(self) -> None:
        """Let go of the connections."""
        self.http.close()

    def request(self, method: str, path: str, **options: Any) -> Answer:
        """A request of which only the status matters; it bears repeating."""

        def ask() -> Answer | None:
            answer = self.http.request(method, self.product.url + path, **options)
            return None if is_passing(answer) else Answer(answer.status_code, answer.text)

        return patiently(ask)

    def new_conversation(self) -> str:
        """Another conversation of the agent."""
        client = self.product.client(max_retries=12)
        return client.conversations.create(agent_id=self.agent.id).id

    def say(self, thread: Thread, how: How, **more: Any) -> Sent:
        """Say something that the model answers in one step."""
        text = f"hello {next(self._numbers)}"
        return self._send("plain", thread, how, text, **more)

    def act(
        self,
        thread: Thread,
        how: How,
        steps: Sequence[Sequence[str]],
        delay_s: float,
        ids: str | None = None,
        **more: Any,
    ) -> Sent:
        """Say something that makes the model call these tools, step by step.

        Args:
            thread: Where.
            how: How the answer is wanted.
            steps: The tools of each reply.
            delay_s: How long the model thinks.
            ids: How the model counts its calls (`tests.support.provider`).
            more: Of the request's body.
        """
        actions = [self._step(tools, delay_s) | {"ids": ids} for tools in steps]
        text = do(*actions, say("done"))
        tools = [{"name": CLIENTS, "description": "Looks."}]
        return self._send("calls", thread, how, text, client_tools=tools, **more)

    def answer(self, thread: Thread, how: How, message: dict[str, Any], said: str = "") -> Sent:
        """Answer an approval request, with something to say behind it or without."""
        otid = f"answer-{next(self._numbers)}"
        messages: list[dict[str, Any]] = [message | {"otid": otid}]
        if said:
            messages.append({"role": "user", "content": said})
        return self._post("answer", thread, how, {"messages": messages}, otid, said)

    def arrived(self, sent: Sent) -> None:
        """Wait until a request was stored or refused: nobody repeats what was not sent yet."""

        def look() -> bool:
            stored = "SELECT id FROM runs WHERE agent_id = %s AND input #>> '{0,parts,0,text}' = %s"
            return not sent.post.is_alive() or bool(
                self.product.query(stored, self.agent.id, sent.text)
            )

        eventually(look, what="a request's arrival")

    def again(self, sent: Sent, body: dict[str, Any]) -> Post:
        """Post a request again as the SDK does, or another one in its place."""
        request = sent.post.request
        return Post(self.http, Request(request.url, body, request.how), repeats=1)

    def _send(self, kind: Kind, thread: Thread, how: How, text: str, **more: Any) -> Sent:
        number = next(self._numbers)
        otid = f"send-{number}" if number % 3 else None
        message = {"role": "user", "content": text} | ({"otid": otid} if otid else {})
        return self._post(kind, thread, how, {"messages": [message], **more}, otid, text)

    def _post(
        self,
        kind: Kind,
        thread: Thread,
        how: How,
        body: dict[str, Any],
        otid: str | None,
        text: str,
    ) -> Sent:
        request = self._request(thread, how, body)
        sent = Sent(kind, thread, Post(self.http, request), otid, text)
        self.sent.append(sent)
        return sent

    def _request(self, thread: Thread, how: How, body: dict[str, Any]) -> Request:
        """The request as the thread's routes take it. Conversations have no route for `async`."""
        if not thread.is_own:
            how = "leave" if how == "async" else how
            url = f"{self.product.url}/v1/conversations/{thread.id}/messages"
            streaming = {"streaming": how != "json", "background": how == "leave"}
            return Request(url, body | streaming | {"stream_tokens": how == "tokens"}, how)
        route = {"json": "", "async": "/async"}.get(how, "/stream")
        url = f"{self.product.url}/v1/agents/{self.agent.id}/messages{route}"
        return Request(url, body | ({"stream_tokens": True} if how == "tokens" else {}), how)

    def cancel(self, how: str, thread: Thread, which: int) -> None:
        """Cancel all that the agent does, or a thread, or one run."""
        path, body = f"/v1/agents/{self.agent.id}/messages/cancel", dict[str, Any]()
        if how == "thread":
            path = f"/v1/conversations/{thread.id}/cancel"
        if how == "run":
            body = {"run_ids": [self._some_run(which)]}
        answer = self.request("POST", path, json=body)
        assert answer.status in (200, 404, 409), answer

    def expire(self, thread: Thread) -> None:
        """Let the time of what waits be over: the sweeper denies it."""
        waiting = self.waiting(thread)
        self.product.query(
            "UPDATE approvals SET expires_at = now() - interval '1 second' "
            "WHERE conversation_id = %s AND status = 'pending'",
            thread.id,
        )
        if waiting is not None:
            eventually(lambda: self.waiting(thread) != waiting, what="the end of what is late")

    def reset(self, *, with_initial: bool) -> None:
        """Begin the agent's own history anew."""
        self.was_reset = True
        path = f"/v1/agents/{self.agent.id}/reset-messages"
        answer = self.request("PATCH", path, json={"add_default_initial_messages": with_initial})
        assert answer.status == 200, answer

    def delete_run(self, which: int) -> None:
        """Delete a run, if that may be; not one that its client may still be asking for again."""
        rows = self.product.query(
            "SELECT id, request_key FROM runs WHERE agent_id = %s ORDER BY created_at",
            self.agent.id,
        )
        if not rows:
            return
        run_id, key = rows[which % len(rows)]
        asking = {sent.otid for sent in self.sent if sent.post.is_alive()}
        if None in asking or key.removeprefix("otid:") in asking:
            return
        self.lost_runs = True
        answer = self.request("DELETE", f"/v1/runs/{run_id}")
        assert answer.status in (200, 404, 409), answer

    def replace_conversation(self) -> None:
        """Delete the second conversation, and start another one in its place."""
        old = self.threads[1]
        answer = self.request("DELETE", f"/v1/conversations/{old.id}")
        assert answer.status in (200, 404), answer
        self.gone.append(old)
        self.threads[1] = Thread(self.new_conversation(), is_own=False)

    def change_tools(self, how: Literal["attach", "detach"]) -> None:
        """Take the guarded tool from the agent, or give it back."""
        self.lost_tool = True
        path = f"/v1/agents/{self.agent.id}/tools/{how}/{self._guarded_id}"
        answer = self.request("PATCH", path)
        assert answer.status == 200, answer

    def _some_run(self, which: int) -> str:
        rows = self.product.query(
            "SELECT id FROM runs WHERE agent_id = %s ORDER BY created_at", self.agent.id
        )
        return str(rows[which % len(rows)][0]) if rows else new_id("run")

    def is_asked_again(self, token: str) -> bool:
        """Whether a message with it was sent twice, and may have been two: runs were deleted."""
        times = sum(f"{token}\\" in sent.text for sent in self.sent)  # the quote behind is escaped
        return self.lost_runs and times > 1

    def waiting(self, thread: Thread) -> Waiting | None:
        """What the conversation waits for."""
        rows = self.product.query(
            "SELECT id, run_id, calls, decisions FROM approvals "
            "WHERE conversation_id = %s AND status = 'pending'",
            thread.id,
        )
        if not rows:
            return None
        self.observe()
        id_, run_id, calls, decisions = rows[0]
        decided = {decision["tool_call_id"] for decision in decisions}
        left = {c: self.tools_of.get(c, ("", ""))[1] for c in calls if c not in decided}
        return Waiting(id_, run_id, left)

    def observe(self) -> None:
        """Note which tokens the calls that were asked for are about."""
        rows = self.product.query(
            "SELECT a.id, m.conversation_id, m.tool_calls FROM approvals a "
            "JOIN messages m ON m.id = a.id WHERE a.agent_id = %s ORDER BY a.created_at",
            self.agent.id,
        )
        for request_id, conversation_id, calls in rows:
            if request_id in self.calls_of:
                continue
            waited = [one["id"] for one in calls if one.get("gate")]
            self.calls_of[request_id] = waited
            for thread in [*self.threads, *self.gone]:
                if thread.id == conversation_id:
                    thread.asked += waited
            for one in calls:
                if one["id"] in self.tools_of:
                    self.repeated.add(one["id"])
                arguments = json.loads(one["arguments"])
                token = arguments.get("new_string") or arguments.get("content") or ""
                self.tools_of[one["id"]] = (token, one["name"])

    def settle(self) -> None:
        """Wait until nothing is open but what stands behind an approval request."""
        eventually(self.is_settled, within_s=_AT_REST_S, what=f"rest of {self.agent.id}")

    def await_shown(self) -> None:
        """Wait until a person who looks at Temporal's list sees what waits, and nothing else."""

        def look() -> bool:
            waiting = [one for thread in self.threads if (one := self.waiting(thread))]
            wanted = sorted((one.id, sorted(one.calls)) for one in waiting)
            return self._shown() == wanted

        eventually(look, within_s=_AT_REST_S, what=f"what {self.agent.id} waits for in Temporal")

    def _shown(self) -> list[tuple[str, list[str]]] | None:
        listed = waiting_if_up(self.product, self.agent)
        if listed is None or None in listed:
            return None
        return sorted((one["id"], sorted(one["calls"])) for one in listed)

    def is_settled(self) -> bool:
        """Whether the product has nothing to do."""
        return self.product.query(
            "SELECT count(*) FROM runs r JOIN conversations c ON c.id = r.conversation_id "
            "WHERE r.agent_id = %s AND r.status IN ('created', 'running') "
            "AND c.deleted_at IS NULL AND NOT EXISTS (SELECT FROM approvals a "
            "WHERE a.conversation_id = r.conversation_id AND a.status = 'pending')",
            self.agent.id,
        ) == [(0,)]

    def _new_agent(self) -> AgentState:
        return self.product.client(max_retries=12).agents.create(
            name="fuzzed",
            model=HANDLE,
            memory_blocks=[{"label": "notes", "value": "", "limit": 100_000}],
            tools=[GUARDED, FREE],
            include_base_tools=False,
            tool_rules=[{"type": "requires_approval", "tool_name": GUARDED}],
        )

    def _step(self, tools: Sequence[str], delay_s: float) -> Action:
        """One reply that calls these tools, each about a token of its own."""
        calls = [one for tool in tools for one in self._call(tool)["calls"]]
        return {"calls": calls, "delay_s": delay_s}

    def _call(self, tool: str) -> Action:
        token = f"token-{next(self._numbers)}"
        self.tools[token] = tool
        match tool:
            case "memory_insert":
                return call(GUARDED, label="notes", new_string=token)
            case "core_memory_append":
                return call(FREE, label="notes", content=token)
            case _:
                return call(CLIENTS, content=token)
