"""How many SQL statements an operation costs, as the database itself counts them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, FakeProvider, call, do, say

_CONTROL = ("BEGIN", "COMMIT", "ROLLBACK")


@pytest.fixture(scope="module")
def product(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product whose sweeper rests, with one process of each kind and every statement logged."""
    env = {
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": provider.url,
        "O_SWEEP_INTERVAL_S": "3600",
        "O_WORKERS": "1",
    }
    product = Product(tmp_path_factory.mktemp("statements") / "o", env)
    product.start()
    product.query("ALTER SYSTEM SET log_line_prefix = '%a|'")
    product.query("ALTER SYSTEM SET log_statement = 'all'")
    yield product
    product.stop()


def statements_of(product: Product, operation: Callable[[], object]) -> list[str]:
    """What the product's processes sent while `operation` ran."""
    log: Path = product.data_dir / "logs" / "postgres.log"
    product.query("SELECT pg_reload_conf()")
    eventually(
        lambda: product.query("SHOW log_statement") == [("all",)], what="the log of statements"
    )
    operation()  # warm: the second time, nothing is asked once only
    before = log.stat().st_size
    operation()
    product.query("SELECT 'end of the operation'")
    eventually(lambda: "end of the operation" in log.read_text()[before:], what="the log's end")
    lines = log.read_text()[before:].splitlines()
    return [
        line.split(": ", 1)[1].strip()
        for line in lines
        if line.startswith(("o api|", "o worker|")) and ("statement:" in line or "execute " in line)
    ]


def without_control(statements: list[str]) -> list[str]:
    return [s for s in statements if not s.split(": ")[-1].startswith(_CONTROL)]


def test_an_agent_is_retrieved_in_three_statements(product: Product) -> None:
    client = product.client()
    agent = client.agents.create(model=HANDLE, memory_blocks=[{"label": "human", "value": "x"}])
    include = ["agent.blocks", "agent.tools", "agent.tags"]
    sent = statements_of(product, lambda: client.agents.retrieve(agent.id, include=include))  # type: ignore[arg-type]
    assert 1 <= len(sent) <= 3, sent


def test_messages_are_listed_in_four_statements(product: Product) -> None:
    client = product.client()
    agent = client.agents.create(model=HANDLE)
    client.agents.messages.create(agent.id, input="hello")
    sent = statements_of(product, lambda: client.agents.messages.list(agent.id, limit=10))
    assert 1 <= len(sent) <= 4, sent


def test_a_turn_of_one_step_costs_four_statements(product: Product) -> None:
    client = product.client()
    agent = client.agents.create(model=HANDLE, memory_blocks=[{"label": "human", "value": "x"}])
    sent = statements_of(product, lambda: client.agents.messages.create(agent.id, input="hi"))
    assert 3 <= len(sent) <= 4, sent
    repeated = [s for s in without_control(sent) if not s.startswith("execute _pg3")]
    assert repeated == [], "statements that repeat are prepared"


def test_a_tool_call_and_its_step_cost_fifteen_statements_more(product: Product) -> None:
    client = product.client()
    agent = client.agents.create(model=HANDLE, memory_blocks=[{"label": "human", "value": "x"}])
    text = do(call("memory_insert", label="human", new_string="y"), say("ok"))
    one = statements_of(product, lambda: client.agents.messages.create(agent.id, input="hi"))
    two = statements_of(product, lambda: client.agents.messages.create(agent.id, input=text))
    assert 4 <= len(without_control(two)) - len(without_control(one)) <= 15, two
