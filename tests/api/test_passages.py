"""Passages of archives and of agents, through the official client."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from letta_client import Letta, NotFoundError
from letta_client.types import AgentState, Archive

from o.ids import new_id
from tests.support.product import Product
from tests.support.provider import HANDLE

JSON = {"content-type": "application/json"}
AGAIN = {"x-stainless-retry-count": "1"}


@pytest.fixture
def http(server: Product) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=30)


@pytest.fixture
def archive(client: Letta) -> Archive:
    return client.archives.create(name="of a test")


def texts_of(client: Letta, archive: Archive) -> list[str]:
    """All that an archive holds, the oldest first."""
    reader = client.agents.create(model=HANDLE)
    client.agents.archives.attach(archive.id, agent_id=reader.id)
    found = [passage.text for passage in client.agents.passages.list(reader.id, limit=1_000)]
    client.agents.delete(reader.id)
    return found


def test_a_passage_is_stored_listed_and_deleted(client: Letta, archive: Archive) -> None:
    passage = client.archives.passages.create(
        archive.id, text="Ada likes tea", tags=["tea", "Ada", "tea"], metadata={"a": [1, None]}
    )
    assert (passage.archive_id, passage.text, passage.tags) == (
        archive.id,
        "Ada likes tea",
        ["tea", "Ada"],
    )
    assert (passage.metadata, passage.embedding, passage.is_deleted) == (
        {"a": [1, None]},
        None,
        False,
    )
    assert texts_of(client, archive) == ["Ada likes tea"]
    client.archives.passages.delete(str(passage.id), archive_id=archive.id)
    assert texts_of(client, archive) == []
    with pytest.raises(NotFoundError):
        client.archives.passages.delete(str(passage.id), archive_id=archive.id)


def test_a_batch_is_stored_in_its_order_or_not_at_all(
    client: Letta, http: httpx.Client, archive: Archive
) -> None:
    texts = [f"fact {n}" for n in (3, 1, 2)]
    made = client.archives.passages.create_many(
        archive.id, passages=[{"text": text} for text in texts]
    )
    assert [passage.text for passage in made] == texts
    assert texts_of(client, archive) == texts
    assert client.archives.passages.create_many(archive.id, passages=[]) == []
    bad = {"passages": [{"text": "good"}, {"text": ""}]}
    assert http.post(f"/v1/archives/{archive.id}/passages/batch", json=bad).status_code == 422
    many = {"passages": [{"text": "x"}] * 1_001}
    assert http.post(f"/v1/archives/{archive.id}/passages/batch", json=many).status_code == 422
    assert texts_of(client, archive) == texts


def test_an_agents_first_passage_makes_its_archive(client: Letta, agent: AgentState) -> None:
    assert client.agents.passages.list(agent.id) == []
    with ThreadPoolExecutor(4) as at_once:
        made = list(
            at_once.map(
                lambda n: client.agents.passages.create(agent.id, text=f"fact {n}"), range(8)
            )
        )
    (archive,) = client.archives.list(agent_id=agent.id)
    assert archive.name == "ada's Archive"
    assert {passage.archive_id for (passage,) in made} == {archive.id}
    assert len(client.agents.passages.list(agent.id)) == 8


def test_an_agent_adds_to_the_archive_that_it_was_given(client: Letta, archive: Archive) -> None:
    agent = client.agents.create(model=HANDLE)
    client.agents.archives.attach(archive.id, agent_id=agent.id)
    (passage,) = client.agents.passages.create(agent.id, text="a fact", tags=["t"])
    assert (passage.archive_id, passage.tags) == (archive.id, ["t"])
    assert [one.id for one in client.archives.list(agent_id=agent.id)] == [archive.id]


def test_the_passages_of_all_archives_come_in_one_list(client: Letta, agent: AgentState) -> None:
    days = [datetime(2024, 1, day, tzinfo=UTC) for day in range(1, 7)]
    others = [client.archives.create(name="other") for _ in range(2)]
    for other in others:
        client.agents.archives.attach(other.id, agent_id=agent.id)
    for n, day in enumerate(days):
        client.archives.passages.create(
            others[n % 2].id, text=f"day {n + 1}", created_at=day.isoformat()
        )

    def listed(**asked: Any) -> list[str]:
        return [str(p.text)[-1] for p in client.agents.passages.list(agent.id, **asked)]

    assert "".join(listed()) == "123456"
    assert "".join(listed(ascending=False)) == "654321"
    assert "".join(listed(limit=2)) == "12"
    ids = [str(p.id) for p in client.agents.passages.list(agent.id)]
    assert "".join(listed(after=ids[1], limit=3)) == "345"
    assert "".join(listed(before=ids[2])) == "12"
    assert "".join(listed(after=ids[4], ascending=False, limit=2)) == "43"
    assert "".join(listed(search="DAY 4")) == "4"
    assert listed(search="day _") == listed(search="%") == []
    client.agents.passages.delete(ids[2], agent_id=agent.id)
    assert "".join(listed(after=ids[2])) == "456", "a cursor that was deleted keeps its place"
    with pytest.raises(NotFoundError):
        listed(after=new_id("passage"))


def test_times_come_from_the_client_where_it_gives_any(client: Letta, agent: AgentState) -> None:
    moment = datetime(2021, 5, 4, 3, 2, 1, tzinfo=UTC)
    (dated,) = client.agents.passages.create(agent.id, text="then", created_at=moment)
    (now,) = client.agents.passages.create(agent.id, text="now")
    assert dated.created_at == moment
    assert now.created_at is not None
    assert now.created_at > moment


def test_a_passage_of_an_archive_that_the_agent_has_not_is_not_deleted(
    client: Letta, agent: AgentState, archive: Archive
) -> None:
    passage = client.archives.passages.create(archive.id, text="elsewhere")
    with pytest.raises(NotFoundError):
        client.agents.passages.delete(str(passage.id), agent_id=agent.id)
    other = client.archives.create(name="other")
    with pytest.raises(NotFoundError):
        client.archives.passages.delete(str(passage.id), archive_id=other.id)
    assert texts_of(client, archive) == ["elsewhere"]


def test_a_request_that_is_sent_again_stores_nothing_twice(
    client: Letta, http: httpx.Client, archive: Archive
) -> None:
    batch = {"passages": [{"text": text, "tags": ["t"]} for text in ("one", "two", "two")]}
    path = f"/v1/archives/{archive.id}/passages/batch"
    first = http.post(path, json=batch).json()
    for _ in range(2):
        assert http.post(path, json=batch, headers=AGAIN).json() == first
    assert texts_of(client, archive) == ["one", "two", "two"]
    other = {"passages": [{"text": "one"}, {"text": "two", "tags": ["t"]}]}
    found = http.post(path, json=other, headers=AGAIN).json()
    assert found[0]["id"] not in {one["id"] for one in first}, "other tags, another passage"
    assert found[1] == first[1]
    assert sorted(texts_of(client, archive)) == ["one", "one", "two", "two"]


def test_a_repeat_is_known_by_its_metadata_whatever_order_its_names_are_kept_in(
    http: httpx.Client, archive: Archive
) -> None:
    about: dict[str, Any] = {"place": {"street": "Main", "no": 1}, "seen": [{"longer": 1, "b": 2}]}
    body = {"text": "where Ada lives", "metadata": about}
    path = f"/v1/archives/{archive.id}/passages"
    first = http.post(path, json=body).json()
    assert http.post(path, json=body, headers=AGAIN).json()["id"] == first["id"]
    about["place"]["no"] = 2
    assert http.post(path, json=body, headers=AGAIN).json()["id"] != first["id"]


def test_equal_requests_that_are_no_repeats_store_equal_passages(
    client: Letta, archive: Archive
) -> None:
    for _ in range(2):
        client.archives.passages.create(archive.id, text="said twice")
    assert texts_of(client, archive) == ["said twice", "said twice"]


def test_a_first_try_that_comes_behind_its_repeat_finds_what_that_has_stored(
    client: Letta, http: httpx.Client, server: Product, archive: Archive
) -> None:
    body = {"text": "late"}
    path = f"/v1/archives/{archive.id}/passages"
    repeated = http.post(path, json=body, headers=AGAIN).json()
    # As if it had come after the first try, which has waited for something since.
    server.query(
        "UPDATE passages SET updated_at = now() + interval '1 minute' WHERE id = %s",
        repeated["id"],
    )
    assert http.post(path, json=body).json()["id"] == repeated["id"]
    assert texts_of(client, archive) == ["late"]


def test_repeats_at_once_store_each_passage_once(client: Letta, archive: Archive) -> None:
    patient = client.with_options(max_retries=0)

    def send(n: int) -> Any:
        headers = {"x-stainless-retry-count": str(n)}
        return patient.archives.passages.create(archive.id, text="once", extra_headers=headers)

    with ThreadPoolExecutor(6) as at_once:
        ids = {passage.id for passage in at_once.map(send, range(1, 7))}
    assert len(ids) == 1
    assert texts_of(client, archive) == ["once"]


def test_counts_follow_every_change(
    client: Letta, http: httpx.Client, server: Product, archive: Archive
) -> None:
    def counts() -> tuple[int, dict[str, int]]:
        ((count,),) = server.query("SELECT passage_count FROM archives WHERE id = %s", archive.id)
        tags = server.query(
            "SELECT tag, passage_count FROM archive_tags WHERE archive_id = %s", archive.id
        )
        return count, dict(tags)

    batch: Any = [{"text": f"{n}", "tags": ["all", f"of {n % 2}"]} for n in range(4)]
    made = client.archives.passages.create_many(archive.id, passages=batch)
    assert counts() == (4, {"all": 4, "of 0": 2, "of 1": 2})
    for passage in (made[0], made[2]):
        client.archives.passages.delete(str(passage.id), archive_id=archive.id)
    assert counts() == (2, {"all": 2, "of 1": 2})


HOSTILE: dict[str, tuple[dict[str, Any], int]] = {
    "no text": ({}, 422),
    "an empty text": ({"text": ""}, 422),
    "a blank text": ({"text": " \n\t"}, 422),
    "a text that is no text": ({"text": 5}, 422),
    "too long a text": ({"text": "x" * 1_000_001}, 422),
    "a long text": ({"text": "word " * 150_000}, 200),
    "a text without words": ({"text": "🙂🙃 …!"}, 200),
    "NUL": ({"text": "a\0b", "tags": ["\0"], "metadata": {"\0": "\0"}}, 200),
    "half a surrogate pair": ({"text": "a\ud800b", "tags": ["\udfff"]}, 200),
    "right to left": ({"text": "שלום \u202e عالم"}, 200),
    "tags that are no list": ({"text": "x", "tags": "t"}, 422),
    "an empty tag": ({"text": "x", "tags": [""]}, 422),
    "too long a tag": ({"text": "x", "tags": ["t" * 201]}, 422),
    "the longest tag": ({"text": "x", "tags": ["\N{GRINNING FACE}" * 200]}, 200),
    "too many tags": ({"text": "x", "tags": [f"{n}" for n in range(101)]}, 422),
    "metadata that is no object": ({"text": "x", "metadata": []}, 422),
    "a time that is none": ({"text": "x", "created_at": "yesterday"}, 422),
    "a time out of range": ({"text": "x", "created_at": "0001-01-01T00:00:00+23:00"}, 422),
    "the first moment": ({"text": "x", "created_at": "0001-01-01T00:00:00Z"}, 200),
    "the last moment": ({"text": "x", "created_at": "9999-12-31T23:59:59.999999Z"}, 200),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_cannot_be_stored_is_refused_and_the_rest_is_stored(
    http: httpx.Client, client: Letta, archive: Archive, agent: AgentState, case: str
) -> None:
    body, status = HOSTILE[case]
    ways = [f"/v1/archives/{archive.id}/passages", f"/v1/agents/{agent.id}/archival-memory"]
    for path in ways if "metadata" not in body else ways[:1]:
        answer = http.post(path, content=json.dumps(body).encode(), headers=JSON)
        assert answer.status_code == status, answer.text[:500]
    assert len(texts_of(client, archive)) == (status == 200)
