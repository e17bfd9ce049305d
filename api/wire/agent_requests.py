"""V1's spelling of what clients ask of agents."""

import secrets
from functools import cache
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field

from api.wire.blocks import CreateBlockBody
from api.wire.fields import Json, Moment, RequestBody, Several, Text, with_example
from api.wire.llm import ModelFields
from api.wire.rules import ToolRuleBody, distinct
from api.wire.tool_variables import Values
from api.wire.turns import MessageCreateBody
from o.tools.agent_types import base_rules, base_tools, clears_buffer, has_base_rules
from o.tools.multi_agent import MULTI_AGENT_NAMES

_FIRST = ("amber", "brisk", "calm", "eager", "gentle", "lucid", "merry", "quiet", "steady")
_SECOND = ("badger", "curlew", "falcon", "heron", "ibis", "lynx", "marten", "otter", "robin")

AgentType = Literal[
    "memgpt_agent",
    "memgpt_v2_agent",
    "letta_v1_agent",
    "react_agent",
    "workflow_agent",
    "split_thread_agent",
    "sleeptime_agent",
    "voice_convo_agent",
    "voice_sleeptime_agent",
]


def random_name() -> str:
    """A name for an agent that was given none."""
    first, second = secrets.choice(_FIRST), secrets.choice(_SECOND)
    return f"{first}-{second}-{secrets.token_hex(2)}"


@cache
def _timezones() -> frozenset[str]:
    return frozenset(available_timezones())


def _known_timezone(name: str) -> str:
    if name not in _timezones():
        raise ValueError("no such time zone: use an IANA name such as 'Europe/Berlin'")
    return name


Timezone = Annotated[Text, AfterValidator(_known_timezone)]
_Count = Annotated[int, Field(ge=1, le=2_000_000_000)]


class _AgentFields(ModelFields):
    """What a client can say of an agent at any time. None says nothing."""

    name: Text | None = Field(None, min_length=1, max_length=500)
    system: Text | None = None
    description: Text | None = None
    metadata: Json | None = None
    tags: Several[Text] | None = None
    timezone: Timezone | None = None
    block_ids: Several[Text] | None = None
    tool_ids: Several[Text] | None = None
    folder_ids: Several[Text] | None = None
    source_ids: Several[Text] | None = Field(None, deprecated=True)
    identity_ids: Several[Text] | None = None
    tool_rules: Several[ToolRuleBody] | None = None
    message_buffer_autoclear: bool | None = None
    enable_sleeptime: bool | None = None
    max_files_open: _Count | None = None
    per_file_view_window_char_limit: _Count | None = None
    hidden: bool | None = None
    approval_timeout_s: _Count | None = None
    project_id: Text | None = None
    template_id: Text | None = None
    base_template_id: Text | None = None
    secrets: Values | None = None
    tool_exec_environment_variables: Values | None = Field(None, deprecated=True)

    def variables(self) -> dict[str, str] | None:
        """The variables that the agent's tools are to see, all of them; None where nothing is said.

        V1 has two names for the same.
        """
        older = self.__dict__["tool_exec_environment_variables"]
        if older is None and self.secrets is None:
            return None
        return {**(older or {}), **(self.secrets or {})}

    def powers(self) -> dict[str, object]:
        """What decides what the agent's tools may do, and which calls wait; None says nothing."""
        return {
            "tool_ids": self.tool_ids,
            "tool_rules": self.tool_rules,
            "approval_timeout_s": self.approval_timeout_s,
            "secrets": self.variables(),
        }

    def folders(self) -> list[str] | None:
        """The folders that it is to have, all of them, by V1's two names; None says nothing."""
        older = self.__dict__["source_ids"]
        if older is None and self.folder_ids is None:
            return None
        return [*(self.folder_ids or ()), *(older or ())]

    def columns(self) -> dict[str, Any]:
        """Column to value, for what was given and is kept as it came."""
        values = {name: getattr(self, name, None) for name in _KEPT}
        given = {name: value for name, value in values.items() if value is not None}
        if self.tags is not None:
            given["tags"] = list(dict.fromkeys(self.tags))
        if self.tool_rules is not None:
            given["tool_rules"] = distinct([rule.model_dump() for rule in self.tool_rules])
        if (embedding := self.embedding_shown()) is not None:
            given["embedding_config"] = embedding
        return given


class CreateAgentBody(_AgentFields):
    """V1's `CreateAgentRequest`; what O does not act on is ignored (docs/differences.md)."""

    model_config = with_example(
        name="ada",
        model="letta/auto",
        memory_blocks=[
            {"label": "persona", "value": "I am kind."},
            {"label": "human", "value": "Nothing is known yet."},
        ],
    )

    agent_type: AgentType = "letta_v1_agent"
    memory_blocks: Several[CreateBlockBody] | None = None
    tools: Several[Text] | None = None
    include_base_tools: bool = True
    include_multi_agent_tools: bool = False
    include_base_tool_rules: bool | None = None
    initial_message_sequence: Several[MessageCreateBody] | None = None

    def tool_names(self) -> list[str]:
        """The tools it asks for by name, each once, the base tools of its type first."""
        base = base_tools(self.agent_type) if self.include_base_tools else ()
        among_agents = MULTI_AGENT_NAMES if self.include_multi_agent_tools else ()
        return list(dict.fromkeys([*base, *among_agents, *(self.tools or ())]))

    def rules(self, tool_names: list[str]) -> list[dict[str, Any]]:
        """Its tool rules: those of its type for these tools, then those given."""
        wanted = self.include_base_tool_rules
        if wanted is None:
            wanted = has_base_rules(self.agent_type)
        base = base_rules(tool_names) if wanted else ()
        return distinct([*base, *self.columns().get("tool_rules", ())])

    def autoclears(self) -> bool:
        """Whether the agent forgets each turn."""
        return bool(self.message_buffer_autoclear) or clears_buffer(self.agent_type)


class UpdateAgentBody(_AgentFields):
    """V1's `UpdateAgent`: only what the client names is changed, and null changes nothing."""

    model_config = with_example(name="ada", tags=["friends"])

    last_run_completion: Moment | None = None
    last_run_duration_ms: int | None = Field(None, ge=0, le=2**63 - 1)
    last_stop_reason: Text | None = None


class ResetMessagesBody(RequestBody):
    """V1's `ResetMessagesRequest`."""

    model_config = with_example(add_default_initial_messages=True)

    add_default_initial_messages: bool = False


_KEPT = (set(_AgentFields.model_fields) | set(UpdateAgentBody.model_fields)) - {
    *ModelFields.model_fields,
    "block_ids",
    "tool_ids",
    "folder_ids",
    "source_ids",
    "identity_ids",
    "secrets",
    "tool_exec_environment_variables",
} | {"compaction_settings", "response_format"}
