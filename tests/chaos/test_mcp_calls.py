"""Calls to MCP servers whose worker dies."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.killing import KillableProduct, Sending, patient_client
from tests.support.product import REPOSITORY, eventually
from tests.support.provider import HANDLE, FakeProvider, call, do, say

pytestmark = pytest.mark.chaos


@pytest.fixture
def url() -> Iterator[str]:
    command = [sys.executable, "-m", "tests.support.mcp_server", "streamable-http"]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield f"http://127.0.0.1:{int(process.stdout.readline())}/mcp"
    process.terminate()
    process.wait(timeout=10)


@pytest.fixture
def product(provider: FakeProvider, tmp_path: Path) -> Iterator[KillableProduct]:
    product = KillableProduct(tmp_path / "o", provider)
    product.start()
    yield product
    product.stop()


def test_a_call_whose_worker_dies_may_have_run_and_the_conversation_goes_on(
    product: KillableProduct, url: str
) -> None:
    client = patient_client(product)
    config: Any = {"mcp_server_type": "streamable_http", "server_url": url}
    made: Any = client.mcp_servers.create(server_name="stalling", config=config)
    tools = {tool.name: tool.id for tool in client.mcp_servers.tools.list(made.id)}
    agent = client.agents.create(model=HANDLE, tool_ids=[tools["stall"], tools["add"]])
    sending = Sending(product, agent, do(call("stall"), say("done")))
    eventually(lambda: product.query("SELECT step_id FROM tool_starts"), what="a call under way")
    for name in [name for name in product.state["processes"] if name.startswith("worker")]:
        product.kill(name)
    reply = sending.reply()
    (returned,) = [m for m in reply.messages if m.message_type == "tool_return_message"]
    assert returned.status == "error"
    assert "may have run" in returned.tool_return
    again = client.agents.messages.create(agent.id, input=do(call("add", a=2, b=3), say("well")))
    (added,) = [m for m in again.messages if m.message_type == "tool_return_message"]
    assert (added.status, added.tool_return) == ("success", "5")
