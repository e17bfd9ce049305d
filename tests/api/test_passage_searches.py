"""Passages are found by their words in whatever language, within what is asked for."""

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from letta_client import Letta, NotFoundError, UnprocessableEntityError
from letta_client.types import AgentState

from o.ids import new_id
from tests.support.product import Product
from tests.support.provider import call, do, say

TEXTS = (
    "Ada keeps a lame greyhound in a flat above the bakery.",
    "The invoice INV-2024-00817 was paid twice.",
    "Set MAX_RETRY_COUNT in config/settings.prod.toml to 0.",
    "The function getUserTimezone falls back to UTC.",
    "Élodie a raté son train à cause de la neige.",
    "会议改到星期五下午三点。",
    "Бабушка хранит варенье в погребе.",
    "図書館のカードを無くしたので再発行しました。",
    "The server answers at 10.20.30.41, port 8443.",
    "He gave up the trumpet 🎺 for good.",
)
JSON = {"content-type": "application/json"}
FOREIGN = "org-30000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def archive_id(client: Letta) -> str:
    archive = client.archives.create(name="searched")
    client.archives.passages.create_many(archive.id, passages=[{"text": one} for one in TEXTS])
    return archive.id


@pytest.fixture(scope="module")
def http(server: Product) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=60)


def found(client: Letta, archive_id: str, query: str | None, **more: Any) -> list[str]:
    results = client.passages.search(archive_id=archive_id, query=query, **more)
    return [one.passage.text for one in results]


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("Which greyhounds does Ada keep?", 0),
        ("inv-2024-00817", 1),
        ("max retry count", 2),
        ("settings.prod.toml", 2),
        ("get user timezone", 3),
        ("GETUSERTIMEZONE", 3),
        ("elodie rate train", 4),
        ("星期五", 5),
        ("ВАРЕНЬЕ", 6),
        ("カード", 7),
        ("10.20.30.41", 8),
        ("🎺", 9),
        ("trump", 9),  # no word is like it, and one begins so
    ],
)
def test_what_fits_best_comes_first(client: Letta, archive_id: str, query: str, place: int) -> None:
    assert found(client, archive_id, query)[:1] == [TEXTS[place]]


@pytest.mark.parametrize(
    "query",
    [
        "the of and to",
        "' OR 1=1 --",
        "!!! & | <-> :* ( ) \\",
        "'",
        '"unclosed phrase',
        "a:* & !b <2> 'c' \\'",
        "\x00greyhound\x00",
        "\ud800 half a pair",
        "@00000000-0000-4000-8000-000000000000",
        "%_\\%",
        "\u202eمرحبا بالعالم",
        "👩\u200d👩\u200d👧 🏳️\u200d🌈",
        "ſﬁＡ\u0301\u0301\u0301",
        "word " * 20_000,
        "会" * 100_000,
        "x" * 100_000,
        "aB" * 50_000,
        "<b>&amp;</b> http://a.b/c?d=e#f user@host.example -1e308",
    ],
    ids=range(18),
)
def test_no_question_is_too_odd(http: httpx.Client, archive_id: str, query: str) -> None:
    for mode in ("hybrid", "fts", "vector"):
        body = {"query": query, "archive_id": archive_id, "search_mode": mode}
        answer = http.post("/v1/passages/search", content=json.dumps(body), headers=JSON)
        assert answer.status_code == 200, answer.text
        assert len(answer.json()) <= len(TEXTS)


@pytest.mark.parametrize("blank", [None, "", "  \n"])
def test_without_words_the_newest_come_first(
    client: Letta, archive_id: str, blank: str | None
) -> None:
    assert sorted(found(client, archive_id, blank)) == sorted(TEXTS)
    assert len(found(client, archive_id, blank, limit=3)) == 3


def test_of_passages_that_fit_alike_the_newest_comes_first(
    client: Letta, agent: AgentState
) -> None:
    for year in (2021, 2023, 2022):
        client.agents.passages.create(
            agent.id, text="the same quince", created_at=datetime(year, 5, 1, tzinfo=UTC)
        )
    results = client.passages.search(agent_id=agent.id, query="quince")
    years = [one.passage.created_at and one.passage.created_at.year for one in results]
    assert years == [2023, 2022, 2021]


def test_tags_and_dates_narrow_a_search(client: Letta, agent: AgentState) -> None:
    for tags, year in ((["red"], 2020), (["red", "sour"], 2021), (["sour"], 2022)):
        client.agents.passages.create(
            agent.id,
            text=f"a plum of {year}",
            tags=tags,
            created_at=datetime(year, 1, 1, tzinfo=UTC),
        )

    def years(query: str | None, **more: Any) -> list[str]:
        results = client.passages.search(agent_id=agent.id, query=query, **more)
        return [one.passage.text[-4:] for one in results]

    for query in ("plums", None):
        assert years(query) == ["2022", "2021", "2020"]
        assert years(query, tags=["red"]) == ["2021", "2020"]
        assert years(query, tags=["red", "sour"], tag_match_mode="all") == ["2021"]
        assert years(query, tags=["red", "sour"]) == ["2022", "2021", "2020"]
        assert years(query, tags=["blue"]) == []
        assert years(query, start_date=datetime(2021, 1, 1, tzinfo=UTC)) == ["2022", "2021"]
        assert years(query, end_date=datetime(2021, 1, 1, tzinfo=UTC)) == ["2021", "2020"]
    of_agent = client.agents.passages.search(
        agent.id,
        query="plum",
        tags=["red", "sour"],
        tag_match_mode="all",
        start_datetime="2020-06-01T00:00:00",
        top_k=1,
    )
    assert of_agent.count == 1
    (only,) = of_agent.results
    assert (only.content, only.tags) == ("a plum of 2021", ["red", "sour"])


