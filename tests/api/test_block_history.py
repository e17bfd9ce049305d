"""The history of blocks as clients see it: versions, differences, undo and redo."""

from typing import Any

import httpx
import pytest
from letta_client import Letta
from letta_client.types import AgentState

from o.ids import DEFAULT_USER_ID, new_id
from tests.api.test_conversations import isolated
from tests.support.product import Product
from tests.support.provider import HANDLE, call, do, say

FOREIGN = "org-00000000-0000-4000-8000-000000000001"


@pytest.fixture
def http(server: Product) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=30)


@pytest.fixture
def history(client: Letta, http: httpx.Client) -> "History":
    return History(http, client.blocks.create(label="notes", value="a").id)


class History:
    """One block, whose values are one letter each."""

    def __init__(self, http: httpx.Client, block_id: str) -> None:
        self.http = http
        self.path = f"/v1/blocks/{block_id}"

    def edit(self, value: str) -> None:
        assert self.http.patch(self.path, json={"value": value}).status_code == 200

    def step(self, direction: str, **headers: str) -> str:
        """What an undo or redo leads to; the status where it is refused."""
        answer = self.http.post(f"{self.path}/{direction}", headers=headers)
        return answer.json()["value"] if answer.status_code == 200 else str(answer.status_code)

    def steps(self, directions: str) -> list[str]:
        """Where each step leads; `u` is an undo, `r` a redo, any other letter an edit."""
        found = []
        for one in directions:
            if one in "ur":
                found.append(self.step("undo" if one == "u" else "redo"))
            else:
                self.edit(one)
                found.append(one)
        return found

    def versions(self, **params: Any) -> list[dict[str, Any]]:
        answer = self.http.get(f"{self.path}/versions", params=params)
        assert answer.status_code == 200, answer.text
        listed: list[dict[str, Any]] = answer.json()
        return listed

    def value(self) -> str:
        return str(self.http.get(self.path).json()["value"])


def test_a_history_says_who_changed_what_how_and_when(
    client: Letta, http: httpx.Client, agent: AgentState
) -> None:
    block_id = str(agent.blocks[1].id)
    edit = call("memory_replace", label="human", old_string="Nothing", new_string="All")
    reply = client.agents.messages.create(agent.id, input=do(edit, say("ok")))
    run_id = str(reply.messages[0].run_id)
    path = f"/v1/agents/{agent.id}/tools/core_memory_append/run"
    client.agents.tools.attach(
        next(t.id for t in client.tools.list(name="core_memory_append")), agent_id=agent.id
    )
    assert http.post(path, json={"args": {"label": "human", "content": "x"}}).status_code == 200
    client.agents.blocks.update("human", agent_id=agent.id, label="person", tags=["t"])
    history = History(http, block_id)
    history.step("undo")
    told = [
        (v["version"], v["actor_type"], v["actor_id"], v["via"], v["run_id"], v["label"])
        for v in history.versions(order="asc")
    ]
    assert told == [
        (1, "user", DEFAULT_USER_ID, "api", None, "human"),
        (2, "agent", agent.id, "memory_replace", run_id, "human"),
        (3, "agent", agent.id, "core_memory_append", None, "human"),
        (4, "user", DEFAULT_USER_ID, "api", None, "person"),
        (5, "user", DEFAULT_USER_ID, "undo", None, "human"),
    ]
    times = [v["created_at"] for v in history.versions(order="asc")]
    assert times == sorted(times)
    assert all("value" not in version for version in history.versions())
    whole = http.get(f"{history.path}/versions/4").json()
    assert (whole["value"], whole["tags"], whole["read_only"]) == (
        "All is known yet.\nx",
        ["t"],
        False,
    )
    assert whole["chars"] == len(whole["value"])
    assert client.agents.blocks.retrieve("human", agent_id=agent.id).tags == []


