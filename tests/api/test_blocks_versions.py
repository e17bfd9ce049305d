"""The history of blocks, and changes that are made for one version of them."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from letta_client import Letta
from letta_client.types import AgentState

from o.ids import DEFAULT_USER_ID
from tests.support.product import Product
from tests.support.provider import HANDLE, call, do, say


@pytest.fixture
def http(server: Product) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=30)


def history(server: Product, block_id: str) -> list[tuple[object, ...]]:
    return server.query(
        "SELECT version, value, label, actor FROM block_versions "
        "WHERE block_id = %s ORDER BY version",
        block_id,
    )


def test_every_version_is_kept_with_who_made_it(
    client: Letta, server: Product, agent: AgentState
) -> None:
    block_id = str(agent.blocks[1].id)
    edit = call("memory_replace", label="human", old_string="Nothing", new_string="All")
    client.agents.messages.create(agent.id, input=do(edit, say("ok")))
    client.agents.blocks.update("human", agent_id=agent.id, label="person")
    client.blocks.update(block_id)  # changes nothing
    assert history(server, block_id) == [
        (1, "Nothing is known yet.", "human", DEFAULT_USER_ID),
        (2, "All is known yet.", "human", agent.id),
        (3, "All is known yet.", "person", DEFAULT_USER_ID),
    ]
    client.blocks.delete(block_id)
    assert history(server, block_id) == []


def test_edits_at_once_by_tools_and_by_the_api_are_all_in_the_history(
    client: Letta, server: Product
) -> None:
    block = client.blocks.create(label="shared", value="start")
    agents = [client.agents.create(model=HANDLE, block_ids=[block.id]) for _ in range(3)]

    def by_tool(n: int) -> None:
        edit = call("memory_insert", label="shared", new_string=f"tool {n}")
        client.agents.messages.create(agents[n].id, input=do(edit, say("ok")))

    def by_api(n: int) -> None:
        client.blocks.update(block.id, value=f"api {n}")

    with ThreadPoolExecutor(6) as pool:
        tasks = [pool.submit(work, n) for n in range(3) for work in (by_tool, by_api)]
        for task in tasks:
            task.result(60)
    kept = history(server, block.id)
    assert [version for version, *_ in kept] == list(range(1, 8))
    values = [str(value) for _, value, *_ in kept]
    for n in range(3):
        assert f"api {n}" in values
        made = next(place for place, value in enumerate(values) if value.endswith(f"tool {n}"))
        assert values[made] == f"{values[made - 1]}\ntool {n}", "made from the version before"
        assert kept[made][3] == agents[n].id
    assert client.blocks.retrieve(block.id).value == values[-1]


@pytest.mark.parametrize("by_label", [False, True])
def test_a_change_for_an_older_version_is_412_and_changes_nothing(
    client: Letta, server: Product, http: httpx.Client, agent: AgentState, by_label: bool
) -> None:
    block_id = str(agent.blocks[1].id)
    path = f"/v1/blocks/{block_id}"
    if by_label:
        path = f"/v1/agents/{agent.id}/core-memory/blocks/human"
    seen = http.get(path).headers["etag"]
    assert seen == '"1"'
    first = http.patch(path, json={"value": "first"}, headers={"If-Match": seen})
    assert (first.status_code, first.headers["etag"]) == (200, '"2"')
    for body in ({"value": "second"}, {}):
        second = http.patch(path, json=body, headers={"If-Match": seen})
        assert second.status_code == 412
        assert "version 2" in second.json()["detail"]
    assert client.blocks.retrieve(block_id).value == "first"
    assert len(history(server, block_id)) == 2


def test_without_if_match_the_last_writer_wins(http: httpx.Client, agent: AgentState) -> None:
    path = f"/v1/blocks/{agent.blocks[1].id}"
    for headers in ({}, {"If-Match": "*"}):
        assert http.patch(path, json={"value": "x"}, headers=headers).status_code == 200
    assert http.patch(path, json={"value": "x"}, headers={"If-Match": "soon"}).status_code == 400


def test_of_changes_at_once_for_one_version_one_is_made(
    server: Product, http: httpx.Client, agent: AgentState
) -> None:
    path = f"/v1/blocks/{agent.blocks[1].id}"

    def change(n: int) -> int:
        return http.patch(path, json={"value": str(n)}, headers={"If-Match": '"1"'}).status_code

    with ThreadPoolExecutor(5) as pool:
        assert sorted(pool.map(change, range(5))) == [200, 412, 412, 412, 412]
    assert len(history(server, str(agent.blocks[1].id))) == 2