def test_an_agent_searches_the_archives_it_has(client: Letta, agent: AgentState) -> None:
    word = new_id("x").removeprefix("x-").replace("-", "")
    mine, other = (client.archives.create(name=name) for name in ("mine", "other"))
    for archive in (mine, other):
        client.archives.passages.create(archive.id, text=f"{word} in {archive.name}")
    client.agents.archives.attach(mine.id, agent_id=agent.id)
    results = client.passages.search(agent_id=agent.id, archive_id=other.id, query=word)
    assert [one.passage.text for one in results] == [f"{word} in mine"], "the agent goes first"
    everywhere = client.passages.search(query=word)
    assert {one.passage.archive_id for one in everywhere} == {mine.id, other.id}
    client.agents.archives.detach(mine.id, agent_id=agent.id)
    assert client.passages.search(agent_id=agent.id, query=word) == []


def test_what_is_deleted_or_anothers_is_not_found(client: Letta, server: Product) -> None:
    word = new_id("x").removeprefix("x-").replace("-", "")
    kept, deleted, theirs = (client.archives.create(name=name) for name in "abc")
    for archive in (kept, deleted, theirs):
        client.archives.passages.create(archive.id, text=f"secret {word}")
    gone = client.archives.passages.create(kept.id, text=f"gone {word}")
    client.archives.passages.delete(str(gone.id), archive_id=kept.id)
    client.archives.delete(deleted.id)
    server.query(
        "INSERT INTO organizations (id, name) VALUES (%s, 'o') ON CONFLICT DO NOTHING", FOREIGN
    )
    # As it is stored by whoever owns it: the words of a passage say whose it is.
    server.query("UPDATE archives SET organization_id = %s WHERE id = %s", FOREIGN, theirs.id)
    server.query(
        "UPDATE passages SET organization_id = %s, text = text WHERE archive_id = %s",
        FOREIGN,
        theirs.id,
    )
    for query in (word, None):
        results = client.passages.search(query=query, limit=100)
        ids = {one.passage.archive_id for one in results if word in one.passage.text}
        assert ids == {kept.id}
    for archive in (deleted, theirs):
        with pytest.raises(NotFoundError):
            client.passages.search(archive_id=archive.id, query=word)


def test_a_changed_text_is_found_by_its_new_words(client: Letta, server: Product) -> None:
    archive = client.archives.create(name="changed")
    passage = client.archives.passages.create(archive.id, text="an old walnut")
    server.query("UPDATE passages SET text = 'a new hazel' WHERE id = %s", passage.id)
    assert found(client, archive.id, "walnut") == []
    assert found(client, archive.id, "hazel") == ["a new hazel"]


def test_an_agent_is_told_what_it_keeps(client: Letta, agent: AgentState) -> None:
    client.agents.passages.create(
        agent.id, text="Ada lives on a houseboat.", tags=["home"], created_at="2024-05-01T10:00:00Z"
    )
    client.agents.tools.attach(
        client.tools.list(name="archival_memory_search").items[0].id, agent_id=agent.id
    )
    search = call("archival_memory_search", query="houseboats", tags=["home"], top_k=2)
    reply = client.agents.messages.create(agent.id, input=do(search, say("done")))
    (returned,) = [one for one in reply.messages if one.message_type == "tool_return_message"]
    assert returned.status == "success", returned.tool_return
    ran = client.agents.tools.run(
        "archival_memory_search", agent_id=agent.id, args={"query": "houseboat"}
    )
    for text in (returned.tool_return, ran.func_return):
        assert '"content": "Ada lives on a houseboat."' in str(text)
        assert '"tags": ["home"]' in str(text)
        assert '"timestamp": "2024-05-01' in str(text)
    wrong = call("archival_memory_search", query="x", start_datetime="in May")
    reply = client.agents.messages.create(agent.id, input=do(wrong, say("done")))
    (returned,) = [one for one in reply.messages if one.message_type == "tool_return_message"]
    assert (returned.status, "is no ISO 8601" in returned.tool_return) == ("error", True)


def test_a_search_for_what_cannot_be_is_refused(client: Letta, archive_id: str) -> None:
    wrong: list[dict[str, Any]] = [
        *({"limit": 0}, {"limit": 101}, {"tag_match_mode": "some"}, {"agent_id": "x"}),
    ]
    for one in wrong:
        with pytest.raises(UnprocessableEntityError):
            client.passages.search(query="x", **one)
    missing: list[dict[str, Any]] = [
        *({"agent_id": new_id("agent")}, {"archive_id": new_id("archive")}),
    ]
    for one in missing:
        with pytest.raises(NotFoundError):
            client.passages.search(query="x", **one)