def test_a_block_shows_its_version(client: Letta, http: httpx.Client) -> None:
    block: Any = client.blocks.create(label="l", value="")
    assert block.version == 1
    changed: Any = client.blocks.update(block.id, value="x", extra_headers={"If-Match": '"1"'})
    assert changed.version == 2
    shown: Any = client.blocks.retrieve(block.id)
    assert shown.version == 2
    assert client.blocks.with_raw_response.retrieve(block.id).headers["etag"] == '"2"'


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ("u", ["409"]),
        ("r", ["409"]),
        ("bcuuu", ["b", "c", "b", "a", "409"]),
        ("bcuurrr", ["b", "c", "b", "a", "b", "c", "409"]),
        ("bcurur", ["b", "c", "b", "c", "b", "c"]),
        # An edit ends what could be redone, and undo goes back along what led to it.
        ("bcuXruur", ["b", "c", "b", "X", "409", "b", "a", "b"]),
        ("bcuXuurr", ["b", "c", "b", "X", "b", "a", "b", "X"]),
        ("buXuYuur", ["b", "a", "X", "a", "Y", "a", "409", "Y"]),
    ],
)
def test_undo_and_redo_go_along_the_edits(history: History, steps: str, found: list[str]) -> None:
    assert history.steps(steps) == found
    refused = found.count("409")
    assert len(history.versions()) == 1 + len(steps) - refused, "nothing is taken out"


def test_a_version_that_is_restored_is_an_edit(history: History) -> None:
    history.steps("bcu")
    restored = history.http.post(f"{history.path}/versions/1/restore")
    assert (restored.status_code, restored.headers["etag"]) == (200, '"5"')
    assert history.value() == "a"
    assert history.steps("ruur") == ["409", "b", "a", "b"]
    assert history.versions(limit=1, after="6")[0]["via"] == "restore"
    for version, status in ((99, 404), (0, 422), ("x", 422), (10**30, 422)):
        assert history.http.post(f"{history.path}/versions/{version}/restore").status_code == status


def test_undo_takes_back_all_that_a_change_made(client: Letta, http: httpx.Client) -> None:
    before: dict[str, Any] = {
        "label": "l",
        "value": "v",
        "limit": 5,
        "description": "d",
        "read_only": True,
        "metadata": {"a": [1, None]},
        "tags": ["t"],
        "hidden": True,
        "template_name": "T",
    }
    block = http.post("/v1/blocks/", json=before).json()
    after = {
        "label": "m",
        "value": "w",
        "limit": 6,
        "description": None,
        "read_only": False,
        "metadata": {},
        "tags": [],
        "hidden": None,
        "template_name": None,
    }
    path = f"/v1/blocks/{block['id']}"
    assert http.patch(path, json=after).status_code == 200
    undone = http.post(f"{path}/undo").json()
    assert {name: undone[name] for name in before} == before
    redone = http.post(f"{path}/redo").json()
    assert {name: redone[name] for name in after} == after
    changed = http.get(f"{path}/diff", params={"from_version": 1, "to_version": 4}).json()
    fields = after.keys() - {"value"}
    assert changed["fields"] == {name: [before[name], after[name]] for name in fields}
    assert changed["diff"].split("\n")[2:] == ["@@ -1 +1 @@", "-v", "+w"]


def test_an_undone_label_that_is_taken_now_is_409_and_changes_nothing(
    client: Letta, http: httpx.Client, agent: AgentState
) -> None:
    history = History(http, str(agent.blocks[1].id))
    client.agents.blocks.update("human", agent_id=agent.id, label="person")
    other = client.blocks.create(label="human", value="")
    client.agents.blocks.attach(other.id, agent_id=agent.id)
    assert history.step("undo") == "409"
    assert [version["version"] for version in history.versions()] == [2, 1]


def test_a_step_for_an_older_version_is_412(history: History) -> None:
    history.steps("bc")
    assert history.step("undo", **{"If-Match": '"2"'}) == "412"
    assert history.step("undo", **{"If-Match": '"3"'}) == "b"
    restore = f"{history.path}/versions/1/restore"
    assert history.http.post(restore, headers={"If-Match": '"3"'}).status_code == 412
    assert history.value() == "b"


def test_versions_are_paged_by_their_numbers(history: History) -> None:
    history.steps("bcdef")

    def numbers(**params: Any) -> list[int]:
        return [version["version"] for version in history.versions(**params)]

    assert numbers() == [6, 5, 4, 3, 2, 1]
    assert numbers(limit=2, after="5") == [4, 3]
    assert numbers(order="asc", limit=2, after="2") == [3, 4]
    assert numbers(before="4") == [6, 5]
    assert numbers(order="asc", before="3") == [1, 2]
    for cursor in ("x", "-1", "9" * 30, "٣"):
        answer = history.http.get(f"{history.path}/versions", params={"after": cursor})
        assert answer.status_code == 404


