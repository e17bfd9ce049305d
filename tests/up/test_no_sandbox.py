"""No Docker and no namespaces: tools are made and listed, calls are refused, and nothing runs."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from letta_client import Letta

from tests.support.product import REPOSITORY, Product, eventually
from tests.support.provider import HANDLE, FakeProvider, call, do, say


@pytest.fixture(scope="module")
def product(provider: FakeProvider) -> Iterator[Product]:
    """`o up` under a filter like that of a container. Its database may need another account."""
    with tempfile.TemporaryDirectory(prefix="o-no-sandbox-") as folder:
        Path(folder).chmod(0o755)
        product = Product(
            Path(folder) / "o",
            {
                "OPENAI_API_KEY": "sk-test",
                "OPENAI_BASE_URL": provider.url,
                "O_SANDBOX_BACKEND": "auto",
                "O_DOCKER_HOST": f"unix://{folder}/no-engine.sock",
                "PYTHONPATH": str(REPOSITORY),
                "O_WORKERS": "1",
            },
        )
        product.prefix = [sys.executable, "-m", "tests.sandbox.refusing"]
        product.start()
        yield product
        product.stop()


@pytest.fixture(scope="module")
def client(product: Product) -> Letta:
    return product.client(max_retries=0)


def test_a_tool_is_made_and_its_calls_are_refused(
    product: Product, client: Letta, tmp_path: Path
) -> None:
    mark = tmp_path / "ran"
    source = f'''
def touch() -> str:
    """Leave a mark."""
    open({str(mark)!r}, "w").write("here")
    return "done"
'''
    made = client.tools.create(source_code=source)
    assert made.name in [tool.name for tool in client.tools.list()]
    agent = client.agents.create(model=HANDLE, tools=["touch"])
    reply = client.agents.messages.create(agent.id, input=do(call("touch"), say("ok")))
    (shown,) = [one for one in reply.messages if one.message_type == "tool_return_message"]
    alone = client.agents.tools.run("touch", agent_id=agent.id, args={})
    body: Any = {"source_code": source, "args": {}}
    by_source: Any = client.post("/v1/tools/run", cast_to=object, body=body)
    for status, text in (
        (shown.status, shown.tool_return),
        (alone.status, str(alone.func_return)),
        (by_source["status"], str(by_source["tool_return"])),
    ):
        assert status == "error"
        assert "docker: no Docker engine answers" in text
        assert "a seccomp filter that O was started with forbids it" in text
    assert not mark.exists()


def test_health_and_the_text_at_start_say_so(product: Product) -> None:
    def told() -> dict[str, Any] | None:
        found: dict[str, Any] | None = httpx.get(f"{product.url}/v1/ready/").json().get("sandbox")
        return found

    state = eventually(told, what="what tools run in")
    assert (state["backend"], state["level"]) == ("", "none")
    assert "seccomp filter" in state["problem"]
    eventually(
        lambda: "Tools: custom tools do NOT run: docker: no" in product.log_path.read_text(),
        what="the text at start",
    )
