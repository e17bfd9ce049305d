"""Two agents and the API change one block a thousand times at once."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import httpx
import pytest
from letta_client import Letta

from tests.support.product import Product
from tests.support.provider import HANDLE, call, do, say, together

IN_TURNS = 120
BY_RUNS = 600
BY_CHANGES = 280
A_TURN = 30
ALL = IN_TURNS + BY_RUNS + BY_CHANGES


class Crowd:
    """One block, and those who add lines to it; each line says whose it is."""

    def __init__(self, server: Product, client: Letta) -> None:
        self.url = server.url
        self.client = client
        self.block_id = client.blocks.create(label="shared", value="start").id
        self.agents = [
            client.agents.create(model=HANDLE, block_ids=[self.block_id]).id for _ in range(2)
        ]

    def talk(self, agent: int) -> list[str]:
        """The agent calls its tool in turns, many times in each."""
        lines = [f"turn {agent} {n}" for n in range(IN_TURNS // 2)]
        for at in range(0, len(lines), A_TURN):
            edits = [
                call("memory_insert", label="shared", new_string=line)
                for line in lines[at : at + A_TURN]
            ]
            self.client.agents.messages.create(
                self.agents[agent], input=do(together(*edits), say("ok"))
            )
        return lines

    def run_tool(self, agent: int) -> list[str]:
        """The agent's tool is run by the API."""
        path = f"/v1/agents/{self.agents[agent]}/tools/memory_insert/run"
        lines = [f"run {agent} {n}" for n in range(BY_RUNS // 2)]
        with httpx.Client(base_url=self.url, timeout=60) as http:
            for line in lines:
                asked = {"args": {"label": "shared", "new_string": line}}
                assert http.post(path, json=asked).json()["status"] == "success"
        return lines

    def change(self, who: int) -> list[str]:
        """A client reads the block, and changes it for the version that it has read."""
        path = f"/v1/blocks/{self.block_id}"
        lines = [f"change {who} {n}" for n in range(BY_CHANGES // 2)]
        with httpx.Client(base_url=self.url, timeout=60) as http:
            seen = http.get(path)
            for line in lines:
                while True:
                    body = {"value": f"{seen.json()['value']}\n{line}"}
                    held = {"If-Match": seen.headers["etag"]}
                    answer = http.patch(path, json=body, headers=held)
                    if answer.status_code == 200:
                        seen = answer
                        break
                    assert answer.status_code == 412, answer.text
                    seen = http.get(path)
        return lines


@pytest.mark.timeout(300)
def test_a_thousand_changes_at_once_are_all_in_the_history_and_none_is_lost(
    server: Product, client: Letta
) -> None:
    crowd = Crowd(server, client)
    with ThreadPoolExecutor(6) as pool:
        tasks = [
            pool.submit(work, who)
            for who in range(2)
            for work in (crowd.talk, crowd.run_tool, crowd.change)
        ]
        written = [line for task in tasks for line in task.result(280)]
    assert len(written) == ALL
    kept = server.query(
        "SELECT version, value, via FROM block_versions WHERE block_id = %s ORDER BY version",
        crowd.block_id,
    )
    assert [version for version, *_ in kept] == list(range(1, ALL + 2))
    added = []
    for (_, before, _), (_, after, _) in pairwise(kept):
        assert after.startswith(f"{before}\n"), "each was made from the version before it"
        added.append(after.removeprefix(f"{before}\n"))
    assert sorted(added) == sorted(written)
    assert [via for *_, via in kept].count("memory_insert") == IN_TURNS + BY_RUNS
    assert client.blocks.retrieve(crowd.block_id).value == kept[-1][1]
