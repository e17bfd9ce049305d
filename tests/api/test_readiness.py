"""Ready is the truth about what the server can do now."""

from pathlib import Path

import httpx
import psutil
import pytest
from letta_client import Letta
from letta_client.types import AgentState
from pydantic import SecretStr

from o.settings.all import Settings
from o.settings.providers import ProviderSettings
from server.doctor import examine
from tests.support.product import Product, eventually
from tests.support.two_apis import AnotherApi


def _ready(server: Product) -> httpx.Response:
    return httpx.get(f"{server.url}/v1/ready/", timeout=10)


def test_a_server_whose_temporal_does_not_answer_says_so_and_goes_on_serving(
    server: Product, client: Letta, agent: AgentState
) -> None:
    eventually(lambda: _is_well(server), what="all well")
    temporal = psutil.Process(server.pid_of("temporal"))
    temporal.suspend()
    try:
        eventually(lambda: _ready(server).json()["temporal"] == "away", what="word of it")
        assert _ready(server).status_code == 200, "reads and accepting go on"
        assert client.agents.retrieve(agent.id).name == "ada"
        run = client.agents.messages.create_async(agent.id, input="hello")
        assert _ready(server).json()["workers"] == "unknown"
    finally:
        temporal.resume()
    eventually(lambda: _is_well(server), what="all well")
    eventually(lambda: client.runs.retrieve(run.id).status == "completed", what="its turn")


def test_where_no_worker_has_ever_been_ready_says_so_and_so_does_the_doctor(
    server: Product, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("O_SANDBOX_BACKEND", "unsafe-subprocess")
    api = AnotherApi(server, O_TASK_QUEUE="nobody")
    try:
        said = httpx.get(f"{api.url}/v1/ready/", timeout=10)
        assert (said.status_code, said.json()["workers"]) == (200, "none")
        settings = Settings(
            data_dir=tmp_path,
            port=api.port,
            database_url=SecretStr(server.state["database_url"]),
            temporal_address=server.state["temporal_address"],
        )
        found = examine(settings, ProviderSettings(_env_file=None))
    finally:
        api.stop()
    (bad,) = [one for one in found if one.level == "bad"]
    assert bad.what == "no worker is there: messages are kept"
    assert "o worker" in bad.what_to_do


WELL = {
    "version": "0.16.8",
    "status": "ok",
    "temporal": "ok",
    "workers": "ok",
    "longest_wait_s": 0.0,
}


def _is_well(server: Product) -> bool:
    """Whether it says so of everything but sandboxes, which are there or not on any machine."""
    said = _ready(server).json()
    return {name: said[name] for name in said if name != "sandbox"} == WELL
