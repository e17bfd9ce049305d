"""Prompts as a worker without memory makes them."""

from collections.abc import Sequence
from typing import Any

from o.domain.agents import Agent
from o.domain.messages import Message
from o.memory.context import Prompt


def chat_prompt(agent: Agent, messages: Sequence[Message], model: str = "") -> list[dict[str, Any]]:
    """`messages`, oldest first, in the OpenAI chat shape, as this model reads them."""
    prompt = Prompt()
    for message in messages:
        prompt.add(agent, message)
    return prompt.chat(model=model)
