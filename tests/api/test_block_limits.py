"""Limits of blocks that hold, and histories that are kept short."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from letta_client import Letta, UnprocessableEntityError
from letta_client.types import AgentState

from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, FakeProvider, call, do, say

OVER = "x" * 11
BLOCK: Any = {"label": "human", "value": "0123456", "limit": 10}


@pytest.fixture(scope="module")
def product(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product whose operator has limits hold, and keeps as few versions as can be."""
    env = {
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": provider.url,
        "O_BLOCK_LIMIT": "enforce",
        "O_BLOCK_VERSIONS": "1000",
        "O_WORKERS": "1",
    }
    product = Product(tmp_path_factory.mktemp("limits") / "o", env)
    product.start()
    yield product
    product.stop()


@pytest.fixture(scope="module")
def letta(product: Product) -> Letta:
    return product.client(max_retries=0)


@pytest.fixture
def limited(letta: Letta) -> AgentState:
    return letta.agents.create(
        model=HANDLE,
        memory_blocks=[BLOCK],
        tools=["core_memory_append", "memory_rethink", "memory_apply_patch"],
    )


def value_of(letta: Letta, agent: AgentState) -> str:
    return letta.agents.blocks.retrieve("human", agent_id=agent.id).value


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("core_memory_append", {"label": "human", "content": "890"}),
        ("memory_insert", {"label": "human", "new_string": "890"}),
        ("memory_replace", {"label": "human", "old_string": "0", "new_string": "abcde"}),
        ("memory_rethink", {"label": "human", "new_memory": OVER}),
        ("memory_apply_patch", {"label": "human", "patch": f"+{OVER}"}),
    ],
)
def test_an_edit_over_the_limit_is_an_error_that_says_what_to_do(
    letta: Letta, limited: AgentState, name: str, arguments: dict[str, Any]
) -> None:
    edits = [
        call(name, **arguments),
        call("memory_replace", label="human", old_string="0", new_string="12"),
    ]
    reply: Any = letta.agents.messages.create(limited.id, input=do(*edits, say("ok")))
    refused, done = (m for m in reply.messages if m.message_type == "tool_return_message")
    assert refused.status == "error"
    assert "limit is 10" in refused.tool_return
    assert "Shorten it first" in refused.tool_return
    assert done.status == "success"
    assert value_of(letta, limited) == "12123456"


def test_a_new_block_has_the_limit_that_blocks_have(
    product: Product, letta: Letta, limited: AgentState
) -> None:
    path = f"{product.url}/v1/agents/{limited.id}/tools/memory_rethink/run"
    args = {"label": "new", "new_memory": "x" * 100_001}
    ran = httpx.post(path, json={"args": args}, timeout=30).json()
    assert ran["status"] == "error"
    assert "limit is 100000" in ran["stderr"][0]
    assert [block.label for block in letta.agents.blocks.list(limited.id)] == ["human"]


def test_a_value_over_the_limit_is_422_and_changes_nothing(
    letta: Letta, limited: AgentState
) -> None:
    block_id = str(limited.blocks[0].id)
    for refused in (
        lambda: letta.blocks.create(label="l", value=OVER, limit=10),
        lambda: letta.blocks.update(block_id, value=OVER),
        lambda: letta.blocks.update(block_id, limit=6),
        lambda: letta.agents.blocks.update("human", agent_id=limited.id, value=OVER),
        lambda: letta.agents.create(model=HANDLE, memory_blocks=[BLOCK | {"value": OVER}]),
    ):
        with pytest.raises(UnprocessableEntityError, match="limit is"):
            refused()
    assert letta.blocks.retrieve(block_id).value == BLOCK["value"]
    changed = letta.blocks.update(block_id, value=OVER, limit=11)
    assert (changed.value, changed.limit) == (OVER, 11)


def test_what_is_over_its_limit_already_may_become_shorter(
    letta: Letta, product: Product, limited: AgentState
) -> None:
    block_id = str(limited.blocks[0].id)
    letta.blocks.update(block_id, value="y" * 10)
    product.query("UPDATE blocks SET limit_chars = 5 WHERE id = %s", block_id)
    assert letta.blocks.update(block_id, tags=["t"]).value == "y" * 10
    with pytest.raises(UnprocessableEntityError):
        letta.blocks.update(block_id, value="z" * 10)
    edit = call("memory_rethink", label="human", new_memory="z" * 9)
    letta.agents.messages.create(limited.id, input=do(edit, say("ok")))
    assert letta.blocks.update(block_id, value="z" * 8).value == "z" * 8
    undone = httpx.post(f"{product.url}/v1/blocks/{block_id}/undo")
    assert undone.status_code == 422, "it would grow"


def test_the_oldest_of_very_many_versions_go(letta: Letta, product: Product) -> None:
    much, little = (letta.blocks.create(label="l", value="first").id for _ in range(2))
    product.query(
        "DO $$ BEGIN FOR n IN 2..2500 LOOP "
        f"UPDATE blocks SET version = n, value = n WHERE id = '{much}'; "
        f"IF n < 1500 THEN UPDATE blocks SET version = n WHERE id = '{little}'; END IF; "
        "END LOOP; END $$"
    )
    count = "SELECT min(version), max(version), count(*) FROM block_versions WHERE block_id = %s"
    eventually(lambda: product.query(count, much) == [(1001, 2500, 1500)], what="a purge")
    assert product.query(count, little) == [(1, 1499, 1499)]
    undone = httpx.post(f"{product.url}/v1/blocks/{much}/undo").json()
    assert undone["value"] == "2499"
    listed = httpx.get(f"{product.url}/v1/blocks/{much}/versions?order=asc&limit=1").json()
    assert listed[0]["version"] == 1001
