"""A handle goes to the very provider that it names, through every change, in each worker."""

import itertools
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from o.secrets import FILE
from tests.support.named import NamedProvider
from tests.support.product import Product, eventually

pytestmark = pytest.mark.timeout(240)
MODELS = ["m", "vendor/m", "vendor/deep/m:7b"]
PATIENCE_S = 60


@pytest.fixture(scope="module")
def named() -> Iterator[tuple[NamedProvider, NamedProvider]]:
    with NamedProvider("north", MODELS) as north, NamedProvider("south", MODELS) as south:
        yield north, south


@pytest.fixture(scope="module")
def product(
    tmp_path_factory: pytest.TempPathFactory, named: tuple[NamedProvider, NamedProvider]
) -> Iterator[Product]:
    """Two workers, one provider of the environment, named as its type."""
    product = Product(
        tmp_path_factory.mktemp("routes") / "o",
        {
            "OPENAI_API_KEY": "sk-env",
            "OPENAI_BASE_URL": named[0].url,
            "O_WORKERS": "2",
            "O_DEFAULT_MODEL": "one/vendor/m",
            "O_STRICT_PROVIDER_CATEGORY": "1",
        },
    )
    product.start()
    yield product
    product.stop()


class Talk:
    """A client that makes providers and agents, and hears who answers."""

    def __init__(self, product: Product) -> None:
        self.http = httpx.Client(base_url=f"{product.url}/v1", timeout=PATIENCE_S)
        self.agents: dict[str, str] = {}

    def create(self, name: str, base_url: str, **fields: Any) -> str:
        body = {"name": name, "provider_type": "openai", "api_key": f"sk-{name}"}
        made = self.http.post("/providers/", json=body | {"base_url": base_url} | fields)
        assert made.status_code == 200, made.text
        return str(made.json()["id"])

    def agent(self, handle: str) -> str:
        if handle not in self.agents:
            made = self.http.post("/agents/", json={"model": handle})
            assert made.status_code == 200, made.text
            assert made.json()["model"] == handle
            self.agents[handle] = made.json()["id"]
        return self.agents[handle]

    def hear(self, handle: str) -> str:
        """Who answered, for which model, with which key: or the error."""
        sent = self.http.post(f"/agents/{self.agent(handle)}/messages", json={"input": "hello"})
        if sent.status_code != 200:
            return f"{sent.status_code} {sent.text}"
        return str(sent.json()["messages"][0]["content"])

    def check(self, table: dict[str, str]) -> None:
        """Every model of every provider, at once and twice, so that both workers are asked."""
        pairs = list(itertools.product(table, MODELS)) * 2
        handles = [f"{name}/{model}" for name, model in pairs]
        for handle in handles:
            self.agent(handle)
        with ThreadPoolExecutor(8) as pool:
            heard = list(pool.map(self.hear, handles))
        expected = []
        for name, model in pairs:
            answerer, key = table[name].split(" ")
            expected.append(f"{answerer}|{model}|{key}")
        assert heard == expected


@dataclass
class World:
    """Providers, and which of them are to answer with which key."""

    talk: Talk
    ids: dict[str, str]
    table: dict[str, str]

    def patch(self, name: str, **fields: str) -> None:
        self.talk.http.patch(f"/providers/{self.ids[name]}", json=fields).raise_for_status()

    def delete(self, name: str) -> None:
        self.talk.http.delete(f"/providers/{self.ids[name]}").raise_for_status()
        del self.table[name]


@pytest.fixture(scope="module")
def world(product: Product, named: tuple[NamedProvider, NamedProvider]) -> World:
    """Two providers of one type, one that is named as another type, one of the environment."""
    north, south = named
    talk = Talk(product)
    ids = {
        "one": talk.create("one", north.url),
        "two": talk.create("two", south.url),
        "anthropic": talk.create("anthropic", south.url),
    }
    table = {
        "one": "north sk-one",
        "two": "south sk-two",
        "anthropic": "south sk-anthropic",
        "openai": "north sk-env",
    }
    return World(talk, ids, table)


def test_two_providers_of_one_type_are_told_apart(world: World) -> None:
    world.talk.check(world.table)


@pytest.mark.parametrize("body", [{}, {"model": "letta/auto"}, {"model": "letta/letta-free"}])
def test_who_names_no_model_gets_the_default(world: World, body: dict[str, str]) -> None:
    assert world.talk.http.post("/agents/", json=body).json()["model"] == "one/vendor/m"


def test_a_strict_server_refuses_a_category(world: World) -> None:
    http, query = world.talk.http, {"provider_category": "byok"}
    path = f"/providers/{world.ids['one']}"
    check = {"provider_type": "openai", "base_url": "http://127.0.0.1:9", "api_key": "x"}
    for answer in (
        http.get("/providers/", params=query),
        http.get("/models/", params=query),
        http.post("/providers/", json=check | {"name": "strict"} | query),
        http.post("/providers/check", json=check | query),
        http.patch(path, json=query),
    ):
        assert answer.status_code == 422, answer.url
        assert "provider_category" in answer.json()["detail"]
    assert http.get("/providers/").status_code == 200


