"""Tools that use this server's own API, by the globals that V1 gives them."""

# ruff: noqa: F821

import os
from typing import Any

from letta_client import Letta

client: Letta
agent_id: str


def ask(other: str) -> dict[str, Any]:
    """Use the API as a tool may, and as it may not."""

    def outcome(path: str, method: str = "GET", **headers: str) -> int:
        asked = client._client.request(method, path, json=None, headers=headers)
        return int(asked.status_code)

    own = f"http://o.internal/v1/agents/{agent_id}"
    block = client.agents.blocks.update("human", agent_id=agent_id, value="Her name is Ada.")
    return {
        "client": type(client).__name__,
        "own": client.agents.retrieve(agent_id).id,
        "block": block.value,
        "listed": [agent.id for agent in client.agents.list(name=other).items],
        "secrets": client.agents.retrieve(agent_id, include=["agent.secrets"]).secrets,
        "key": os.environ["LETTA_API_KEY"],
        "fresh": len(Letta().agents.list(name=other).items),
        "statuses": {
            "providers": outcome("http://o.internal/v1/providers/"),
            "tools": outcome("http://o.internal/v1/tools/"),
            "make a tool": outcome("http://o.internal/v1/tools/", "POST"),
            "run a tool": outcome(f"{own}/tools/memory_insert/run", "POST"),
            "import": outcome("http://o.internal/v1/agents/import", "POST"),
            "sandbox": outcome("http://o.internal/v1/sandbox-config/"),
            "as another": outcome("http://o.internal/v1/providers/", Authorization="Bearer x"),
            "with a password": outcome(
                "http://o.internal/v1/providers/", **{"X-BARE-PASSWORD": "password x"}
            ),
            "another port": outcome("http://o.internal:8283/v1/agents/"),
        },
    }


def list_agents() -> list[str]:
    """The agents that are there for this call."""
    return [agent.id for agent in client.agents.list().items]


def has_client() -> list[bool]:
    """Whether there is a client, and an agent."""
    return [client is not None, agent_id is not None]


def approve(request: str) -> int:
    """Answer an approval request in a person's place."""
    answer = {"type": "approval", "approve": True, "approval_request_id": request}
    path = f"http://o.internal/v1/agents/{agent_id}/messages"
    return int(client._client.post(path, json={"messages": [answer]}).status_code)
