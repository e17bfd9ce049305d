"""Many at one archive at once: nothing is lost, nobody waits for ever, counts are right."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from letta_client import Letta, NotFoundError

from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, call, do, say

TOOL = "archival_memory_insert"


def add(client: Letta, archive_id: str, n: int) -> int:
    tags = [f"tag {n % 3}", "all"]
    passages: Any = [{"text": f"{n}.{k}", "tags": random.sample(tags, 2)} for k in range(5)]
    return len(client.archives.passages.create_many(archive_id, passages=passages))


def keep(client: Letta, agent_id: str, n: int) -> int:
    sent = do(call(TOOL, content=f"kept {n}", tags=["all"]), say("kept"))
    client.agents.messages.create(agent_id, input=sent)
    return 1


def add_and_delete(client: Letta, archive_id: str, n: int) -> int:
    passage = client.archives.passages.create(archive_id, text=f"{n}", tags=["all", "gone"])
    client.archives.passages.delete(str(passage.id), archive_id=archive_id)
    return 0


def come_and_go(client: Letta, archive_id: str, n: int) -> int:
    """An agent that has the archive is deleted, and with it the archive of its own."""
    agent = client.agents.create(model=HANDLE, name=f"crowded {n}")
    client.agents.passages.create(agent.id, text="mine", tags=["all"])
    client.agents.archives.attach(archive_id, agent_id=agent.id)
    client.agents.delete(agent.id)
    return 0


def test_a_crowd_at_one_archive_loses_nothing(client: Letta, server: Product) -> None:
    archive = client.archives.create(name="crowded")
    agents = [client.agents.create(model=HANDLE, tools=[TOOL]).id for _ in range(2)]
    for agent_id in agents:
        client.agents.archives.attach(archive.id, agent_id=agent_id)
    work: list[Callable[[], int]] = []
    for n in range(6):
        work += [
            lambda n=n: add(client, archive.id, n),  # type: ignore[misc]
            lambda n=n: keep(client, agents[n % 2], n),  # type: ignore[misc]
            lambda n=n: add_and_delete(client, archive.id, n),  # type: ignore[misc]
            lambda n=n: come_and_go(client, archive.id, n),  # type: ignore[misc]
        ]
    with ThreadPoolExecutor(6) as at_once:
        added = sum(at_once.map(lambda one: one(), work))
    assert added == 6 * 5 + 6
    ((counted, there),) = server.query(
        "SELECT passage_count, (SELECT count(*) FROM passages WHERE archive_id = archives.id) "
        "FROM archives WHERE id = %s",
        archive.id,
    )
    assert (counted, there) == (added, added)
    tags = "SELECT tag, passage_count FROM archive_tags WHERE archive_id = %s ORDER BY tag"
    assert dict(server.query(tags, archive.id)) == {
        **{f"tag {n}": 10 for n in range(3)},
        "all": added,
    }
    left = "SELECT 1 FROM archives WHERE name = ANY(%s)"
    names = [f"crowded {n}'s Archive" for n in range(6)]
    eventually(lambda: not server.query(left, names), what="the end of the agents' own archives")


def test_an_archive_that_is_deleted_while_it_is_filled_ends_empty(
    client: Letta, server: Product
) -> None:
    archive = client.archives.create(name="doomed")

    def fill(n: int) -> bool:
        try:
            add(client, archive.id, n)
        except NotFoundError:
            return False
        return True

    with ThreadPoolExecutor(4) as at_once:
        filling = [at_once.submit(fill, n) for n in range(12)]
        eventually(filling[2].done)
        client.archives.delete(archive.id)
        stored = [one.result() for one in filling]
    assert stored[2]
    for table, column in (("archives", "id"), ("passages", "archive_id")):
        rows = f"SELECT 1 FROM {table} WHERE {column} = %s"
        eventually(lambda rows=rows: not server.query(rows, archive.id), what="the purge")  # type: ignore[misc]