def test_they_are_when_they_are_changed(
    world: World, named: tuple[NamedProvider, NamedProvider]
) -> None:
    north, south = named
    world.patch("one", base_url=south.url)
    world.patch("two", api_key="sk-new")
    world.table |= {"one": "south sk-one", "two": "south sk-new"}
    world.talk.check(world.table)
    world.patch("one", base_url=north.url)
    world.table["one"] = "north sk-one"
    world.talk.check(world.table)


def test_they_are_when_all_is_started_anew(world: World, product: Product) -> None:
    product.stop()
    product.start()
    world.talk = _again(product, world.talk)
    world.talk.check(world.table)


def test_they_are_when_one_is_deleted_and_made_again(
    world: World, named: tuple[NamedProvider, NamedProvider]
) -> None:
    north, _ = named
    world.delete("two")
    world.delete("anthropic")
    for model in MODELS:
        assert "not found" in world.talk.hear(f"two/{model}")
    assert "not found" in world.talk.hear("anthropic/m")
    world.talk.check(world.table)
    world.talk.create("two", north.url, provider_type="vllm")
    world.table["two"] = "north sk-two"
    world.talk.check(world.table)


def test_a_change_is_heard_by_every_turn_that_begins_after_it(
    product: Product, named: tuple[NamedProvider, NamedProvider]
) -> None:
    north, south = named
    talk = Talk(product)
    provider = talk.create("swings", north.url)
    for count in range(20):
        here = (north, south)[count % 2]
        talk.http.patch(f"/providers/{provider}", json={"base_url": here.url}).raise_for_status()
        assert talk.hear("swings/m") == f"{here.name}|m|sk-swings"


def test_a_key_that_was_lost_is_told_and_given_anew(
    product: Product, named: tuple[NamedProvider, NamedProvider]
) -> None:
    talk = Talk(product)
    provider = talk.create("forgets", named[0].url)
    assert talk.hear("forgets/m") == "north|m|sk-forgets"
    file = product.data_dir / FILE
    assert file.stat().st_mode & 0o777 == 0o600
    product.stop()
    file.unlink()
    product.start()
    talk = _again(product, talk)
    said = talk.hear("forgets/m")
    assert said.startswith("401")
    assert "PATCH /v1/providers/" in said
    assert talk.http.get(f"/providers/{provider}").status_code == 200
    assert talk.http.post(f"/providers/{provider}/check").status_code == 401
    assert talk.hear("openai/m") == "north|m|sk-env", "others go on"
    handles = [one["handle"] for one in talk.http.get("/models/").json()]
    assert "openai/m" in handles
    assert "forgets/m" not in handles
    talk.http.patch(f"/providers/{provider}", json={"api_key": "sk-found"}).raise_for_status()
    assert talk.hear("forgets/m") == "north|m|sk-found"


def test_what_the_environment_no_longer_names_is_hidden_and_its_name_free(
    product: Product, named: tuple[NamedProvider, NamedProvider]
) -> None:
    _, south = named
    talk = Talk(product)
    before = talk.http.get("/providers/", params={"name": "openai"}).json()
    talk.agent("openai/m")
    kept = {name: product.env.pop(name) for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL")}
    product.env["GROQ_API_KEY"] = "sk-groq"
    product.env["GROQ_BASE_URL"] = south.url
    product.stop()
    product.start()
    talk = _again(product, talk)
    assert talk.http.get("/providers/", params={"name": "openai"}).json() == []
    assert talk.http.get(f"/providers/{before[0]['id']}").status_code == 404
    assert "not found" in talk.hear("openai/m")
    assert talk.hear("groq/m") == "south|m|sk-groq"
    own = talk.create("openai", south.url)
    assert talk.hear("openai/m") == "south|m|sk-openai"
    product.env |= kept
    product.stop()
    product.start()
    talk = _again(product, talk)
    assert talk.hear("openai/m") == "south|m|sk-openai", "the row was made by somebody"
    said = eventually(lambda: _banner(product), what="the addresses")
    assert "forgets answers: 3 models" in said, "those made over the API are told of too"
    assert re.search(
        r"openai answers: 3.*\n +\(made over the API: .*OPENAI_API_KEY.* not used", said
    )
    talk.http.delete(f"/providers/{own}").raise_for_status()
    assert talk.hear("openai/m") == "north|m|sk-env"
    again = talk.http.get("/providers/", params={"name": "openai"}).json()
    assert [one["id"] for one in again] == [before[0]["id"]], "the same id at every start"


def test_keys_stand_nowhere_in_plain(product: Product) -> None:
    keys = ("sk-one", "sk-found", "sk-swings", "sk-env")
    rows = str(product.query("SELECT * FROM providers"))
    assert "swings" in rows
    assert not any(key in rows for key in keys)
    for log in (product.data_dir / "logs").iterdir():
        text = log.read_text(errors="replace")
        assert not any(key in text for key in keys), log.name


def _banner(product: Product) -> str:
    """What the last start has said of models; nothing until all of it is there."""
    last = product.log_path.read_text().rpartition("O keeps its data in")[2]
    return last.partition("  Model  ")[2] if "Ctrl-C stops everything" in last else ""


def _again(product: Product, talk: Talk) -> Talk:
    """The same agents, over a new connection."""
    new = Talk(product)
    new.agents = talk.agents
    eventually(lambda: new.http.get("/ready").status_code == 200, what="ready")
    return new
