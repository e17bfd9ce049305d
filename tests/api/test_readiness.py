"""Ready is the truth about what the server can do now."""

import httpx
import psutil
from letta_client import Letta
from letta_client.types import AgentState

from tests.support.product import Product, eventually


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
