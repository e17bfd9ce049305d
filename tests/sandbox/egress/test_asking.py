"""Tools that use this server's own API, in a sandbox, against a running server."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from letta_client import Letta
from letta_client.types import AgentState

from o.ids import DEFAULT_ORGANIZATION_ID
from o.settings.all import Settings
from sandbox.egress.exits import Egress
from sandbox.protocol import Job, JobResult, Network, Sandbox
from tests.sandbox.egress.backends import needs, sandbox_of
from tests.sandbox.egress.packages import LETTA_CLIENT, copied
from tests.sandbox.plain import nothing
from tests.support.product import Product

_SOURCE = Path(__file__).with_name("asking.py").read_text()


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(LETTA_CLIENT, tmp_path_factory.mktemp("packages") / "deps")


@pytest.fixture
async def sandbox(server: Product, tmp_path: Path) -> AsyncIterator[Sandbox]:
    """One as the server's own workers have: with its key, and its API."""
    needs("bubblewrap")
    egress = Egress(Settings(data_dir=server.data_dir, api_url=server.url))
    await egress.start()
    made = sandbox_of("bubblewrap", egress, tmp_path)
    await made.start()
    yield made
    await made.close()
    await egress.close()


class Caller:
    def __init__(self, sandbox: Sandbox, packages: Path, agent: AgentState) -> None:
        self._sandbox, self._packages, self._agent = sandbox, packages, agent

    async def __call__(
        self,
        function: str,
        network: Network = Network("public", api=True),
        organization_id: str = DEFAULT_ORGANIZATION_ID,
        **arguments: Any,
    ) -> JobResult:
        job = Job(
            "job-1",
            _SOURCE,
            function,
            arguments,
            agent_id=self._agent.id,
            organization_id=organization_id,
            packages=self._packages,
            network=network,
        )
        return await self._sandbox.run(job, before_sending=nothing)


@pytest.fixture
def call(sandbox: Sandbox, packages: Path, agent: AgentState) -> Caller:
    return Caller(sandbox, packages, agent)


async def test_a_tool_uses_the_api_as_far_as_tools_may(
    call: Caller, client: Letta, agent: AgentState
) -> None:
    client.agents.update(agent.id, secrets={"API_KEY": "very secret"})
    shown = client.agents.retrieve(agent.id, include=["agent.secrets"])
    assert [secret.value for secret in shown.secrets or ()] == ["very secret"]
    done = await call("ask", other=agent.name)
    assert done.failure is None, done.failure
    found = done.result
    assert (found["client"], found["own"]) == ("Letta", agent.id)
    assert found["block"] == "Her name is Ada."
    assert agent.id in found["listed"]
    assert found["secrets"] in ([], None)
    assert found["key"] == "of-this-call"
    assert found["fresh"] > 0
    assert found["statuses"] == {
        "providers": 403,
        "tools": 200,
        "make a tool": 403,
        "run a tool": 403,
        "import": 403,
        "sandbox": 403,
        "as another": 403,
        "with a password": 403,
        "another port": 403,
    }
    assert done.hosts == ("o.internal", "-o.internal:8283")


async def test_a_call_sees_its_own_organization_alone(call: Caller) -> None:
    done = await call("list_agents", organization_id="org-22222222-2222-4222-8222-222222222222")
    assert done.failure is None, done.failure
    assert done.result == []


async def test_a_tool_that_may_not_use_the_api_has_no_client(call: Caller) -> None:
    done = await call("has_client", Network("list", ("a.example",)))
    assert done.result == [False, True]


async def test_a_tool_approves_nothing(call: Caller) -> None:
    done = await call("approve", request="message-00000000-0000-4000-8000-000000000000")
    assert done.result == 403, done.failure
