"""V1's rows of messages one by one: what each says, before it has its place in a history.

Rows of the database and messages of agent files have the same fields.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from o.domain.extras import Extras
from o.domain.messages import (
    ApprovalResponse,
    ClientReturn,
    Decision,
    GivenId,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    ToolCall,
    ToolReturn,
)
from o.domain.text import storable_json
from o.letta.notes import Notes
from o.letta.parts import parts_of
from o.letta.returns import flat_text, lines_of, unpacked
from o.letta.values import (
    as_text,
    flag_of,
    json_of,
    object_of,
    objects_of,
    text_of,
    time_of,
)

NAMELESS_CALL = "A tool call without a name is left out"
UNKNOWN_ROLE = "A message of no known role is kept as a system message"
UNDATED = "A message without a readable time has that of the one before it"

LEGACY_TYPES = frozenset(
    {"memgpt_agent", "memgpt_v2_agent", "react_agent", "workflow_agent", "sleeptime_agent"}
    | {"voice_convo_agent", "voice_sleeptime_agent"}
)
"""V1's types whose loop writes what it thinks into the text of a message that calls a tool."""

_SAME_ID = "~"
_SUMMARY_BEGINS = "Note: prior messages"


@dataclass(frozen=True)
class Home:
    """Whose messages they are, and what is known of how they were made.

    Attributes:
        model: The agent's handle.
        agent_type: V1's; None where it does not say, as old rows of its first loop.
        tool_names: The agent's tools; a call that waits and is of none of them is a client's. None
            where nobody knows.
    """

    organization_id: str
    agent_id: str
    conversation_id: str
    model: str = ""
    agent_type: str | None = "letta_v1_agent"
    tool_names: Collection[str] | None = None

    @property
    def thinks_in_text(self) -> bool:
        """Whether the text beside a tool call is what the model thought."""
        return self.agent_type is None or self.agent_type in LEGACY_TYPES


@dataclass
class Draft:
    """A message that is being mapped.

    Attributes:
        where: Its place, for notes.
        source: V1's row.
        unreturned: Of its calls those that nothing has come of, by id.
        is_request: Whether some of its calls waited for approval.
        answers: By call, what was said to the request for approval.
    """

    id: str
    role: Role
    created_at: datetime
    where: str
    source: Mapping[str, Any]
    parts: list[Part] = field(default_factory=list)
    tool_calls: list[ToolCall] = field(default_factory=list)
    tool_return: ToolReturn | None = None
    approval: ApprovalResponse | None = None
    unreturned: dict[str, ToolCall] = field(default_factory=dict)
    is_request: bool = False
    answers: dict[str, Decision] = field(default_factory=dict)

    @property
    def name(self) -> str | None:
        """V1's name of who speaks, or of the tool."""
        return text_of(self.source.get("name"))


def role_of(row: Mapping[str, Any], notes: Notes, where: str) -> Role:
    """The role, which summaries have even where V1 stored them as the user's."""
    given = row.get("role")
    if given == "user" and _is_summary(row):
        return Role.SUMMARY
    if given == "function":
        return Role.TOOL
    try:
        return Role(str(given))
    except ValueError:
        notes.tell(UNKNOWN_ROLE, where)
        return Role.SYSTEM


def _is_summary(row: Mapping[str, Any]) -> bool:
    told = _packed_event(row)
    if told is None or told.get("type") != "system_alert":
        return False
    return "compaction_stats" in told or as_text(told.get("message")).startswith(_SUMMARY_BEGINS)


