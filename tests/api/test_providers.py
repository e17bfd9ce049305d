"""Providers over the API: made, changed, checked, refreshed, deleted, and agents that use them."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from letta_client import APIStatusError, Letta

from tests.support.named import NamedProvider
from tests.support.product import Product
from tests.support.provider import HANDLE

KEY = "sk-very-secret-1234"


@pytest.fixture
def north() -> Iterator[NamedProvider]:
    with NamedProvider("north", ["m", "vendor/m"]) as provider:
        yield provider


@pytest.fixture
def http(server: Product) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{server.url}/v1", timeout=60) as client:
        yield client


@pytest.fixture
def made(http: httpx.Client) -> Iterator[list[str]]:
    """Ids of providers that are deleted after the test."""
    ids: list[str] = []
    yield ids
    for provider_id in ids:
        http.delete(f"/providers/{provider_id}")


def create(http: httpx.Client, made: list[str], **body: Any) -> dict[str, Any]:
    answer = http.post("/providers/", json={"api_key": KEY, "provider_type": "openai"} | body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    made.append(found["id"])
    return found


def refused(http: httpx.Client, **body: Any) -> httpx.Response:
    body = {"name": "x", "api_key": KEY, "provider_type": "openai"} | body
    return http.post("/providers/", json=body)


def test_a_provider_is_shown_in_v1s_fields_without_its_key(
    http: httpx.Client, made: list[str], north: NamedProvider
) -> None:
    provider = create(http, made, name="north", base_url=f"{north.url}/")
    assert provider["id"].startswith("provider-")
    shown = {
        "name": "north",
        "provider_type": "openai",
        "provider_category": "byok",
        "base_url": north.url,
        "api_key": None,
        "api_key_enc": None,
        "access_key": None,
        "last_synced": None,
    }
    assert shown.items() <= provider.items()
    assert http.get(f"/providers/{provider['id']}").json() == provider
    (listed,) = http.get("/providers/", params={"name": "north"}).json()
    assert listed == provider
    assert KEY not in http.get("/providers/").text


def test_the_official_clients_raw_calls_work(client: Letta, north: NamedProvider) -> None:
    body = {"name": "raw", "provider_type": "openai", "api_key": KEY, "base_url": north.url}
    provider: Any = client.post("/v1/providers/", cast_to=object, body=body)
    path = f"/v1/providers/{provider['id']}"
    agent = client.agents.create(model="raw/vendor/m")
    reply: Any = client.agents.messages.create(agent.id, input="hello").messages[0]
    assert reply.content == f"north|vendor/m|{KEY}"
    assert client.post(f"{path}/check", cast_to=object)
    synced: Any = client.patch(f"{path}/refresh", cast_to=object)
    assert synced["last_synced"] is not None
    client.delete(path, cast_to=object)
    with pytest.raises(APIStatusError) as gone:
        client.get(path, cast_to=object)
    assert gone.value.status_code == 404


def test_its_models_are_listed_with_their_sizes(
    http: httpx.Client, made: list[str], north: NamedProvider
) -> None:
    north.models = [
        {"id": "big", "max_model_len": 200_000},
        {"id": "small", "context_length": 4_096},
        {"id": "text-embedding-x"},
    ]
    create(http, made, name="sizes", base_url=north.url)
    models = http.get("/models/", params={"provider_name": "sizes"}).json()
    assert {one["handle"]: one["max_context_window"] for one in models} == {
        "sizes/big": 200_000,
        "sizes/small": 4_096,
    }
    assert {one["provider_type"] for one in models} == {"openai"}
    assert {one["provider_category"] for one in models} == {"byok"}
    agent = http.post("/agents/", json={"model": "sizes/small"}).json()
    assert agent["llm_config"]["context_window"] == 4_096


def test_a_name_is_unique_and_free_again_once_its_provider_is_deleted(
    http: httpx.Client, made: list[str], north: NamedProvider
) -> None:
    first = create(http, made, name="once", base_url=north.url)
    again = refused(http, name="once", base_url=north.url)
    assert (again.status_code, again.headers["x-should-retry"]) == (409, "false")
    gone = http.delete(f"/providers/{first['id']}")
    assert gone.json() == {"message": f"Provider id={first['id']} successfully deleted"}
    assert http.get("/models/", params={"provider_name": "once"}).json() == []
    second = create(http, made, name="once", base_url=north.url)
    assert second["id"] != first["id"]
    assert http.delete(f"/providers/{first['id']}").status_code == 404


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"name": "a/b"}, "first part of its handles"),
        ({"name": "a b"}, "first part of its handles"),
        ({"name": ""}, "first part of its handles"),
        ({"name": "-a"}, "first part of its handles"),
        ({"name": "ä"}, "first part of its handles"),
        ({"name": "a\n"}, "first part of its handles"),
        ({"name": "a" * 65}, "first part of its handles"),
        ({"name": "letta"}, "a meaning of their own"),
        ({"name": "openai-proxy"}, "a meaning of their own"),
        ({"provider_type": "letta"}, "cloud"),
        ({"provider_type": "chatgpt_oauth"}, "subscription"),
        ({"provider_type": "farm"}, "There is no provider_type"),
        ({"base_url": "ftp://x/v1"}, "http://"),
        ({"base_url": "http://u:p@x/v1"}, "user or password"),
        ({"base_url": "http://x/v1?a=b"}, "query"),
        ({"api_key": ""}, "needs its api_key"),
        ({"api_key": "schlüssel"}, "no header can carry"),
        ({"api_key": "a\nb: c"}, "no header can carry"),
        ({"provider_type": "azure"}, "needs its base_url"),
        ({"provider_type": "bedrock"}, "needs its region"),
        ({"provider_type": "bedrock", "region": "x.evil.example/"}, "pattern"),
    ],
)
def test_what_cannot_be_a_provider_is_422_in_words(
    http: httpx.Client, body: dict[str, Any], said: str
) -> None:
    answer = refused(http, **body)
    assert answer.status_code == 422, answer.text
    assert said in answer.json()["detail"]
    assert KEY not in answer.text


def test_a_provider_is_changed_for_the_next_call(
    http: httpx.Client, made: list[str], north: NamedProvider
) -> None:
    with NamedProvider("south", ["m"]) as south:
        provider = create(http, made, name="moves", base_url=north.url)
        path = f"/providers/{provider['id']}"
        agent = http.post("/agents/", json={"model": "moves/m"}).json()["id"]

        def reply() -> str:
            sent = http.post(f"/agents/{agent}/messages", json={"input": "hello"})
            return str(sent.json()["messages"][0]["content"])

        assert reply() == f"north|m|{KEY}"
        changed = http.patch(path, json={"base_url": south.url})
        assert changed.json()["base_url"] == south.url
        assert reply() == f"south|m|{KEY}", "who leaves the key alone keeps it"
        http.patch(path, json={"api_key": "sk-new\n"})
        assert reply() == "south|m|sk-new"
        http.patch(path, json={"api_key": ""})
        assert reply() == "south|m|"
    bad = http.patch(path, json={"base_url": "nowhere"})
    assert bad.status_code == 422
    assert http.patch(f"{path[:-3]}fff", json={}).status_code == 404


def test_an_agent_of_a_provider_that_is_gone_says_so_and_takes_another(
    http: httpx.Client, made: list[str], north: NamedProvider
) -> None:
    provider = create(http, made, name="gone", base_url=north.url)
    agent = http.post("/agents/", json={"model": "gone/m"}).json()["id"]
    http.delete(f"/providers/{provider['id']}")
    sent = http.post(f"/agents/{agent}/messages", json={"input": "hello"})
    assert sent.status_code == 400
    assert "Handle gone/m not found" in sent.text
    http.patch(f"/agents/{agent}", json={"model": HANDLE})
    assert http.post(f"/agents/{agent}/messages", json={"input": "hello"}).status_code == 200


def test_a_check_asks_the_provider_with_the_key_and_stores_nothing(
    http: httpx.Client, north: NamedProvider
) -> None:
    north.key = "right"
    body = {"provider_type": "openai", "base_url": north.url, "api_key": "right"}
    good = http.post("/providers/check", json=body)
    assert (good.status_code, "2 models" in good.text) == (200, True)
    bad = http.post("/providers/check", json=body | {"api_key": "wrong-key"})
    assert bad.status_code == 401
    assert "wrong-key" not in bad.text
    assert "answered with status 401" in bad.json()["detail"]
    assert "bad key [key]" in bad.json()["detail"], "the provider's words, as a turn shows them"
    away = http.post("/providers/check", json=body | {"base_url": "http://127.0.0.1:9/v1"})
    assert away.status_code == 500
    assert "refused" in away.json()["detail"]
    north.models = 404
    assert "lists no models" in http.post("/providers/check", json=body).text
    assert {one["base_url"] for one in http.get("/providers/").json()}.isdisjoint({north.url})


def test_an_existing_provider_is_checked_and_refreshed(
    http: httpx.Client, made: list[str], north: NamedProvider
) -> None:
    path = f"/providers/{create(http, made, name='fresh', base_url=north.url)['id']}"

    def handles() -> list[str]:
        models = http.get("/models/", params={"provider_name": "fresh"}).json()
        return [one["handle"] for one in models]

    assert len(handles()) == 2
    north.models = [{"id": "new"}]
    assert len(handles()) == 2, "remembered for a minute"
    synced = http.patch(f"{path}/refresh")
    assert synced.json()["last_synced"] is not None
    assert handles() == ["fresh/new"]
    assert http.post(f"{path}/check").status_code == 200
    north.key = "another"
    for refusal in (http.post(f"{path}/check"), http.patch(f"{path}/refresh")):
        assert refusal.status_code == 401
        assert "bad key [key]" in refusal.json()["detail"]


def test_a_provider_without_a_list_takes_any_model(
    http: httpx.Client, made: list[str], north: NamedProvider
) -> None:
    north.models = 404
    create(http, made, name="listless", base_url=north.url)
    agent = http.post("/agents/", json={"model": "listless/a/b:c"}).json()["id"]
    sent = http.post(f"/agents/{agent}/messages", json={"input": "hello"}).json()
    assert sent["messages"][0]["content"] == f"north|a/b:c|{KEY}"


def test_a_provider_that_moves_its_clients_elsewhere_does_not_get_the_key_there(
    http: httpx.Client, made: list[str], north: NamedProvider
) -> None:
    with NamedProvider("thief", ["m"]) as thief:
        create(http, made, name="moved", base_url=north.url)
        agent = http.post("/agents/", json={"model": "moved/m"}).json()["id"]
        north.moved_to = f"{thief.url}/chat/completions"
        sent = http.post(f"/agents/{agent}/messages", json={"input": "hello"})
        assert sent.status_code == 500
        assert thief.asked == []


def test_the_environments_provider_is_a_row_whose_key_stays_there(
    http: httpx.Client, server: Product
) -> None:
    (row,) = http.get("/providers/", params={"name": "openai"}).json()
    path = f"/providers/{row['id']}"
    assert (row["provider_category"], row["provider_type"]) == ("base", "openai")
    assert http.get(path).json() == row
    assert http.delete(path).status_code == 409
    refusal = http.patch(path, json={"api_key": "another"})
    assert refusal.status_code == 409
    assert "OPENAI_API_KEY" in refusal.json()["detail"]
    assert http.patch(path, json={"api_key": "sk-test"}).status_code == 200, "it has that one"
    assert refused(http, name="openai").status_code == 409
    assert http.post(f"{path}/check").status_code == 200
    assert http.patch(f"{path}/refresh").json()["last_synced"] is not None


def test_the_environments_provider_can_be_sent_elsewhere(
    http: httpx.Client, north: NamedProvider
) -> None:
    (row,) = http.get("/providers/", params={"name": "openai"}).json()
    agent = http.post("/agents/", json={"model": HANDLE}).json()["id"]
    north.models = 404
    http.patch(f"/providers/{row['id']}", json={"base_url": north.url})
    try:
        sent = http.post(f"/agents/{agent}/messages", json={"input": "hello"}).json()
        assert sent["messages"][0]["content"] == "north|scripted|sk-test"
    finally:
        back = http.patch(f"/providers/{row['id']}", json={"base_url": None}).json()
    assert back["base_url"] == row["base_url"]
    sent = http.post(f"/agents/{agent}/messages", json={"input": "hello"}).json()
    assert sent["messages"][0]["content"] == "You said: hello"


def test_old_handles_are_understood(http: httpx.Client) -> None:
    for asked in ("openai-proxy/scripted", "letta/auto", "letta/auto-fast", "letta/letta-free"):
        agent = http.post("/agents/", json={"model": asked})
        assert agent.json()["model"] == HANDLE
    sent = http.post(
        f"/agents/{agent.json()['id']}/messages",
        json={"input": "hello", "override_model": "letta/auto"},
    )
    assert sent.status_code == 200


def test_a_category_is_taken_and_means_nothing(
    http: httpx.Client, made: list[str], north: NamedProvider
) -> None:
    create(http, made, name="both", base_url=north.url, provider_category="base")
    every = http.get("/providers/").json()
    for category in ("base", "byok"):
        query = {"provider_category": category}
        assert http.get("/providers/", params=query).json() == every
        models = http.get("/models/", params=query | {"provider_name": "both"})
        assert len(models.json()) == 2


def test_providers_are_paged_and_filtered(
    http: httpx.Client, made: list[str], north: NamedProvider
) -> None:
    names = ["page1", "page2", "page3"]
    ids = [create(http, made, name=name, base_url=north.url)["id"] for name in names]
    asked = {"provider_type": "vllm"}
    before = {one["name"] for one in http.get("/providers/", params=asked).json()}
    create(http, made, name="other", provider_type="vllm", base_url=north.url)
    listed = {one["name"] for one in http.get("/providers/", params=asked).json()}
    assert listed - before == {"other"}
    assert not listed & set(names)
    page = http.get("/providers/", params={"order": "asc", "after": ids[0], "limit": 2}).json()
    assert [one["name"] for one in page] == ["page2", "page3"]
    http.delete(f"/providers/{ids[1]}")
    page = http.get("/providers/", params={"after": ids[1], "limit": 1}).json()
    assert [one["name"] for one in page] == ["page1"], "a deleted cursor keeps its place"
    assert http.get("/providers/", params={"after": ids[0][:-3] + "fff"}).status_code == 404