def test_a_difference_is_shown_between_any_two_versions(history: History) -> None:
    history.edit("one\ntwo\nthree")
    history.edit("one\n2\nthree\n")
    asked: dict[str, Any] = {"from_version": 2, "to_version": 3}
    found = history.http.get(f"{history.path}/diff", params=asked | {"context": 1}).json()
    assert found == {
        "block_id": history.path.rsplit("/", 1)[-1],
        "from_version": 2,
        "to_version": 3,
        "diff": "--- version 2\n+++ version 3\n@@ -1,3 +1,4 @@\n one\n-two\n+2\n three\n+",
        "is_exact": True,
        "fields": {},
    }
    same = history.http.get(f"{history.path}/diff", params={"from_version": 3, "to_version": 3})
    assert same.json()["diff"] == ""
    missing = history.http.get(f"{history.path}/diff", params={"from_version": 3, "to_version": 9})
    assert missing.status_code == 404


def test_a_history_can_be_forgotten(history: History) -> None:
    history.steps("bcu")
    gone = history.http.delete(f"{history.path}/versions")
    assert (gone.status_code, gone.json()) == (200, 3)
    assert [version["version"] for version in history.versions()] == [4]
    assert (history.value(), history.steps("ur")) == ("b", ["409", "409"])
    assert history.steps("xu") == ["x", "b"]


def test_versions_that_an_earlier_release_made_are_shown_and_undone(
    history: History, server: Product
) -> None:
    history.steps("bc")
    server.query(
        "UPDATE block_versions SET via = NULL, run_id = NULL, fields = NULL, origin = NULL, "
        "undo_to = NULL WHERE block_id = %s",
        history.path.rsplit("/", 1)[-1],
    )
    shown = history.http.get(f"{history.path}/versions/2").json()
    assert (shown["via"], shown["tags"], shown["origin"], shown["undo_to"]) == (None, None, 2, 1)
    assert history.steps("uuurr") == ["b", "a", "409", "b", "c"]


def test_a_block_that_a_conversation_has_to_itself_has_its_own_history(
    client: Letta, http: httpx.Client, agent: AgentState
) -> None:
    made = isolated(client, agent, "human")
    own = History(http, made["isolated_block_ids"][0])
    edit = call("memory_insert", label="human", new_string="here")
    client.conversations.messages.create(made["id"], input=do(edit, say("ok")), streaming=False)
    assert [(v["via"], v["actor_id"]) for v in own.versions(order="asc")] == [
        ("api", DEFAULT_USER_ID),
        ("memory_insert", agent.id),
    ]
    assert own.step("undo") == "Nothing is known yet."
    assert len(History(http, str(agent.blocks[1].id)).versions()) == 1


def test_an_agent_reads_what_was_undone(client: Letta, http: httpx.Client, provider: Any) -> None:
    agent = client.agents.create(model=HANDLE, memory_blocks=[{"label": "human", "value": "old"}])
    history = History(http, str(agent.blocks[0].id))
    history.edit("new")
    history.step("undo")
    client.agents.messages.create(agent.id, input="hello")
    assert "<value>\nold\n</value>" in provider.prompts[-1][0]["content"]


def test_the_history_of_another_organizations_block_is_not_there(
    history: History, server: Product
) -> None:
    history.edit("b")
    server.query(
        "INSERT INTO organizations (id, name) VALUES (%s, 'o') ON CONFLICT DO NOTHING", FOREIGN
    )
    block_id = history.path.rsplit("/", 1)[-1]
    server.query("UPDATE blocks SET organization_id = %s WHERE id = %s", FOREIGN, block_id)
    for path in (history.path, f"/v1/blocks/{new_id('block')}"):
        for method, rest in (
            ("GET", "versions"),
            ("DELETE", "versions"),
            ("GET", "versions/1"),
            ("GET", "diff?from_version=1&to_version=2"),
            ("POST", "undo"),
            ("POST", "redo"),
            ("POST", "versions/1/restore"),
        ):
            assert history.http.request(method, f"{path}/{rest}").status_code == 404, rest
    assert server.query("SELECT value FROM blocks WHERE id = %s", block_id) == [("b",)]
