"""Rules by which tools wait for approval."""

from datetime import UTC, datetime

import pytest

from api.agents.new_agents import tools_given
from api.wire.tools import tool_body
from o.domain.agents import Agent
from o.domain.llm import ToolSpec
from o.domain.rules.approval import with_approval, with_default_approvals, without_approval
from o.ids import new_id
from o.tools.registry import BUILT_IN_TOOLS
from o.tools.tool import Arguments, BuiltIn, Caller

_RULE = {"tool_name": "pay", "type": "requires_approval", "prompt_template": None}
_OTHERS = [
    {"tool_name": "pay", "type": "exit_loop"},
    {"tool_name": "look", "type": "requires_approval"},
]


def tool(*, asks: bool | None = None) -> ToolSpec:
    return ToolSpec(name="pay", description="Pay.", parameters={}, default_requires_approval=asks)


def built_in(spec: ToolSpec) -> BuiltIn[Arguments]:
    async def run(caller: Caller, arguments: Arguments) -> str:
        return "paid"

    return BuiltIn(spec, Arguments, run)


def test_a_rule_is_added_once_and_taken_away_without_the_others() -> None:
    ruled = with_approval(_OTHERS, "pay")
    assert ruled == [*_OTHERS, _RULE]
    assert with_approval(ruled, "pay") == ruled
    assert without_approval(ruled, "pay") == _OTHERS
    assert without_approval(_OTHERS, "pay") == _OTHERS


@pytest.mark.parametrize(("asks", "expected"), [(True, [_RULE]), (False, []), (None, [])])
def test_a_tool_that_asks_by_default_brings_its_rule(
    asks: bool | None, expected: list[dict[str, object]]
) -> None:
    assert with_default_approvals([], [tool(asks=asks)]) == expected


def test_an_agent_that_is_given_such_a_tool_gets_the_rule_then_and_not_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(BUILT_IN_TOOLS, "pay", built_in(tool(asks=True)))
    agent = Agent(
        id=new_id("agent"),
        organization_id=new_id("org"),
        name="ada",
        system="",
        model="openai/scripted",
        context_window=1_000,
        tool_names=["memory_insert"],
        created_at=datetime.now(UTC),
        updated_at=datetime.now(UTC),
    )
    names = ["memory_insert", "pay"]
    tools = [BUILT_IN_TOOLS[name].spec for name in names]
    assert tools_given(agent, tools) == {"tool_names": names, "tool_rules": [_RULE]}
    settled = agent.model_copy(update={"tool_names": names})
    assert tools_given(settled, tools) == {"tool_names": names, "tool_rules": []}
    assert tools_given(agent, tools, [_OTHERS[0]])["tool_rules"] == [_OTHERS[0], _RULE]


def test_models_are_not_shown_what_is_not_theirs() -> None:
    assert set(tool(asks=True).model_dump()) == {"name", "description", "parameters"}


def test_clients_are_shown_whether_a_tool_asks_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUILT_IN_TOOLS, "pay", built_in(tool(asks=True)))
    assert tool_body(new_id("org"), "pay").default_requires_approval is True
