"""Each error in V1's shape, whatever it comes from."""

import ast
import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from letta_client.types import AgentState
from sqlalchemy import text

from api.app import create_app
from api.errors import install_error_handlers
from o.ids import new_id
from o.settings.all import Settings
from o.settings.providers import ProviderSettings
from o.storage.database import Database
from tests.support.product import Product
from tests.support.provider import HANDLE, FakeProvider, do, say


def inside(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


def test_a_validation_error_is_one_string_in_pythons_spelling(server: Product) -> None:
    answer = httpx.post(f"{server.url}/v1/agents/", json={"model": HANDLE, "tags": "not a list"})
    assert answer.status_code == 422
    body = answer.json()
    assert body.keys() == {"trace_id", "detail"}
    assert body["trace_id"] == ""
    (problem,) = ast.literal_eval(body["detail"])
    assert problem["loc"] == ("body", "tags")
    assert "not a list" not in str(problem.get("ctx"))


@pytest.mark.parametrize(
    "body",
    [
        {"model": HANDLE, "memory_blocks": [{"label": "sk-hush/../x\n", "value": {"a": 1}}]},
        {"model": HANDLE, "tags": {"key": "sk-hush"}},
        {"model": HANDLE, "tool_rules": [{"type": "sk-hush"}]},
        {"model": HANDLE, "initial_message_sequence": [{"role": "sk-hush", "content": "x"}]},
        {"model": ["sk-hush"], "unknown": "sk-hush"},
        ["sk-hush"],
    ],
)
def test_a_validation_error_does_not_repeat_what_was_sent(server: Product, body: Any) -> None:
    answer = httpx.post(f"{server.url}/v1/agents/", json=body)
    assert "sk-hush" not in answer.text
    assert answer.status_code == 422


def test_empty_messages_are_422_in_plain_words(server: Product, agent: AgentState) -> None:
    answer = httpx.post(f"{server.url}/v1/agents/{agent.id}/messages", json={"messages": []})
    assert (answer.status_code, answer.json().keys()) == (422, {"detail"})


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/v1/agents/"), ("POST", "/v1/runs/"), ("DELETE", "/v1/models/")]
)
def test_a_method_that_is_not_served_is_405(server: Product, method: str, path: str) -> None:
    answer = httpx.request(method, server.url + path)
    assert (answer.status_code, answer.json()) == (405, {"detail": "Method Not Allowed"})
    assert answer.headers["allow"]


async def test_a_bug_is_500_and_tells_nothing() -> None:
    """The application is not started, so that its routes find no parts."""
    app = create_app(Settings(), ProviderSettings())
    async with inside(app) as http:
        answer = await http.get("/v1/agents/")
    assert answer.status_code == 500
    assert answer.json() == {"detail": "An unknown error occurred"}


async def test_a_database_that_is_away_is_503() -> None:
    settings = Settings(database_url="postgresql://o@127.0.0.1:9/o")
    app = create_app(settings, ProviderSettings())
    async with app.router.lifespan_context(app), inside(app) as http:
        assert (await http.get("/v1/health/")).status_code == 200
        for path in ("/v1/ready/", "/v1/runs/", f"/v1/agents/{new_id('agent')}/messages"):
            answer = await http.get(path)
            assert answer.status_code == 503
            assert answer.json().keys() == {"detail"}


@pytest.fixture
async def database(server: Product) -> AsyncIterator[Database]:
    database = Database(server.state["database_url"])
    yield database
    await database.close()


@pytest.fixture
async def clashing(database: Database) -> httpx.AsyncClient:
    """Routes that run into what the database refuses, behind the product's error handlers."""
    app = FastAPI()
    install_error_handlers(app)
    both_hold = asyncio.Barrier(2)

    @app.get("/run")
    async def run(statement: str) -> None:
        async with database.begin() as connection:
            await connection.execute(text(statement))

    @app.get("/lock")
    async def lock(first: int, second: int) -> None:
        async with database.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": first})
            await both_hold.wait()
            await connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": second})

    return inside(app)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO organizations (id, name) SELECT id, name FROM organizations",
        "INSERT INTO users (id, organization_id, name) VALUES ('u', 'nobody', 'n')",
    ],
)
async def test_what_contradicts_the_record_is_409(
    clashing: httpx.AsyncClient, statement: str
) -> None:
    answer = await clashing.get("/run", params={"statement": statement})
    assert answer.status_code == 409
    assert answer.headers["x-should-retry"] == "false", "it will not work the next time either"
    assert "organizations" not in answer.text, "nothing of the inside shows"


async def test_a_statement_that_is_wrong_is_500(clashing: httpx.AsyncClient) -> None:
    for wrong in ("SELECT nonsense", "INSERT INTO organizations (id) VALUES (NULL)"):
        answer = await clashing.get("/run", params={"statement": wrong})
        assert answer.status_code == 500
        assert answer.json() == {"detail": "An unknown error occurred"}


async def test_a_deadlock_is_409_for_the_one_that_gives_way_who_may_try_again(
    clashing: httpx.AsyncClient,
) -> None:
    answers = await asyncio.gather(
        clashing.get("/lock", params={"first": 71, "second": 72}),
        clashing.get("/lock", params={"first": 72, "second": 71}),
    )
    lost, won = sorted(answers, key=lambda answer: -answer.status_code)
    assert (lost.status_code, won.status_code) == (409, 200)
    assert lost.headers["retry-after"] == "1"
    assert "x-should-retry" not in lost.headers


@pytest.fixture(scope="module")
def hurried(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product that gives models half a second, once."""
    env = {
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": provider.url,
        "O_MODEL_TIMEOUT_S": "0.5",
        "O_WORKERS": "1",
        "O_MODEL_ATTEMPTS": "1",
    }
    product = Product(tmp_path_factory.mktemp("hurried") / "o", env)
    product.start()
    yield product
    product.stop()


@pytest.mark.parametrize(
    ("action", "status", "kind"),
    [
        ({"fail": 400}, 400, "llm_bad_request"),
        ({"fail": 401}, 401, "llm_authentication"),
        ({"fail": 403}, 500, "llm_error"),
        ({"fail": 404}, 500, "llm_error"),
        ({"fail": 429}, 429, "llm_rate_limit"),
        ({"fail": 500}, 500, "llm_error"),
        ({"fail": 503}, 500, "llm_error"),
        (say("late") | {"delay_s": 2}, 504, "llm_timeout"),
    ],
)
def test_what_a_provider_does_wrong_is_told_in_the_answer_the_run_and_the_step(
    hurried: Product, action: dict[str, Any], status: int, kind: str
) -> None:
    client = hurried.client(max_retries=0)
    agent = client.agents.create(model=HANDLE)
    url = f"{hurried.url}/v1/agents/{agent.id}/messages"
    answer = httpx.post(url, json={"input": do(action)}, timeout=30)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert answer.json().keys() == {"error"}
    assert error.keys() == {"type", "message", "detail"}
    assert error["type"] == kind
    assert answer.headers["x-should-retry"] == "false"
    (run,) = client.runs.list(agent_id=agent.id)
    assert (run.status, run.metadata) == (
        "failed",
        {"run_type": "send_message", "error": error["message"]},
    )
    (step,) = client.steps.list(agent_id=agent.id)
    assert (step.status, step.error_type) == ("failed", kind)
