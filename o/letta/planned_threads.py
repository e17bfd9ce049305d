"""Histories of an agent file, each in a conversation of its own here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from o.domain.agents import Agent, Conversation
from o.domain.blocks import Block
from o.ids import new_id
from o.letta.drafts import Home
from o.letta.file_models import FileMessage
from o.letta.kept import kept_of_messages
from o.letta.messages import History, map_messages
from o.letta.notes import Notes
from o.letta.plans import PlannedThread, Setting
from o.letta.window import ImportedWindow, window_of
from o.memory.prompt import compile_prompt

LOST_IN_CONTEXT = "The context names a message that the file does not have"


@dataclass(frozen=True)
class ThreadSource:
    """What the file says of a history.

    Attributes:
        in_context: The ids of what stands in the context, in its order; None for all.
        agent_type: V1's, also one that is not served here.
        ids: The file's ids of agents to ours, by which senders are known.
    """

    messages: Sequence[FileMessage]
    in_context: Sequence[str] | None
    agent_type: str | None
    ids: Mapping[str, str]
    where: str


def plan_thread(
    source: ThreadSource,
    agent: Agent,
    blocks: Sequence[Block],
    setting: Setting,
    notes: Notes,
    *,
    is_default: bool = True,
    **given: Any,
) -> PlannedThread:
    """A conversation with the history that the file tells.

    The system message stays as it came until the next turn, which compiles it.

    Args:
        source: What the file says.
        agent: Ours.
        blocks: As the conversation sees them, in the order of the prompt.
        setting: Of the import.
        notes: Takes what is mended.
        is_default: Whether it is the agent's own thread.
        given: More columns of the conversation.
    """
    conversation = Conversation(
        id=new_id("conv"),
        agent_id=agent.id,
        is_default=is_default,
        **setting.stamps,
        **given,
    )
    rows, in_context = _rows(source, notes)
    if not rows or rows[0]["role"] != "system":
        prompt = compile_prompt(
            agent, conversation, blocks, recall_count=len(rows), now=setting.now
        )
        rows = [_system_row(prompt, setting.now), *rows]
    history = map_messages(
        rows,
        _home(source, conversation, agent),
        notes,
        keep_ids=False,
        waiting=_waiting(rows, in_context),
        where=f"{source.where}.messages",
    )
    shown = {history.ids[id_] for id_ in in_context if id_ in history.ids}
    window = window_of(history.messages, shown, notes, source.where)
    return PlannedThread(
        _with_window(conversation, history, window),
        history.messages,
        aside=window.aside,
        pending=history.pending,
        made=_made(history),
        copies={one.id: one.o_copy_of for one in source.messages if one.id and one.o_copy_of},
        kept=kept_of_messages(source.messages, history.ids, notes, source.where),
    )


def _home(source: ThreadSource, conversation: Conversation, agent: Agent) -> Home:
    return Home(
        organization_id=agent.organization_id,
        agent_id=agent.id,
        conversation_id=conversation.id,
        model=agent.model,
        agent_type=source.agent_type,
        tool_names=agent.tool_names,
    )


def _with_window(
    conversation: Conversation, history: History, window: ImportedWindow
) -> Conversation:
    """The conversation behind its history; an agent's own thread was spoken in where it has one."""
    last = history.messages[-1]
    values: dict[str, Any] = {
        "next_position": len(history.messages),
        "window_start": window.window_start,
        "summary_id": window.summary_id,
    }
    if conversation.is_default and last.position:
        values["last_message_at"] = last.created_at
    return conversation.model_copy(update=values)


def share_copies(threads: Sequence[PlannedThread]) -> list[PlannedThread]:
    """The threads of an agent, whose messages know which one they are copies of (forks)."""
    made = {id_: ids for thread in threads for id_, ids in thread.made.items()}
    return [_with_copies(thread, made) if thread.copies else thread for thread in threads]


def _with_copies(thread: PlannedThread, made: Mapping[str, list[str]]) -> PlannedThread:
    shared: dict[str, str] = {}
    for id_, original in thread.copies.items():
        shared |= dict(zip(thread.made.get(id_, ()), made.get(original, ()), strict=False))
    messages = [
        one.model_copy(update={"copy_of": shared[one.id]})
        if one.position and shared.get(one.id, one.id) != one.id
        else one
        for one in thread.messages
    ]
    return replace(thread, messages=messages)


def _made(history: History) -> dict[str, list[str]]:
    made: dict[str, list[str]] = {}
    for source, one in zip(history.sources, history.messages, strict=True):
        made.setdefault(source, []).append(one.id)
    return made


def _rows(source: ThreadSource, notes: Notes) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows with the system message of the context first, and the ids of the context."""
    rows = [_row(one, source.ids) for one in source.messages]
    there = {row["id"]: row for row in rows if row["id"]}
    named = list(there) if source.in_context is None else source.in_context
    in_context = [id_ for id_ in named if id_ in there]
    if len(in_context) < len(named):
        notes.tell(LOST_IN_CONTEXT, source.where)
    head = there[in_context[0]] if in_context else None
    if head is not None and head["role"] == "system" and head is not rows[0]:
        rows = [head, *(row for row in rows if row is not head)]
    return rows, in_context


def _row(one: FileMessage, ids: Mapping[str, str]) -> dict[str, Any]:
    row = one.row
    sender = row["sender_id"]
    return row | {"sender_id": ids[sender]} if sender in ids else row


def _system_row(prompt: str, now: datetime) -> dict[str, Any]:
    return {"role": "system", "content": prompt, "created_at": now}


def _waiting(rows: Sequence[Mapping[str, Any]], in_context: Sequence[str]) -> str | None:
    """The id of the request that waits: the last of the context, if it is one."""
    last_id = in_context[-1] if in_context else None
    last = next((row for row in reversed(rows) if last_id and row.get("id") == last_id), None)
    is_request = last is not None and last["role"] == "approval" and bool(last["tool_calls"])
    return last_id if is_request else None