def _packed_event(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """What V1 packs as JSON into the only text of a message: an event, an old user's text."""
    content = row.get("content")
    if content is None:
        content = row.get("text")
    if isinstance(content, list) and len(content) == 1 and isinstance(content[0], dict):
        content = content[0].get("text")
    if not isinstance(content, str) or not content.lstrip().startswith("{"):
        return None
    told = json_of(content)
    return told if isinstance(told, dict) else None


def spoken_parts(row: Mapping[str, Any], notes: Notes, where: str) -> list[Part]:
    """What a system message, a user or a summary says. Old files pack what users say as JSON."""
    told = _packed_event(row) if row.get("role") == "user" else None
    if told is not None and told.get("type") == "user_message" and "message" in told:
        return [TextPart(text=as_text(told["message"]))]
    return parts_of(row.get("content"), row.get("text"), notes, where)


def reply_of(
    row: Mapping[str, Any], home: Home, notes: Notes, where: str
) -> tuple[list[Part], list[ToolCall]]:
    """What an agent said and called. In the legacy loop its text is a thought where it calls."""
    parts = parts_of(row.get("content"), row.get("text"), notes, where)
    given = objects_of(row.get("tool_calls"))
    calls = _told_apart([call for one in given if (call := _call(one))], as_text(row.get("id")))
    if len(calls) < len(given):
        notes.tell(NAMELESS_CALL, where)
    if calls and home.thinks_in_text:
        parts = [_as_thought(part) for part in parts]
        calls = [_without_heartbeat(call) for call in calls]
    return parts, calls


def _told_apart(calls: list[ToolCall], row_id: str) -> list[ToolCall]:
    """The calls with ids of their own; models may give several the same, or none."""
    seen: dict[str, int] = {}
    apart: list[ToolCall] = []
    for place, call in enumerate(calls):
        id_ = call.id or f"call_{row_id}_{place}"
        seen[id_] = seen.get(id_, 0) + 1
        if seen[id_] > 1:
            id_ = f"{id_}{_SAME_ID}{seen[id_]}"
        apart.append(call if id_ == call.id else call.model_copy(update={"id": id_}))
    return apart


def is_named(call_id: str, by: str) -> bool:
    """Whether a row means this call by an id; of several that have it, the first is meant."""
    return call_id == by or call_id.rpartition(_SAME_ID)[0] == by


def _call(given: dict[str, Any]) -> ToolCall | None:
    function = given.get("function")
    source = function if isinstance(function, dict) else given
    name, arguments = text_of(source.get("name")), source.get("arguments")
    if name is None:
        return None
    written = as_text(arguments) if isinstance(arguments, str) else json.dumps(arguments or {})
    gate = "approval" if given.get("requires_approval") is True else None
    return ToolCall(
        given=_given_id(given.get("o_given")),
        id=as_text(given.get("id") or given.get("tool_call_id")),
        name=name,
        arguments=written,
        gate=gate,
    )


def _given_id(given: Any) -> GivenId | None:
    """The id that the model gave the call, where O made the file."""
    told = object_of(given)
    id_, model = told.get("id"), told.get("model")
    is_whole = isinstance(id_, str) and isinstance(model, str)
    return GivenId(id=id_, model=model) if is_whole else None


def _as_thought(part: Part) -> Part:
    if not isinstance(part, TextPart):
        return part
    return ReasoningPart(reasoning=part.text, source="non_reasoner_model")


def _without_heartbeat(call: ToolCall) -> ToolCall:
    """The call as our legacy loop stores it, where it says whether it goes on after it."""
    told = json_of(call.arguments)
    if not isinstance(told, dict) or "request_heartbeat" not in told:
        return call
    wants = told.pop("request_heartbeat")
    arguments = json.dumps(told, ensure_ascii=False)
    heartbeat = str(wants).lower() == "true"
    return call.model_copy(update={"arguments": arguments, "request_heartbeat": heartbeat})


def decisions_of(row: Mapping[str, Any], notes: Notes, where: str) -> list[Decision]:
    """What was said to an approval request: of each call, or in the older form to all of them.

    An id of a message in the place of a call's stands for every call of its request.
    """
    given = objects_of(row.get("approvals"))
    found = [one for raw in given if (one := _decision(raw, notes, where)) is not None]
    if found or flag_of(row.get("approve")) is None:
        return found
    reason = text_of(row.get("denial_reason"))
    request = as_text(row.get("approval_request_id"))
    return [Decision(tool_call_id=request, approve=bool(row["approve"]), reason=reason)]


def _decision(given: dict[str, Any], notes: Notes, where: str) -> Decision | None:
    call_id = as_text(given.get("tool_call_id"))
    if given.get("type") != "tool" and "approve" in given:
        reason = text_of(given.get("reason"))
        return Decision(tool_call_id=call_id, approve=given["approve"] is True, reason=reason)
    said = given.get("tool_return", given.get("func_response"))
    if said is None and "status" not in given:
        return None
    content, status = unpacked(flat_text(said, notes, where))
    returned = ClientReturn(
        status="error" if "error" in (given.get("status"), status) else "success",
        content=content,
        stdout=lines_of(given.get("stdout")),
        stderr=lines_of(given.get("stderr")),
    )
    return Decision(tool_call_id=call_id, approve=True, returned=returned)


def extras_of(row: Mapping[str, Any], parts: list[Part], home: Home) -> Extras | None:
    """Which model a reply is of, where it is not the agent's, or has signed its reasoning.

    Signatures go back to the model that gave them, and to no other. Files that O made say all that
    the provider added (`o_extras`).
    """
    if (kept := _kept_extras(row.get("o_extras"))) is not None:
        return kept
    provider, _, own = home.model.partition("/")
    model = text_of(row.get("model"))
    if model is None or not provider:
        return None
    signed = any(getattr(p, "signature", None) or p.type == "redacted_reasoning" for p in parts)
    if model == own and not signed:
        return None
    return Extras(model=model if model.startswith(f"{provider}/") else f"{provider}/{model}")


def _kept_extras(given: Any) -> Extras | None:
    if not isinstance(given, dict):
        return None
    try:
        return Extras.model_validate(storable_json(given))
    except ValidationError:
        return None


def created_at(row: Mapping[str, Any], before: datetime, notes: Notes, where: str) -> datetime:
    """When a message was made."""
    found = time_of(row.get("created_at"))
    if found is None:
        notes.tell(UNDATED, where)
    return found or before


def plain_values(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a message keeps as V1 has it."""
    return {name: text_of(row.get(name)) for name in ("name", "otid", "sender_id")}
