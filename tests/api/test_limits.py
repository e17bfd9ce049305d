"""An API that may be asked only so often, behind a proxy that says who asks."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from letta_client import Letta, RateLimitError
from letta_client.types import AgentState
from pydantic import SecretStr

from api.app import create_app
from o.domain.keys import SECRET_PREFIX
from o.rates import Rate
from o.settings.all import Settings
from o.settings.providers import ProviderSettings
from tests.api.test_busy import hold
from tests.support.organizations import new_key, new_organization
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, FakeProvider, do, say
from tests.support.two_apis import AnotherApi

TOKEN = "open sesame"
AMOUNT = 8
UNKNOWN = f"{SECRET_PREFIX}{'x' * 43}"


@pytest.fixture(scope="module")
def url(server: Product) -> Iterator[str]:
    settings = {
        "O_API_TOKEN": TOKEN,
        "O_RATE_LIMIT": f"{AMOUNT}/hour",
        "O_TRUSTED_PROXIES": "127.0.0.1,10.0.0.0/8",
        "O_USER_QUEUE_LIMIT": "2",
        "O_QUEUE_LIMIT": "1",
    }
    api = AnotherApi(server, **settings)
    yield api.url
    api.stop()


def asking(url: str, address: str, secret: str = TOKEN) -> httpx.Client:
    """A client whom the proxy has seen at this address."""
    headers = {"authorization": f"Bearer {secret}", "x-forwarded-for": address}
    return httpx.Client(base_url=url, headers=headers, timeout=60)


def until_refused(http: httpx.Client, path: str = "/v1/blocks/") -> httpx.Response:
    """The answer to the first request too many, after all that one may make."""
    for _ in range(AMOUNT):
        assert http.get(path, params={"limit": 1}).status_code != 429
    return http.get(path)


def test_who_asks_too_often_is_told_when_to_ask_again(url: str) -> None:
    refused = until_refused(asking(url, "192.0.2.1"))
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 3_600 / AMOUNT + 1
    assert refused.json().keys() == {"detail"}
    assert "O_RATE_LIMIT" in refused.json()["detail"]
    assert asking(url, "192.0.2.2").get("/v1/blocks/").status_code == 200


def test_openais_clients_read_it_in_their_words(url: str) -> None:
    http = asking(url, "192.0.2.3")
    refused = until_refused(http, "/v1/models/none")
    assert refused.status_code == 429
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert "retry-after" in refused.headers


def test_monitors_are_always_answered(url: str) -> None:
    http = asking(url, "192.0.2.4")
    for path in ["/v1/health/", "/v1/ready", "/v1/health", "/metrics"] * AMOUNT:
        assert http.get(path).status_code == 200
    assert until_refused(http).status_code == 429, "they took none of what others are counted by"


def test_the_official_client_asks_again_when_it_may(server: Product) -> None:
    api = AnotherApi(server, O_RATE_LIMIT="2/second")
    try:
        client = Letta(base_url=api.url, api_key=new_key(server, "read"), max_retries=2)
        hasty = asking(api.url, "", client.api_key or "")
        refused = next(one for _ in range(100) if (one := hasty.get("/v1/blocks/")).is_error)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        for _ in range(6):
            client.blocks.list(limit=1)
    finally:
        api.stop()


def test_a_body_of_megabytes_is_refused_with_an_answer(url: str) -> None:
    http = asking(url, "192.0.2.22")
    until_refused(http)
    for _ in range(3):  # over one connection, which is whole behind each of them
        refused = http.post("/v1/blocks/", content=b"x" * 8_000_000)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1


@pytest.mark.parametrize("header", ["", "Bearer wrong", f"Bearer {UNKNOWN}", "Basic eDp5"])
def test_who_is_not_let_in_uses_up_nothing_of_who_is(
    server: Product, url: str, header: str
) -> None:
    """All of them ask from one address."""
    address = f"192.0.2.{100 + len(header)}"
    stranger = asking(url, address)
    stranger.headers["authorization"] = header
    for _ in range(2 * AMOUNT):
        assert stranger.get("/v1/blocks/").status_code in (401, 429)
    for secret in (TOKEN, new_key(server, "read")):
        http = asking(url, address, secret)
        for _ in range(AMOUNT):
            assert http.get("/v1/blocks/", params={"limit": 1}).status_code == 200


@pytest.mark.parametrize(
    ("said", "counted"),
    [
        ("192.0.2.99, 192.0.2.10", "192.0.2.10"),  # what the client itself has said is not believed
        ("192.0.2.11, 10.1.2.3", "192.0.2.11"),  # one trusted proxy behind another
        ("192.0.2.14, ::ffff:10.1.2.3", "192.0.2.14"),
        ("192.0.2.12:4711", "192.0.2.12"),
        ("[2001:db8::1]:4711", "2001:db8::ffff"),  # one site
        ("::ffff:192.0.2.13", "192.0.2.13"),
    ],
)
def test_it_is_the_proxys_word_that_counts(url: str, said: str, counted: str) -> None:
    assert until_refused(asking(url, said)).status_code == 429
    assert asking(url, counted).get("/v1/blocks/").status_code == 429


def test_words_that_are_no_addresses_are_one_client(url: str) -> None:
    for said in ["unknown", "_hidden", "x" * 5_000, "1.2.3.4.5", "-", "[::1", "a:b:c", "1:2"]:
        asking(url, said).get("/v1/blocks/")
    assert asking(url, "what else").get("/v1/blocks/").status_code == 429


def test_a_stream_is_one_request_and_is_not_cut(url: str, agent: AgentState) -> None:
    http = asking(url, "192.0.2.5")
    for _ in range(AMOUNT - 1):
        http.get("/v1/blocks/")
    body = {"messages": [{"role": "user", "content": do(say("all of it"))}]}
    with http.stream("POST", f"/v1/agents/{agent.id}/messages/stream", json=body) as answer:
        text = answer.read().decode()
    assert "all of it" in text
    assert text.rstrip().endswith("[DONE]")
    assert http.get("/v1/blocks/").status_code == 429


def test_a_key_has_its_own_rate_wherever_it_asks_from(server: Product, url: str) -> None:
    one, two = (new_key(server, "read") for _ in range(2))
    assert until_refused(asking(url, "192.0.2.6", one)).status_code == 429
    assert asking(url, "192.0.2.7", one).get("/v1/blocks/").status_code == 429
    assert asking(url, "192.0.2.6", two).get("/v1/blocks/").status_code == 200


def test_who_tries_keys_is_stopped_and_keeps_nobody_else_out(server: Product, url: str) -> None:
    good, other = (new_key(server, "read") for _ in range(2))
    assert asking(url, "192.0.2.8", good).get("/v1/blocks/").status_code == 200
    for n in range(AMOUNT):
        tried = asking(url, "192.0.2.8", f"{UNKNOWN}{n}").get("/v1/blocks/")
        assert tried.status_code == 401
    stopped = asking(url, "192.0.2.8", f"{UNKNOWN}again").get("/v1/blocks/")
    assert stopped.status_code == 429
    assert stopped.json().keys() == {"detail"}
    assert asking(url, "192.0.2.8").get("/v1/blocks/").status_code == 200, "the token's owner"
    for secret in (good, other):  # of one who asks from there, and of one who comes to it
        assert asking(url, "192.0.2.8", secret).get("/v1/blocks/").status_code == 200
    still = asking(url, "192.0.2.8", f"{UNKNOWN}last").get("/v1/blocks/")
    assert still.status_code == 429


def test_one_user_has_so_many_messages_under_way_and_no_more(
    server: Product, url: str, provider: FakeProvider
) -> None:
    secret = new_organization(server, "busy")
    client = Letta(base_url=url, api_key=secret, max_retries=0)
    one, two, three = (client.agents.create(model=HANDLE, memory_blocks=[]).id for _ in range(3))
    gates = [hold(provider, "a long one") for _ in range(2)]

    def send(agent_id: str, text: str) -> httpx.Response:
        body = {"messages": [{"role": "user", "content": text, "otid": f"{agent_id} {text}"}]}
        http = asking(url, "192.0.2.20", secret)
        return http.post(f"/v1/agents/{agent_id}/messages", content=json.dumps(body))

    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(send, agent_id, "a long one") for agent_id in (one, two)]
        assert all(gate.reached.wait(60) for gate in gates)
        with pytest.raises(RateLimitError, match="O_USER_QUEUE_LIMIT") as refused:
            client.agents.messages.create(three, input="one too many")
        assert refused.value.response.headers["retry-after"] == "2"
        again = pool.submit(send, one, "a long one")  # a repeat is no message more
        for gate in gates:
            gate.opened.set()
        answers = [one.result(60) for one in (*waiting, again)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert len(server.query("SELECT id FROM runs WHERE agent_id = ANY(%s)", [one, two])) == 2


def test_the_official_client_sends_again_what_there_was_no_room_for(
    server: Product, url: str, provider: FakeProvider
) -> None:
    secret = new_organization(server, "patient")
    maker = Letta(base_url=server.url, api_key=secret)
    agents = [maker.agents.create(model=HANDLE, memory_blocks=[]).id for _ in range(3)]
    gates = [hold(provider, "a patient one") for _ in range(2)]
    refusals: list[httpx.Response] = []

    def make_room(answer: httpx.Response) -> None:
        if answer.status_code == 429:
            refusals.append(answer)
            for gate in gates:
                gate.opened.set()

    http = httpx.Client(event_hooks={"response": [make_room]}, timeout=60)
    client = Letta(base_url=url, api_key=secret, max_retries=4, http_client=http)

    def send(agent_id: str, text: str) -> str:
        return str(client.agents.messages.create(agent_id, input=text).messages[-1])

    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(send, agent_id, "a patient one") for agent_id in agents[:2]]
        assert all(gate.reached.wait(60) for gate in gates)
        assert "You said: hello" in send(agents[2], "hello")
        assert all("You said: a patient one" in one.result(60) for one in waiting)
    assert refusals
    assert len(server.query("SELECT id FROM runs WHERE agent_id = %s", agents[2])) == 1


def test_what_makes_room_is_not_refused_for_want_of_it(
    server: Product, url: str, provider: FakeProvider
) -> None:
    secret = new_organization(server, "full")
    client = Letta(base_url=url, api_key=secret, max_retries=0)
    one, two, three = (client.agents.create(model=HANDLE, memory_blocks=[]).id for _ in range(3))
    gates = [hold(provider, text) for text in ("the first", "the second")]
    http = asking(url, "192.0.2.21", secret)

    def send(agent_id: str, text: str, policy: str = "interrupt") -> httpx.Response:
        body = {"input": text, "busy_policy": policy}
        return http.post(f"/v1/agents/{agent_id}/messages", json=body)

    with ThreadPoolExecutor(2) as pool:
        waiting = [
            pool.submit(send, one, "the first", "queue"),
            pool.submit(send, two, "the second", "queue"),
        ]
        assert all(gate.reached.wait(60) for gate in gates)
        assert send(three, "hello").status_code == 429, "there is nothing that it could interrupt"
        assert send(one, do(say("instead"))).json()["messages"][-1]["content"] == "instead"
        client.agents.messages.cancel(two)
        for gate in gates:
            gate.opened.set()
        assert [one.result(60).json()["stop_reason"]["stop_reason"] for one in waiting] == [
            "cancelled",
            "cancelled",
        ]


def test_who_is_above_limits_that_were_lowered_keeps_what_is_open_and_may_still_interrupt_it(
    server: Product, url: str, provider: FakeProvider
) -> None:
    secret = new_organization(server, "above")
    before = Letta(base_url=server.url, api_key=secret, max_retries=0)  # without these limits
    agents = [before.agents.create(model=HANDLE, memory_blocks=[]).id for _ in range(4)]
    texts = [f"{n} of above" for n in range(3)]
    gates = [hold(provider, text) for text in texts]
    runs = [
        before.agents.messages.create_async(agent_id, input=text)
        for agent_id, text in zip(agents, texts, strict=False)
    ]
    runs += [before.agents.messages.create_async(agents[0], input="waits") for _ in range(2)]
    assert all(gate.reached.wait(60) for gate in gates)
    after = asking(url, "192.0.2.22", secret)

    def send(agent_id: str, policy: str) -> httpx.Response:
        body = {"input": do(say("instead")), "busy_policy": policy, "background": True}
        return after.post(f"/v1/agents/{agent_id}/messages/async", json=body)

    for place, policy in ((1, "queue"), (3, "queue"), (3, "interrupt")):
        assert send(agents[place], policy).status_code == 429
    assert send(agents[0], "interrupt").status_code == 200
    server.query("UPDATE runs SET created_by_id = NULL WHERE id = %s", runs[1].id)
    assert send(agents[1], "interrupt").status_code == 200, "what is somebody else's"
    cancelled = after.post(f"/v1/agents/{agents[2]}/messages/cancel", json={})
    assert list(cancelled.json().values()) == ["cancelled"]
    for gate in gates:
        gate.opened.set()

    def ends() -> set[str]:
        return {before.runs.retrieve(run.id).status or "" for run in runs[3:]}

    eventually(lambda: ends() == {"completed"}, what="the end of those that waited")
    statuses = [before.runs.retrieve(run.id).status for run in runs[:3]]
    assert statuses == ["cancelled"] * 3
    sent = before.agents.messages.create(agents[1], input=do(say("there is room")))
    assert sent.messages[-1].content == "there is room"


async def test_without_a_proxy_that_is_trusted_nobody_says_who_he_is() -> None:
    """The application without its parts: a request that gets past the door fails with 500."""
    settings = Settings(api_token=SecretStr(TOKEN), rate_limit=Rate(2, 3_600.0))
    transport = httpx.ASGITransport(
        app=create_app(settings, ProviderSettings()), raise_app_exceptions=False
    )
    async with httpx.AsyncClient(transport=transport, base_url="http://o") as http:
        statuses = [
            (
                await http.get(
                    "/v1/agents/",
                    headers={"authorization": f"Bearer {TOKEN}", "x-forwarded-for": f"192.0.2.{n}"},
                )
            ).status_code
            for n in range(3)
        ]
    assert statuses == [500, 500, 429]


def test_a_batch_counts_as_many_messages_as_it_has(
    server: Product, url: str, provider: FakeProvider
) -> None:
    secret = new_organization(server, "batches")
    client = Letta(base_url=server.url, api_key=secret)
    one, two, three = (client.agents.create(model=HANDLE, memory_blocks=[]).id for _ in range(3))
    gate = hold(provider, "a batch's first")
    http = asking(url, "192.0.2.22", secret)

    def send(*requests: tuple[str, str]) -> httpx.Response:
        asked = [{"agent_id": agent_id, "input": text} for agent_id, text in requests]
        return http.post("/v1/messages/batches", json={"requests": asked})

    never = send((one, "x"), (two, "x"), (three, "x"))
    assert (never.status_code, "at most 2 requests" in never.json()["detail"]) == (422, True)
    assert send((one, "a batch's first")).status_code == 200
    assert gate.reached.wait(60)
    refused = send((two, "x"), (three, "x"))
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
    assert "O_USER_QUEUE_LIMIT" in refused.json()["detail"]
    assert client.runs.list(agent_id=two).items == []
    assert send((two, "x")).status_code == 200
    gate.opened.set()
