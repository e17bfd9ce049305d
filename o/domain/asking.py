"""What an agent's model is asked in a step."""

from collections.abc import Sequence
from typing import Any

from o.domain.agents import Agent
from o.domain.llm import ModelRequest
from o.domain.rules.standing import Standing
from o.domain.runs import ClientTool
from o.domain.tools import calls_in_parallel, tool_choice, tools_shown


def model_request(
    agent: Agent,
    handle: str,
    prompt: list[dict[str, Any]],
    rules: Standing,
    client_tools: Sequence[ClientTool] = (),
) -> ModelRequest:
    """The request of a step.

    Args:
        agent: Who asks, as it acts in its conversation.
        handle: The model: the agent's, unless the client's request names another one.
        prompt: In the OpenAI chat shape.
        rules: How the agent's tool rules stand before the step.
        client_tools: What the client brings.
    """
    return ModelRequest(
        handle=handle,
        prompt=prompt,
        tools=tools_shown(agent, handle, rules.shown, client_tools),
        settings=agent.model_settings,
        tool_choice=tool_choice(agent, handle, must_call=rules.must_call),
        parallel_calls=calls_in_parallel(agent),
    )
