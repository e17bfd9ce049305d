"""Batches: many messages accepted at once, polled until all are answered, and read together."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from o.ids import is_id, new_id
from o.storage.callbacks import list_due_batches
from o.storage.database import Database
from tests.support.approvals import GUARDED, INSERT
from tests.support.organizations import new_organization_by_api
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, FakeProvider, call, do, last_user_text, say
from tests.support.receiver import Receiver

BATCHES = "/messages/batches"
AGAIN = {"x-stainless-retry-count": "1"}
ENDED = ("completed", "failed", "cancelled", "expired")


@pytest.fixture
def http(server: Product) -> Iterator[httpx.Client]:
    """Asks within an organization of its own."""
    key = new_organization_by_api(server, new_id("batches"))
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=f"{server.url}/v1", headers=headers, timeout=60) as client:
        yield client


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


def new_agent(http: httpx.Client, **more: Any) -> str:
    body = {"model": HANDLE, "include_base_tools": False} | more
    return str(made(http.post("/agents/", json=body))["id"])


def made(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def batch_of(http: httpx.Client, *requests: tuple[str, Any], **more: Any) -> Any:
    """Make a batch of what is said to each agent."""
    asked = [{"agent_id": agent, "input": text} for agent, text in requests]
    return made(http.post(BATCHES, json={"requests": asked} | more))


def ended(http: httpx.Client, batch: Any) -> Any:
    """The batch once it is polled to its end."""

    def look() -> Any:
        found = made(http.get(f"{BATCHES}/{batch['id']}"))
        return found if found["status"] in ENDED else None

    return eventually(look, what="the end of the batch")


def said(http: httpx.Client, batch: Any, **query: Any) -> list[str]:
    """The texts of the messages of a batch, as its list has them."""
    answer = made(http.get(f"{BATCHES}/{batch['id']}/messages", params=query))
    return [message["content"][0]["text"] for message in answer["messages"]]


def counts(**runs: int) -> dict[str, int]:
    none = dict.fromkeys(("created", "running", "completed", "failed", "cancelled", "removed"), 0)
    return none | runs


def test_a_batch_is_polled_until_it_is_completed_and_its_messages_are_read(
    http: httpx.Client,
) -> None:
    agents = [new_agent(http) for _ in range(3)]
    batch = batch_of(http, *[(agent, f"hello {n}") for n, agent in enumerate(agents)])
    assert is_id(batch["id"], "job")
    assert (batch["job_type"], batch["completed_at"]) == ("batch", None)
    assert batch["status"] in ("created", "running")
    done = ended(http, batch)
    assert (done["status"], done["stop_reason"]) == ("completed", None)
    assert done["metadata"]["runs"] == counts(completed=3)
    assert done["completed_at"] is not None
    assert done["total_duration_ns"] > 0
    assert sorted(said(http, batch)) == [f"You said: hello {n}" for n in range(3)]
    runs = [made(http.get(f"/runs/{one}")) for one in done["metadata"]["run_ids"]]
    assert [run["agent_id"] for run in runs] == agents
    assert {(run["background"], run["metadata"]["run_type"]) for run in runs} == {(True, "batch")}
    assert batch_of(http, (agents[0], "more"))["metadata"]["requests"] == 1


def test_a_batch_tells_what_its_runs_do_and_one_that_fails_takes_no_other_along(
    http: httpx.Client, provider: FakeProvider
) -> None:
    gate = provider.hold(lambda prompt: last_user_text(prompt) == "wait here")
    good, bad, slow = (new_agent(http) for _ in range(3))
    texts = [(good, "hello"), (bad, do({"fail": 401})), (slow, "wait here"), (slow, "and then")]
    batch = batch_of(http, *texts)
    assert gate.reached.wait(30)
    wanted = counts(completed=1, failed=1, running=1, created=1)

    def look() -> Any:
        found = made(http.get(f"{BATCHES}/{batch['id']}"))
        return found if found["metadata"]["runs"] == wanted else None

    meanwhile = eventually(look, what="two that ended")
    assert (meanwhile["status"], meanwhile["completed_at"]) == ("running", None)
    assert said(http, batch) == ["You said: hello"], "what is there already is read already"
    gate.opened.set()
    done = ended(http, batch)
    assert (done["status"], done["metadata"]["runs"]) == (
        "completed",
        counts(completed=3, failed=1),
    )
    failed = made(http.get(f"/runs/{done['metadata']['run_ids'][1]}"))
    assert (failed["status"], "error" in failed["metadata"]) == ("failed", True)


def test_a_batch_of_failures_alone_has_failed(http: httpx.Client) -> None:
    batch = batch_of(http, *[(new_agent(http), do({"fail": 401})) for _ in range(2)])
    assert ended(http, batch)["status"] == "failed"


def test_the_messages_for_one_agent_are_answered_in_the_order_of_the_batch(
    http: httpx.Client,
) -> None:
    agent = new_agent(http)
    batch = batch_of(http, *[(agent, f"number {n}") for n in range(8)])
    assert ended(http, batch)["metadata"]["runs"] == counts(completed=8)
    in_order = [f"You said: number {n}" for n in range(8)]
    assert said(http, batch, order="asc") == in_order
    assert said(http, batch) == in_order[::-1]
    history = made(http.get(f"/agents/{agent}/messages"))
    assert [m["content"] for m in history if m["message_type"] == "assistant_message"] == in_order


def test_messages_of_a_batch_are_paged_in_both_orders_as_new_and_old_clients_do(
    http: httpx.Client,
) -> None:
    agents = [new_agent(http) for _ in range(3)]
    batch = batch_of(http, *[(agent, f"{agent} {n}") for n in range(3) for agent in agents])
    ended(http, batch)
    path = f"{BATCHES}/{batch['id']}/messages"

    def pages(cursor: str, **query: Any) -> list[str]:
        found: list[str] = []
        while True:
            after = {cursor: found[-1]} if found else {}
            page = made(http.get(path, params={"limit": 4} | query | after))["messages"]
            if not page:
                return found
            found += [message["id"] for message in page]

    oldest_first = pages("after", order="asc")
    assert len(set(oldest_first)) == 9
    assert pages("after") == oldest_first[::-1]
    assert pages("cursor") == oldest_first[::-1]
    assert pages("cursor", sort_descending="false") == oldest_first
    before = made(http.get(path, params={"before": oldest_first[3], "order": "asc"}))["messages"]
    assert [message["id"] for message in before] == oldest_first[:3]
    of_one = made(http.get(path, params={"agent_id": agents[1]}))["messages"]
    assert {message["agent_id"] for message in of_one} == {agents[1]}
    assert len(of_one) == 3
    assert made(http.get(path, params={"agent_id": "nobody"})) == {"messages": []}
    assert http.get(path, params={"after": new_id("message")}).status_code == 404


def test_messages_of_a_batch_are_whole_with_calls_and_returns(http: httpx.Client) -> None:
    agent = new_agent(
        http, memory_blocks=[{"label": "human", "value": "x"}], tools=["memory_insert"]
    )
    batch = batch_of(http, (agent, do(call("memory_insert", label="human", new_string="y"))))
    ended(http, batch)
    shown = made(http.get(f"{BATCHES}/{batch['id']}/messages", params={"order": "asc"}))["messages"]
    called, returned, *_ = shown
    assert [message["role"] for message in shown[:2]] == ["assistant", "tool"]
    (tool_call,) = called["tool_calls"]
    assert tool_call["function"]["name"] == "memory_insert"
    assert returned["tool_call_id"] == tool_call["id"]
    assert {message["run_id"] for message in shown} == {batch["metadata"]["run_ids"][0]}


def test_batches_are_listed_and_paged_the_newest_first(http: httpx.Client) -> None:
    assert made(http.get(BATCHES)) == []
    agent = new_agent(http)
    ids = [batch_of(http, (agent, f"{n}"))["id"] for n in range(5)]
    listed = made(http.get(BATCHES))
    assert [batch["id"] for batch in listed] == ids[::-1]
    assert all("run_ids" not in batch["metadata"] for batch in listed), "a batch by itself has them"
    page = made(http.get(BATCHES, params={"limit": 2, "after": ids[3]}))
    assert [batch["id"] for batch in page] == [ids[2], ids[1]]
    page = made(http.get(BATCHES, params={"order": "asc", "limit": 2}))
    assert [batch["id"] for batch in page] == ids[:2]
    assert http.get(BATCHES, params={"after": new_id("job")}).status_code == 404


ODD: dict[str, tuple[Any, int, str]] = {
    "no requests": ({"requests": []}, 422, "at least 1 item"),
    "requests left out": ({}, 422, "requests"),
    "no list": ({"requests": {"agent_id": "AGENT", "input": "x"}}, 422, "list"),
    "an agent's name": (
        {"requests": [{"agent_id": "AGENT", "input": "x"}, {"agent_id": "ada", "input": "x"}]},
        422,
        "('body', 'requests', 1, 'agent_id')",
    ),
    "no agent": ({"requests": [{"input": "x"}]}, 422, "('body', 'requests', 0, 'agent_id')"),
    "nobody": (
        {"requests": [{"agent_id": "AGENT", "input": "x"}, {"agent_id": "NOBODY", "input": "x"}]},
        404,
        "requests[1]: ",
    ),
    "nothing said": (
        {"requests": [{"agent_id": "AGENT", "input": "x"}, {"agent_id": "AGENT"}]},
        422,
        "('body', 'requests', 1)",
    ),
    "no messages": ({"requests": [{"agent_id": "AGENT", "messages": []}]}, 422, "'requests', 0"),
    "both": (
        {"requests": [{"agent_id": "AGENT", "input": "x", "messages": []}]},
        422,
        "exactly one",
    ),
    "an answer": (
        {
            "requests": [
                {
                    "agent_id": "AGENT",
                    "messages": [
                        {"type": "approval", "approve": True, "approval_request_id": "message-1"}
                    ],
                }
            ]
        },
        422,
        "a batch answers no approval request",
    ),
    "an interruption": (
        {"requests": [{"agent_id": "AGENT", "input": "x", "busy_policy": "interrupt"}]},
        422,
        "leave busy_policy out",
    ),
    "no such model": (
        {
            "requests": [
                {"agent_id": "AGENT", "input": "x"},
                {"agent_id": "AGENT", "input": "x", "override_model": "no/such"},
            ]
        },
        404,
        "requests[1]: Handle no/such",
    ),
    "no such step": (
        {"requests": [{"agent_id": "AGENT", "input": "x", "max_steps": 0}]},
        422,
        "max_steps",
    ),
    "a message that is none": (
        {"requests": [{"agent_id": "AGENT", "messages": ["hello"]}]},
        422,
        "('body', 'requests', 0, 'messages', 0",
    ),
    "a role of nobody": (
        {"requests": [{"agent_id": "AGENT", "messages": [{"role": "tool", "content": "x"}]}]},
        422,
        "role must be one of",
    ),
    "a file for a callback": (
        {"requests": [{"agent_id": "AGENT", "input": "x"}], "callback_url": "file:///etc/passwd"},
        422,
        "callback_url",
    ),
    "too many": (
        {"requests": [{"agent_id": "AGENT", "input": "x"}] * 501},
        422,
        "at most 500 items",
    ),
    "one agent too often": (
        {"requests": [{"agent_id": "AGENT", "input": "x"}] * 22},
        422,
        "21 times (O_QUEUE_LIMIT)",
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_a_bad_request_among_good_ones_is_named_and_nothing_is_made(
    http: httpx.Client, name: str
) -> None:
    body, status, told = ODD[name]
    agent = new_agent(http)
    filled = filled_in(body, {"AGENT": agent, "NOBODY": new_id("agent")})
    answer = http.post(BATCHES, json=filled)
    assert answer.status_code == status, answer.text
    assert told in answer.json()["detail"], answer.text
    assert made(http.get(BATCHES)) == []
    assert made(http.get("/runs/")) == []


def filled_in(body: Any, names: dict[str, str]) -> Any:
    if isinstance(body, dict):
        return {key: filled_in(value, names) for key, value in body.items()}
    if isinstance(body, list):
        return [filled_in(one, names) for one in body]
    return names.get(body, body) if isinstance(body, str) else body


def test_what_old_clients_say_beside_is_taken(http: httpx.Client) -> None:
    agent = new_agent(http)
    request = {
        "agent_id": agent,
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hello"}]},
            {"role": "system", "content": "be kind"},
        ],
        "use_assistant_message": True,
        "assistant_message_tool_name": "send_message",
        "enable_thinking": "true",
        "include_return_message_types": ["assistant_message"],
        "max_steps": 3,
        "stream_tokens": True,
        "unheard_of": [1],
    }
    batch = made(http.post(f"{BATCHES}/", json={"requests": [request], "callback_url": None}))
    assert ended(http, batch)["status"] == "completed"
    assert len(said(http, batch)) == 1


def test_a_batch_is_as_large_as_it_may_be(http: httpx.Client) -> None:
    agents = [new_agent(http) for _ in range(25)]
    batch = batch_of(http, *[(agent, f"{n}") for n in range(20) for agent in agents])
    assert batch["metadata"]["requests"] == 500
    assert len(set(batch["metadata"]["run_ids"])) == 500
    cancelled = made(http.patch(f"{BATCHES}/{batch['id']}/cancel"))
    runs = cancelled["metadata"]["runs"]
    assert runs["created"] == runs["running"] == 0
    assert runs["completed"] + runs["cancelled"] == 500


def test_a_client_that_sends_a_batch_again_finds_the_first_one(http: httpx.Client) -> None:
    agent, other = new_agent(http), new_agent(http)
    body = {"requests": [{"agent_id": one, "input": "hello"} for one in (agent, other)]}
    first = made(http.post(BATCHES, json=body))
    with ThreadPoolExecutor(3) as pool:
        again = pool.map(lambda _: made(http.post(BATCHES, json=body, headers=AGAIN)), range(3))
        assert {batch["id"] for batch in again} == {first["id"]}
    assert len(made(http.get("/runs/"))) == 2
    assert made(http.post(BATCHES, json=body))["id"] != first["id"], "the same is said twice"


def test_otids_make_a_batch_once_and_never_half(http: httpx.Client) -> None:
    agent, other = new_agent(http), new_agent(http)

    def request(agent_id: str, otid: str) -> dict[str, Any]:
        message = {"role": "user", "content": "hello", "otid": otid}
        return {"agent_id": agent_id, "messages": [message]}

    body = {"requests": [request(agent, "one"), request(other, "two")]}
    first = made(http.post(BATCHES, json=body))
    assert made(http.post(BATCHES, json=body))["id"] == first["id"]
    mixed = {"requests": [request(other, "three"), request(agent, "one")]}
    refused = http.post(BATCHES, json=mixed)
    assert (refused.status_code, refused.headers["x-should-retry"]) == (409, "false")
    assert "requests[1]: the otid was used before" in refused.json()["detail"]
    twice = {"requests": [request(other, "four"), request(other, "four")]}
    assert http.post(BATCHES, json=twice).status_code == 409
    assert len(made(http.get("/runs/"))) == 2


def test_a_busy_agent_takes_what_its_queue_has_room_for_and_else_no_batch(
    http: httpx.Client, provider: FakeProvider
) -> None:
    gate = provider.hold(lambda prompt: last_user_text(prompt) == "hold on")
    agent, other = new_agent(http), new_agent(http)
    made(http.post(f"/agents/{agent}/messages/async", json={"input": "hold on"}))
    assert gate.reached.wait(30)
    refused = http.post(
        BATCHES,
        json={
            "requests": [
                {"agent_id": other, "input": "x"},
                *[{"agent_id": agent, "input": f"{n}"} for n in range(21)],
            ]
        },
    )
    assert (refused.status_code, refused.headers["x-should-retry"]) == (409, "false")
    assert f"requests[21]: {agent} is at work" in refused.json()["detail"]
    assert len(made(http.get("/runs/"))) == 1
    batch = batch_of(http, *[(agent, f"{n}") for n in range(20)])
    assert batch["status"] == "created"
    gate.opened.set()
    assert ended(http, batch)["metadata"]["runs"] == counts(completed=20)


def test_an_agent_that_waits_for_approval_takes_no_batch(http: httpx.Client) -> None:
    agent, other = guarded(http), new_agent(http)
    asked = made(http.post(f"/agents/{agent}/messages", json={"input": do(INSERT)}))
    assert asked["stop_reason"]["stop_reason"] == "requires_approval"
    body = {"requests": [{"agent_id": one, "input": "x"} for one in (other, agent)]}
    refused = http.post(BATCHES, json=body)
    assert (refused.status_code, refused.headers["x-should-retry"]) == (409, "false")
    assert f"requests[1]: {agent} waits for approval" in refused.json()["detail"]
    assert made(http.get(BATCHES)) == []


def guarded(http: httpx.Client) -> str:
    return new_agent(
        http,
        memory_blocks=[{"label": "human", "value": "nothing"}],
        tools=[GUARDED],
        tool_rules=[{"type": "requires_approval", "tool_name": GUARDED}],
    )


def test_a_request_that_ends_with_an_approval_request_is_finished_and_keeps_those_behind_it(
    http: httpx.Client,
) -> None:
    agent = guarded(http)
    batch = batch_of(http, (agent, do(INSERT, say("done"))), (agent, "behind it"))
    first, behind = batch["metadata"]["run_ids"]

    def look() -> Any:
        return made(http.get(f"/agents/{agent}")).get("pending_approval")

    pending = eventually(look, what="the approval request")
    found = made(http.get(f"{BATCHES}/{batch['id']}"))
    assert (found["status"], found["metadata"]["runs"]) == (
        "running",
        counts(completed=1, created=1),
    )
    asked = made(http.get(f"{BATCHES}/{batch['id']}/messages"))["messages"][-1]
    answers = [
        {"type": "approval", "tool_call_id": one["id"], "approve": True}
        for one in asked["tool_calls"]
    ]
    answer = {"type": "approval", "approvals": answers, "approval_request_id": pending["id"]}
    made(http.post(f"/agents/{agent}/messages", json={"messages": [answer]}))
    assert ended(http, batch)["metadata"]["runs"] == counts(completed=2)
    assert made(http.get(f"/runs/{first}"))["stop_reason"] == "requires_approval"
    assert made(http.get(f"/runs/{behind}"))["stop_reason"] == "end_turn"


def test_a_cancel_ends_all_that_is_open_and_leaves_what_was_answered(
    http: httpx.Client, provider: FakeProvider
) -> None:
    gate = provider.hold(lambda prompt: last_user_text(prompt) == "never ends")
    done, slow, asking, free = new_agent(http), new_agent(http), guarded(http), new_agent(http)
    made(http.post(f"/agents/{free}/messages", json={"input": "before"}))
    batch = batch_of(
        http,
        (done, "hello"),
        (slow, "never ends"),
        (slow, "waits"),
        (asking, do(INSERT)),
        (asking, "waits for a person"),
    )
    assert gate.reached.wait(30)
    eventually(lambda: made(http.get(f"/agents/{asking}")).get("pending_approval"))
    eventually(lambda: said(http, batch, agent_id=done))
    eventually(
        lambda: made(http.get(f"{BATCHES}/{batch['id']}"))["metadata"]["runs"]["completed"] == 2
    )
    cancelled = made(http.patch(f"{BATCHES}/{batch['id']}/cancel"))
    assert (cancelled["status"], cancelled["stop_reason"]) == ("cancelled", "cancelled")
    assert cancelled["metadata"]["runs"] == counts(completed=1, cancelled=4)
    assert made(http.patch(f"{BATCHES}/{batch['id']}/cancel")) == cancelled
    assert said(http, batch, agent_id=done) == ["You said: hello"]
    gate.opened.set()
    for agent in (slow, asking):
        assert made(http.get(f"/agents/{agent}")).get("pending_approval") is None
        answer = made(http.post(f"/agents/{agent}/messages", json={"input": "still there?"}))
        assert answer["messages"][-1]["content"] == "You said: still there?"
    events = [made(http.get(f"/runs/{one}"))["status"] for one in cancelled["metadata"]["run_ids"]]
    assert events == ["completed", *["cancelled"] * 4]


def test_a_batch_that_is_over_stays_as_it_is_when_it_is_cancelled(http: httpx.Client) -> None:
    batch = batch_of(http, (new_agent(http), "hello"))
    done = ended(http, batch)
    assert made(http.patch(f"{BATCHES}/{batch['id']}/cancel")) == done
    assert done["status"] == "completed"


def test_batches_that_meet_are_cancelled_and_made_beside_each_other(
    server: Product, http: httpx.Client
) -> None:
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    before = server.query(deadlocks)
    agents = [new_agent(http) for _ in range(6)]

    def go(turn: int) -> int:
        shifted = agents[turn % 6 :] + agents[: turn % 6]
        batch = batch_of(http, *[(agent, f"{turn}") for agent in shifted[:: 1 - 2 * (turn % 2)]])
        return http.patch(f"{BATCHES}/{batch['id']}/cancel").status_code

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(go, range(18))) == {200}
    assert server.query(deadlocks) == before


def test_runs_that_are_removed_are_counted_so_and_a_batch_without_any_is_expired(
    http: httpx.Client,
) -> None:
    agent, gone = new_agent(http), new_agent(http)
    batch = batch_of(http, (agent, "hello"), (gone, "hello"))
    first, _ = ended(http, batch)["metadata"]["run_ids"]
    assert http.delete(f"/agents/{gone}").status_code == 200

    def left(of: int) -> Any:
        found = made(http.get(f"{BATCHES}/{batch['id']}"))
        return found if found["metadata"]["runs"]["removed"] == of else None

    found = eventually(lambda: left(1), what="the purge of an agent")
    assert (found["status"], found["metadata"]["runs"]) == (
        "completed",
        counts(completed=1, removed=1),
    )
    assert len(found["metadata"]["run_ids"]) == 2
    assert said(http, batch) == ["You said: hello"]
    assert http.delete(f"/runs/{first}").status_code == 200
    found = left(2)
    assert (found["status"], found["completed_at"]) == ("expired", None)


def test_a_deleted_agents_messages_are_not_listed_while_they_are_purged(
    http: httpx.Client,
) -> None:
    agent = new_agent(http)
    batch = batch_of(http, (agent, "hello"))
    ended(http, batch)
    assert http.delete(f"/agents/{agent}").status_code == 200
    assert said(http, batch) == []
    refused = http.post(BATCHES, json={"requests": [{"agent_id": agent, "input": "x"}]})
    assert refused.status_code == 404


def test_a_callback_tells_of_the_end_of_the_whole_batch_once(
    http: httpx.Client, receiver: Receiver, provider: FakeProvider
) -> None:
    gate = provider.hold(lambda prompt: last_user_text(prompt) == "the last one")
    first, last = new_agent(http), new_agent(http)
    batch = batch_of(
        http, (first, "hello"), (last, "the last one"), callback_url=receiver.url("/batch")
    )
    assert gate.reached.wait(30)
    eventually(lambda: said(http, batch))
    assert receiver.on("/batch") == []
    gate.opened.set()
    (told,) = receiver.await_calls("/batch")

    def look() -> Any:
        found = made(http.get(f"{BATCHES}/{batch['id']}"))
        return found if found["callback_sent_at"] else None

    done = eventually(look, what="the record of the callback")
    assert told == {
        "job_id": batch["id"],
        "status": "completed",
        "completed_at": done["completed_at"],
    }
    assert (done["callback_status_code"], done["callback_error"]) == (200, None)
    assert len(receiver.on("/batch")) == 1


async def test_nobody_is_called_back_for_an_organization_that_was_deleted(server: Product) -> None:
    shut, batch_id = new_id("org"), new_id("job")
    server.query(
        "INSERT INTO organizations (id, name, deleted_at, purged_at) "
        "VALUES (%s, 'shut', now(), now())",
        shut,
    )
    server.query(
        "INSERT INTO batches (id, organization_id, run_ids, body_hash, callback_url) "
        "VALUES (%s, %s, %s, '', 'http://127.0.0.1:9')",
        batch_id,
        shut,
        [new_id("run")],
    )
    database = Database(server.state["database_url"])
    async with database.connect() as connection:
        due = await list_due_batches(connection, limit=1_000)
    await database.close()
    assert batch_id not in due, "its runs are gone, as they are while it is purged"


def test_a_batch_is_another_organizations_secret(server: Product, http: httpx.Client) -> None:
    theirs = new_agent(http)
    batch = batch_of(http, (theirs, "hello"))
    key = new_organization_by_api(server, new_id("others"))
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=f"{server.url}/v1", headers=headers, timeout=60) as other:
        own = new_agent(other)

        def asked(agent_id: str) -> tuple[int, str]:
            body = {"requests": [{"agent_id": one, "input": "x"} for one in (own, agent_id)]}
            answer = other.post(BATCHES, json=body)
            return answer.status_code, answer.text.replace(agent_id, "<id>")

        assert asked(theirs) == asked(new_id("agent"))
        assert asked(theirs)[0] == 404
        for method, more in (("GET", ""), ("GET", "/messages"), ("PATCH", "/cancel")):
            assert other.request(method, f"{BATCHES}/{batch['id']}{more}").status_code == 404
        assert made(other.get(BATCHES)) == []
    assert ended(http, batch)["status"] == "completed"


def test_a_key_that_reads_makes_and_cancels_no_batch(server: Product, http: httpx.Client) -> None:
    batch = batch_of(http, (new_agent(http), "hello"))
    created = http.post("/admin/keys/", json={"name": "reader", "scopes": ["read"]})
    headers = {"authorization": f"Bearer {made(created)['key']}"}
    with httpx.Client(base_url=f"{server.url}/v1", headers=headers, timeout=60) as reader:
        assert made(reader.get(f"{BATCHES}/{batch['id']}"))["id"] == batch["id"]
        assert reader.get(f"{BATCHES}/{batch['id']}/messages").status_code == 200
        assert reader.patch(f"{BATCHES}/{batch['id']}/cancel").status_code == 403
        assert reader.post(BATCHES, json={"requests": []}).status_code == 403
