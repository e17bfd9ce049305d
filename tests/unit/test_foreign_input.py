"""Input from clients and models, as odd as it comes, is taken or refused."""

import contextlib
import json
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from activities.runners.agent_answers import texts_of
from activities.tool_call import arguments_of
from api.wire.agent_requests import CreateAgentBody
from api.wire.blocks import UpdateBlockBody
from api.wire.turns import SendBody
from o.domain.agents import Agent
from o.domain.messages import Message, Role, ToolCall
from o.errors import ToolFailed
from o.memory.summaries import unpacked_summary
from o.tools.search import ConversationSearchArguments as SearchArguments
from o.tools.search import period, said_results

# How long it takes says something about the machine, not about the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

AGENT = Agent(
    id="agent-1",
    organization_id="org-1",
    name="ada",
    system="",
    model="openai/x",
    timezone="Asia/Tokyo",
    created_at=datetime.now(UTC),
    updated_at=datetime.now(UTC),
)

any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
parts = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["text", "image", "tool_call"])},
        optional={"text": any_json, "source": any_json},
    ),
    max_size=2,
)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "system", "assistant", "tool"]), "content": parts},
        optional={"otid": any_json, "type": any_json},
    )
    | any_json,
    max_size=2,
)


@given(
    st.fixed_dictionaries(
        {}, optional={"input": any_json | parts, "messages": messages, "max_steps": any_json}
    )
)
def test_a_send_is_parsed_or_refused(body: dict[str, object]) -> None:
    with contextlib.suppress(ValidationError):
        for message in SendBody.model_validate(body).to_input():
            message.model_dump_json().encode()


AGENT_FIELDS = [
    *("name", "tags", "metadata", "memory_blocks", "timezone", "tool_rules", "tool_ids"),
    *("llm_config", "embedding_config", "model_settings", "max_tokens", "response_format"),
]


@given(st.dictionaries(st.sampled_from(AGENT_FIELDS), any_json))
def test_an_agent_is_parsed_or_refused(body: dict[str, object]) -> None:
    with contextlib.suppress(ValidationError):
        parsed = CreateAgentBody.model_validate(body)
        parsed.model_dump_json().encode()
        parsed.rules(parsed.tool_names())
        window = parsed.context_window()
        assert window is None or 1 <= window <= 2_000_000_000
        for text in (parsed.handle(), parsed.embedding_handle()):
            assert text is None or isinstance(text, str)
        json.dumps([parsed.settings({}), parsed.options({}), parsed.columns()])


@given(st.dictionaries(st.sampled_from(["value", "label", "limit", "metadata"]), any_json))
def test_a_change_of_a_block_is_parsed_or_refused(body: dict[str, object]) -> None:
    with contextlib.suppress(ValidationError):
        assert set(UpdateBlockBody.model_validate(body).changes()) <= {
            "value",
            "label",
            "limit_chars",
            "metadata",
        }


@given(st.text(st.characters()) | any_json.map(repr))
def test_arguments_of_a_tool_call_are_an_object_or_an_error_return(text: str) -> None:
    with contextlib.suppress(ToolFailed):
        assert isinstance(arguments_of(ToolCall(id="x", name="x", arguments=text)), dict)


@given(st.text() | st.dates().map(str) | st.datetimes().map(str))
def test_a_date_is_a_moment_or_an_error_return(text: str) -> None:
    with contextlib.suppress(ToolFailed):
        for moment in period(text, text, AGENT.timezone):
            assert moment is None or moment.tzinfo is not None


@given(st.dictionaries(st.sampled_from(["query", "roles", "limit", "start_date"]), any_json))
def test_arguments_of_a_search_are_parsed_or_refused(body: dict[str, object]) -> None:
    with contextlib.suppress(ValidationError):
        SearchArguments.model_validate(body)


@pytest.mark.parametrize("arguments", ["", "[]", '{"message": ' + "[" * 100_000, "[" * 100_000])
def test_nothing_is_said_by_arguments_that_cannot_be_read(arguments: str) -> None:
    said = Message(
        id="message-1",
        organization_id="org-1",
        agent_id="agent-1",
        conversation_id="conv-1",
        position=1,
        role=Role.ASSISTANT,
        tool_calls=[ToolCall(id="call-1", name="send_message", arguments=arguments)],
        created_at=datetime.now(UTC),
    )
    assert texts_of([said]) == []
    (found,) = json.loads(said_results(AGENT, [(said, {})]))["results"]
    assert found["content"] == ""
    assert unpacked_summary(arguments) == (arguments, None)
