"""The official client of OpenAI, as it speaks to this server, and what it reads."""

from collections.abc import Iterable
from typing import Any

from letta_client import Letta
from letta_client.types import AgentState
from openai import OpenAI

from tests.support.product import Product

LOOK: Any = {
    "type": "function",
    "function": {
        "name": "Look",
        "description": "Look at a file.",
        "parameters": {"type": "object", "properties": {"path": {"type": "string"}}},
        "strict": True,
    },
}
"""A tool of the client's."""


def openai_client(server: Product, **options: Any) -> OpenAI:
    """The official client for this server."""
    return OpenAI(base_url=f"{server.url}/v1", api_key="unused", **({"max_retries": 0} | options))


def says(*texts: str) -> Any:
    """Messages of the user and the assistant in turn, the user's first."""
    roles = ("user", "assistant")
    return [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]


def text_of(completion: Any) -> str:
    """What the only choice says."""
    (choice,) = completion.choices
    return str(choice.message.content)


def joined(chunks: Iterable[Any]) -> str:
    """The text of a stream."""
    return "".join(
        choice.delta.content or "" for chunk in chunks for choice in chunk.choices if choice.delta
    )


def history_of(client: Letta, agent: AgentState) -> list[str]:
    """What the user has said to the agent."""
    shown = client.agents.messages.list(agent.id, limit=1_000).items
    return [str(one.content) for one in shown if one.message_type == "user_message"]
