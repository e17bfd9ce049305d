"""Transactions that meet over the same rows wait for one another in turn, never in a ring."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import psycopg
import pytest
from letta_client import Letta, NotFoundError
from letta_client.types import AgentState
from sqlalchemy import func, update

from o.domain.lessons import ModelKey
from o.ids import DEFAULT_ORGANIZATION_ID, new_id
from o.storage.database import Database, libpq_url
from o.storage.history.messages import rewrite_system_message
from o.storage.model_lessons import StoredLessons
from o.storage.purges import Deleted, purge
from o.storage.tables.core import conversations
from o.storage.tools.agent_tools import take_away
from o.storage.tools.sandbox_states import say_sandbox_state
from tests.support.approvals import ask, guarded_agent, request_of
from tests.support.locks import changes_paused, wait_for_locks
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, FakeProvider, call, do, say

pytestmark = pytest.mark.usefixtures("no_deadlock")

_LAST = call("memory_insert", label="human", new_string="likes tea")


def last_call_of(client: Letta) -> AgentState:
    """An agent whose runs end with a change of a block."""
    return client.agents.create(
        model=HANDLE,
        memory_blocks=[{"label": "human", "value": "nothing"}],
        tool_rules=[{"type": "exit_loop", "tool_name": "memory_insert"}],
    )


def attach_again(client: Letta, agent: AgentState) -> object:
    """A change of an agent that names the block which a tool is changing."""
    return client.agents.update(agent.id, block_ids=[str(agent.blocks[0].id)], description="x")


def attach_one(client: Letta, agent: AgentState) -> object:
    return client.agents.blocks.attach(str(agent.blocks[0].id), agent_id=agent.id)


@pytest.mark.parametrize("change", [attach_again, attach_one])
def test_a_change_of_an_agent_and_the_tool_call_that_ends_its_run_both_come_through(
    server: Product, client: Letta, pool: ThreadPoolExecutor, change: Callable[..., object]
) -> None:
    agent = last_call_of(client)
    with changes_paused(server) as go_on:
        text = do(_LAST, say("never said"))
        sending = pool.submit(client.agents.messages.create, agent.id, input=text)
        wait_for_locks(server, 1)
        changing = pool.submit(change, client, agent)
        wait_for_locks(server, 2)
        go_on()
        assert sending.result(30).stop_reason.stop_reason == "tool_rule"
        changing.result(30)
    assert client.agents.retrieve(agent.id).last_stop_reason == "tool_rule"


def test_a_reply_that_ends_its_run_locks_the_conversation_before_the_agent(
    server: Product,
    client: Letta,
    agent: AgentState,
    provider: FakeProvider,
    pool: ThreadPoolExecutor,
) -> None:
    gate = provider.hold(lambda prompt: prompt[-1].get("content") == "in order")
    sending = pool.submit(client.agents.messages.create, agent.id, input="in order")
    assert gate.reached.wait(20)
    with psycopg.connect(libpq_url(server.state["database_url"])) as holding:
        holding.execute("SELECT FROM conversations WHERE agent_id = %s FOR UPDATE", (agent.id,))
        gate.opened.set()
        wait_for_locks(server, 1)
        # Who waits for a conversation has no lock of an agent.
        holding.execute("SELECT FROM agents WHERE id = %s FOR NO KEY UPDATE NOWAIT", (agent.id,))
    assert sending.result(30).stop_reason.stop_reason == "end_turn"
    assert client.agents.retrieve(agent.id).last_stop_reason == "end_turn"


def test_an_agent_that_is_purged_while_a_tool_call_ends_its_run_waits_for_that_end(
    server: Product, client: Letta, pool: ThreadPoolExecutor
) -> None:
    agent = last_call_of(client)
    with changes_paused(server) as go_on:
        text = do(_LAST, say("never said"))
        pool.submit(client.agents.messages.create, agent.id, input=text)
        wait_for_locks(server, 1)
        client.agents.delete(agent.id)
        wait_for_locks(server, 2)
        go_on()
        eventually(
            lambda: not server.query("SELECT 1 FROM agents WHERE id = %s", agent.id),
            what="the purge",
        )


def test_a_reset_and_a_cancel_that_meet_over_an_approval_request_both_come_through(
    server: Product, client: Letta, pool: ThreadPoolExecutor
) -> None:
    agent = guarded_agent(client)
    request = request_of(ask(client, agent))
    ((thread_id,),) = server.query("SELECT id FROM conversations WHERE agent_id = %s", agent.id)

    def set_status(status: str) -> None:
        server.query("UPDATE approvals SET status = %s WHERE id = %s", status, request.id)

    set_status("decided")  # a moment before it comes up
    with psycopg.connect(libpq_url(server.state["database_url"])) as holding:
        holding.execute("SELECT FROM conversations WHERE id = %s FOR UPDATE", (thread_id,))
        resetting = pool.submit(patch, server, f"/v1/agents/{agent.id}/reset-messages")
        wait_for_locks(server, 1)
        set_status("pending")
        cancelling: Future[Any] = pool.submit(client.agents.messages.cancel, agent.id)
        wait_for_locks(server, 2)
        holding.commit()
        assert resetting.result(30).status_code == 200
        assert list(cancelling.result(30).values()) == ["cancelled"]
    shown = client.agents.messages.list(agent.id).items
    assert [message.message_type for message in shown] == ["system_message"]
    assert client.agents.messages.create(agent.id, input="hi").messages[0].content is not None


def patch(server: Product, path: str) -> httpx.Response:
    return httpx.patch(f"{server.url}{path}", json={}, timeout=60)


def test_two_patches_of_shared_blocks_in_opposite_orders_both_come_through(
    server: Product, client: Letta, pool: ThreadPoolExecutor
) -> None:
    shared = [client.blocks.create(label=label, value="old") for label in ("one", "two")]

    def patch(first: str, second: str) -> str:
        sections = [f"*** Update Block: {label}\n-old\n+{label}" for label in (first, second)]
        return do(call("memory_apply_patch", label="", patch="\n".join(sections)), say("done"))

    def agent() -> AgentState:
        return client.agents.create(
            model=HANDLE,
            block_ids=[block.id for block in shared],
            tools=["memory_apply_patch"],
        )

    with changes_paused(server) as go_on:
        texts = (patch("one", "two"), patch("two", "one"))
        sending = [
            pool.submit(client.agents.messages.create, agent().id, input=text) for text in texts
        ]
        wait_for_locks(server, 2)
        go_on()
        ends = [one.result(30).stop_reason.stop_reason for one in sending]
    assert ends == ["end_turn"] * 2
    assert [client.blocks.retrieve(block.id).value for block in shared] == ["one", "two"]


def test_files_that_are_opened_attached_and_uploaded_at_once_wait_in_no_ring(
    client: Letta, pool: ThreadPoolExecutor
) -> None:
    folders = [client.folders.create(name=new_id("folder")) for _ in range(2)]
    body = {"folder_ids": [one.id for one in folders], "max_files_open": 2}
    agents = [client.agents.create(model=HANDLE, extra_body=body).id for _ in range(2)]
    ids = [
        client.folders.files.upload(one.id, file=(f"{n}.txt", b"text", "text/plain")).id
        for one in folders
        for n in range(2)
    ]
    names = [f"{folder.name}/{n}.txt" for folder in folders for n in range(2)]

    def turns(place: int) -> None:
        for n in range(4):
            asked = [names[(place + n) % 4], names[(place + n + 1) % 4]]
            sent = do(call("open_files", file_requests=asked), say("read"))
            client.agents.messages.create(agents[place % 2], input=sent)

    def by_hand() -> None:
        for n in range(12):
            agent_id = agents[n % 2]
            with suppress(NotFoundError):  # it was replaced, or its folder taken, meanwhile
                client.agents.files.open(ids[n % 4], agent_id=agent_id)
            client.agents.files.close_all(agent_id)
            client.agents.update(agent_id, extra_body={"folder_ids": [folders[n % 2].id]})
            client.agents.folders.attach(folders[(n + 1) % 2].id, agent_id=agent_id)

    def uploads() -> None:
        for n in range(8):
            file = (f"{n % 2}.txt", b"text %d" % n, "text/plain")
            client.folders.files.upload(folders[n % 2].id, file=file, duplicate_handling="replace")

    under_way = [pool.submit(work) for work in (by_hand, uploads)]
    under_way += [pool.submit(turns, place) for place in range(2)]
    for one in under_way:
        one.result(90)
    for agent_id in agents:
        held = client.agents.files.list(agent_id, is_open=True)
        assert len(list(held)) <= 2


def test_what_belongs_to_an_agent_is_stored_while_a_folder_is_taken_from_it(
    server: Product, client: Letta, pool: ThreadPoolExecutor
) -> None:
    folder = client.folders.create(name=new_id("folder"))
    agent = client.agents.create(model=HANDLE, extra_body={"folder_ids": [folder.id]})
    with changes_paused(server, "DELETE ON agent_folders") as go_on:
        deleting = pool.submit(client.folders.delete, folder.id)
        wait_for_locks(server, 1)
        with psycopg.connect(libpq_url(server.state["database_url"])) as storing:
            # As a row does that names the agent with a foreign key, such as a message.
            storing.execute("SELECT FROM agents WHERE id = %s FOR KEY SHARE NOWAIT", (agent.id,))
        go_on()
        deleting.result(30)
    assert not list(client.agents.folders.list(agent.id))


async def test_a_prompt_that_is_written_anew_locks_the_conversation_before_the_message(
    server: Product, agent: AgentState
) -> None:
    ((thread_id,),) = server.query("SELECT id FROM conversations WHERE agent_id = %s", agent.id)
    database = Database(server.state["database_url"])

    async def rewrite() -> None:  # as a step does, which holds no lock
        async with database.connect() as connection:
            await rewrite_system_message(connection, thread_id, "anew", "key")

    with psycopg.connect(libpq_url(server.state["database_url"])) as holding:
        # As who recompiles, resets or compacts it.
        holding.execute("SELECT FROM conversations WHERE id = %s FOR UPDATE", (thread_id,))
        rewriting = asyncio.create_task(rewrite())
        await asyncio.to_thread(wait_for_locks, server, 1)
        holding.execute(
            "SELECT FROM messages WHERE conversation_id = %s AND position = 0 FOR UPDATE NOWAIT",
            (thread_id,),
        )
        holding.execute(
            """UPDATE messages SET parts = '[{"type": "text", "text": "before"}]'
            WHERE conversation_id = %s AND position = 0""",
            (thread_id,),
        )
    await rewriting
    await database.close()
    ((parts,),) = server.query("SELECT parts FROM messages WHERE conversation_id = %s", thread_id)
    assert parts == [{"type": "text", "text": "anew"}]


async def test_usage_of_runs_that_are_purged_and_of_those_that_are_removed_is_added_in_one_order(
    server: Product, client: Letta, pool: ThreadPoolExecutor
) -> None:
    agent = client.agents.create(model=HANDLE)
    conversation = client.conversations.create(agent_id=agent.id)

    def use(model: str, conversation_id: str) -> str:
        client.conversations.messages.create(
            conversation_id, agent_id=agent.id, input="x", streaming=False
        )
        newest = "(SELECT id FROM steps WHERE agent_id = %s ORDER BY created_at DESC LIMIT 1)"
        ((step_id,),) = server.query(
            f"UPDATE steps SET model = %s WHERE id = {newest} RETURNING id", model, agent.id
        )
        return str(step_id)

    removed = [use(model, "default") for model in ("openai/a", "openai/b")]
    for model in ("openai/b", "openai/a", "openai/b"):
        use(model, conversation.id)
    database = Database(server.state["database_url"])
    gone = Deleted(conversation.id, is_agent=False, conversation_ids=[])

    async def purge_it() -> None:
        async with database.begin() as connection:
            await connection.execute(
                update(conversations)
                .where(conversations.c.id == gone.id)
                .values(deleted_at=func.now())
            )
            await purge(connection, gone)

    with psycopg.connect(libpq_url(server.state["database_url"])) as removing:
        removing.execute("DELETE FROM steps WHERE id = %s", (removed[0],))
        purging = asyncio.create_task(purge_it())
        await asyncio.to_thread(wait_for_locks, server, 1)
        removing.execute("DELETE FROM steps WHERE id = %s", (removed[1],))
    await purging
    await database.close()
    used = "SELECT model, calls FROM other_usage WHERE agent_id = %s ORDER BY model"
    assert server.query(used, agent.id) == [("openai/a", 2), ("openai/b", 3)]


_STALE_STATES = "UPDATE sandbox_states SET seen_at = now() - interval '1 hour' WHERE worker = %s"
_STALE_LESSONS = "UPDATE model_lessons SET learnt_at = now() - interval '1 year' WHERE model = %s"


async def _say_state(database: Database, worker: str) -> None:
    async with database.begin() as connection:
        await say_sandbox_state(connection, worker, {})


async def _learn(database: Database, model: str) -> None:
    key = ModelKey(DEFAULT_ORGANIZATION_ID, "lock-order", "", model)
    await StoredLessons(database).add(key, frozenset({"plain"}))


@pytest.mark.parametrize(
    ("say", "outdate"), [(_say_state, _STALE_STATES), (_learn, _STALE_LESSONS)]
)
async def test_two_that_say_anew_what_is_outdated_remove_nothing_that_the_other_one_says(
    server: Product, say: Callable[[Database, str], Awaitable[None]], outdate: str
) -> None:
    database = Database(server.state["database_url"])
    names = ["one", "other"]
    for name in names:
        await say(database, name)
    for name in names:
        server.query(outdate, name)
    with psycopg.connect(libpq_url(server.state["database_url"])) as other:
        other.execute(outdate, ("other",))
        await asyncio.wait_for(say(database, "one"), 20)
    await database.close()
    assert server.query(f"{outdate} RETURNING 1", "one") == [(1,)]
    server.query("DELETE FROM sandbox_states WHERE worker = ANY(%s)", names)
    server.query("DELETE FROM model_lessons WHERE provider = 'lock-order'")


async def test_tools_that_are_taken_away_together_lock_their_agents_in_one_order(
    server: Product, client: Letta
) -> None:
    sources = [f"def taken_{n}():\n    '''Is taken away.'''\n    return 1\n" for n in "ab"]
    tools = [client.tools.upsert(source_code=source) for source in sources]
    first, last = sorted(client.agents.create(model=HANDLE).id for _ in range(2))
    client.agents.tools.attach(tools[0].id, agent_id=last)
    client.agents.tools.attach(tools[1].id, agent_id=first)
    database = Database(server.state["database_url"])

    async def take_them() -> None:
        async with database.begin() as connection:
            await take_away(connection, DEFAULT_ORGANIZATION_ID, ["taken_a", "taken_b"])

    with psycopg.connect(libpq_url(server.state["database_url"])) as holding:
        holding.execute("SELECT FROM agents WHERE id = %s FOR UPDATE", (first,))
        taking = asyncio.create_task(take_them())
        await asyncio.to_thread(wait_for_locks, server, 1)
        holding.execute("SELECT FROM agents WHERE id = %s FOR UPDATE", (last,))
    await asyncio.wait_for(taking, 20)
    await database.close()
    for agent_id, tool in zip((last, first), tools, strict=True):
        held = client.agents.tools.list(agent_id).items
        assert tool.name not in [one.name for one in held]
        client.tools.delete(tool.id)
