"""What an agent's model is shown of its tools, and the request that a step makes of it."""

from collections.abc import Sequence
from typing import Any, Literal

from o.domain.agents import Agent
from o.domain.llm import ModelRequest, ToolSpec
from o.domain.loops import is_legacy, tools_ruled
from o.domain.rules.kinds import RuleState
from o.domain.runs import ClientTool
from o.domain.thoughts import must_not_be_forced, thinks_natively, tool_for_legacy
from o.domain.tools import StoredTool
from o.tools.registry import BUILT_IN_TOOLS


def model_request(
    agent: Agent,
    handle: str,
    prompt: list[dict[str, Any]],
    rules: RuleState,
    client_tools: Sequence[ClientTool] = (),
    stored: Sequence[StoredTool] = (),
) -> ModelRequest:
    """The request of a step.

    Args:
        agent: Who asks, as it acts in its conversation.
        handle: The model: the agent's, unless the client's request names another one.
        prompt: In the OpenAI chat shape.
        rules: How the agent's tool rules stand before the step.
        client_tools: What the client brings.
        stored: Those of the agent's tools that are rows.
    """
    return ModelRequest(
        handle=handle,
        organization_id=agent.organization_id,
        prompt=prompt,
        tools=tools_shown(agent, handle, rules.shown, client_tools, stored),
        settings=agent.model_settings,
        tool_choice=tool_choice(agent, handle, must_call=rules.must_call),
        parallel_calls=calls_in_parallel(agent),
        context_window=agent.context_window,
    )


def tools_shown(
    agent: Agent,
    handle: str,
    names: Sequence[str],
    client_tools: Sequence[ClientTool] = (),
    stored: Sequence[StoredTool] = (),
) -> list[ToolSpec]:
    """The agent's tools of those names and the client's, as the model `handle` is shown them.

    A client's tool goes before one of the agent's with the same name, and one that comes with the
    server before one that is a row.
    """
    theirs = {tool.name for tool in client_tools}
    specs = {tool.name: tool.spec for tool in stored}
    specs |= {name: BUILT_IN_TOOLS[name].spec for name in names if name in BUILT_IN_TOOLS}
    tools = [specs[name] for name in names if name in specs and name not in theirs]
    tools += [ToolSpec(**tool.model_dump()) for tool in client_tools]
    if not is_legacy(agent):
        return tools
    thinking = not thinks_natively(handle, agent.model_settings)
    ending = tools_ruled(agent, "exit_loop")
    return [
        tool_for_legacy(tool, with_thinking=thinking, with_heartbeat=tool.name not in ending)
        for tool in tools
    ]


def tool_choice(agent: Agent, handle: str, *, must_call: bool) -> Literal["required"] | None:
    """Whether the model is forced to call a tool, which not every provider allows.

    In the legacy loop it always is, elsewhere where the agent's rules ask for it.
    """
    if must_not_be_forced(handle, agent.model_settings):
        return None
    return "required" if agent.tool_names and (must_call or is_legacy(agent)) else None


def calls_in_parallel(agent: Agent) -> bool:
    """Whether the model may ask for several calls at once.

    As in V1 only when that is set, and when no rule but approvals tells of an order of calls.
    """
    is_set = agent.model_settings.get("parallel_tool_calls") is True
    rules = {rule["type"] for rule in agent.tool_rules}
    return is_set and not is_legacy(agent) and rules <= {"requires_approval"}
