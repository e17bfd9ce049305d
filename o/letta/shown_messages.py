"""Histories in V1's spelling, as agent files have them: the way back from `o.letta.messages`."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from o.domain.agents import Agent
from o.domain.messages import Decision, Message, Role, ToolCall, ToolReturn
from o.letta.parts import content_of
from o.memory.context import packed_return
from o.memory.prompt import local_time


@dataclass
class LocalIds:
    """The ids of a file, `agent-0`, `block-0` and so on, by ours."""

    _ids: dict[str, str] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def of(self, kind: str, id_: str) -> str:
        """The file's id of a row; it gets the next one of its kind the first time."""
        if id_ not in self._ids:
            self._ids[id_] = self.new(kind)
        return self._ids[id_]

    def new(self, kind: str) -> str:
        """An id that nothing has yet."""
        number = self._counts.get(kind, 0)
        self._counts[kind] = number + 1
        return f"{kind}-{number}"

    def known(self, id_: str | None) -> str | None:
        """The file's id of a row that has one; else the row's own."""
        return None if id_ is None else self._ids.get(id_, id_)

    def has(self, id_: str) -> bool:
        """Whether a row has an id in the file."""
        return id_ in self._ids


class HistoryRows:
    """Makes the rows of a conversation's messages, which come in order and some at a time.

    Attributes:
        in_context: The rows' ids of what stands in the context window.
    """

    def __init__(self, agent: Agent, ids: LocalIds, kept: Mapping[str, Any]) -> None:
        """Nothing has come yet.

        Args:
            agent: Whose messages they are.
            ids: Of the file; messages get theirs here.
            kept: By message, fields that are not known here and come with it again.
        """
        self.in_context: list[str] = []
        self._agent = agent
        self._ids = ids
        self._kept = kept
        self._returns: dict[str, Any] | None = None  # the row that takes more of them

    def of(self, some: Iterable[tuple[Message, bool]]) -> Iterator[dict[str, Any]]:
        """The rows that are whole with these messages. With each comes if the window has it."""
        for one, is_in_window in some:
            returned = one.tool_return if one.role is Role.TOOL else None
            if self._returns is not None and returned is not None:
                self._ids.of("message", one.id)
                self._returns["tool_returns"].append(
                    _later(returned, one, self._agent, self._returns)
                )
                continue
            yield from self.rest()
            rows = _rows(one, self._agent, self._ids)
            rows[-1].update(self._kept.get(one.id) or {})
            if is_in_window:
                self.in_context += [row["id"] for row in rows]
            if returned is not None:
                (self._returns,) = rows
            else:
                yield from rows

    def rest(self) -> Iterator[dict[str, Any]]:
        """The row that could have taken more."""
        if self._returns is not None:
            yield self._returns
        self._returns = None


def _rows(one: Message, agent: Agent, ids: LocalIds) -> list[dict[str, Any]]:
    """V1's rows for a message: a request with calls that wait for nothing is two."""
    match one.role:
        case Role.TOOL:
            return [_tool_row(one, agent, ids)]
        case Role.APPROVAL:
            return [_answer_row(one, agent, ids)]
        case Role.ASSISTANT:
            return _reply_rows(one, agent, ids)
    return [_row(one, one.role.value, ids) | {"content": content_of(one.parts)}]


def _reply_rows(one: Message, agent: Agent, ids: LocalIds) -> list[dict[str, Any]]:
    gated = one.gated_calls
    others = [call for call in one.tool_calls if call.gate is None]
    said: dict[str, Any] = {"content": content_of(one.parts), "model": _model(one, agent)}
    if one.extras is not None:
        said["o_extras"] = one.extras.model_dump(mode="json")
    if not gated:
        calls = [_call(call) for call in others] or None
        return [_row(one, "assistant", ids) | said | {"tool_calls": calls}]
    rows: list[dict[str, Any]] = []
    if others:
        first = _row(one, "assistant", ids, id_=ids.new("message"))
        rows.append(first | said | {"tool_calls": [_call(call) for call in others]})
        said = {"model": said["model"]}
    request = _row(one, "approval", ids) | said | {"tool_calls": [_call(call) for call in gated]}
    request["tool_call_id"] = gated[0].id
    return [*rows, request]


def _call(call: ToolCall) -> dict[str, Any]:
    arguments = call.arguments
    if call.request_heartbeat is not None:
        told = {**json.loads(arguments), "request_heartbeat": call.request_heartbeat}
        arguments = json.dumps(told, ensure_ascii=False)
    shown: dict[str, Any] = {
        "id": call.id,
        "function": {"arguments": arguments, "name": call.name},
        "type": "function",
    }
    if call.given is not None:
        shown["o_given"] = call.given.model_dump(mode="json")
    return shown


def _tool_row(one: Message, agent: Agent, ids: LocalIds) -> dict[str, Any]:
    row = _row(one, "tool", ids)
    returned = one.tool_return
    if returned is None:
        return row | {"content": content_of(one.parts)}
    shown = _return(returned, one, agent)
    return row | {
        "name": returned.name,
        "content": [{"type": "text", "text": shown["func_response"], "signature": None}],
        "tool_call_id": returned.tool_call_id,
        "tool_returns": [shown],
    }


def _return(returned: ToolReturn, one: Message, agent: Agent) -> dict[str, Any]:
    time = local_time(one.created_at, agent.timezone)
    return {
        "tool_call_id": returned.tool_call_id,
        "status": returned.status,
        "stdout": returned.stdout,
        "stderr": returned.stderr,
        "func_response": packed_return(returned, time),
    }


def _later(returned: ToolReturn, one: Message, agent: Agent, row: dict[str, Any]) -> dict[str, Any]:
    """One more return of a row, with its own time where that is not the row's."""
    shown, own_time = _return(returned, one, agent), one.created_at.isoformat()
    return shown if own_time == row["created_at"] else shown | {"o_created_at": own_time}


def _answer_row(one: Message, agent: Agent, ids: LocalIds) -> dict[str, Any]:
    row = _row(one, "approval", ids)
    said = one.approval
    if said is None:
        return row
    return row | {
        "approvals": [_decision(decision) for decision in said.decisions],
        "approve": said.decisions[0].approve if said.decisions else None,
        "approval_request_id": ids.known(said.approval_request_id),
    }


def _decision(decision: Decision) -> dict[str, Any]:
    if decision.returned is None:
        return {
            "type": "approval",
            "tool_call_id": decision.tool_call_id,
            "approve": decision.approve,
            "reason": decision.reason,
        }
    told = decision.returned
    return {
        "type": "tool",
        "tool_call_id": decision.tool_call_id,
        "status": told.status,
        "stdout": told.stdout,
        "stderr": told.stderr,
        "func_response": told.content,
    }


def _row(one: Message, role: str, ids: LocalIds, *, id_: str | None = None) -> dict[str, Any]:
    """What every row has, in the order of V1's files."""
    row: dict[str, Any] = {
        "type": "message",
        "role": role,
        "content": [],
        "name": one.name,
        "otid": one.otid,
        "sender_id": ids.known(one.sender_id),
        "batch_item_id": None,
        "group_id": None,
        "id": id_ or ids.of("message", one.id),
        "model": None,
        "agent_id": ids.known(one.agent_id),
        "tool_calls": None,
        "tool_call_id": None,
        "tool_returns": [],
        "created_at": one.created_at.isoformat(),
        "approve": None,
        "approval_request_id": None,
        "denial_reason": None,
        "approvals": [],
    }
    if one.copy_of is not None and ids.has(one.copy_of):
        row["o_copy_of"] = ids.known(one.copy_of)
    return row


def _model(one: Message, agent: Agent) -> str:
    handle = one.extras.model if one.extras is not None else agent.model
    return handle.partition("/")[2] or handle
