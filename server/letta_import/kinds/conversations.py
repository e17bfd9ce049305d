"""Threads with their messages: agents' own ones, and conversations. Each is here whole or not."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from o.letta.agents import model_fields
from o.letta.drafts import Home
from o.letta.notes import Notes
from server.letta_import.histories import (
    ONE_WITH_ANOTHER,
    Reading,
    as_copies,
    copy_id,
    read_history,
)
from server.letta_import.kind import Context, Item, Kind, LeftOut, Needs
from server.letta_import.kinds.owners import FLAGGED, LIVE_OWNER
from server.letta_import.kinds.table_kind import stamps
from server.letta_import.pending import ask, lock_waiting, withdraw_others
from server.letta_import.source import Row, Source
from server.letta_import.target import Target, digest
from server.letta_import.threads import Order, Thread, order_of, own_thread_id

NO_AGENT = "its agent is left out"
NO_THREAD = "its conversation was deleted"
NO_BLOCK = "its block is not here"
_READ_AT_ONCE = 2000

_ALIVE = f"NOT a.is_deleted AND {LIVE_OWNER.format('a')}"
_AGENTS = f"""
    SELECT a.id AS agent_id, a.organization_id, a.message_ids AS listed, a.system, a.agent_type,
        a.llm_config, a.created_at, a.updated_at, a._created_by_id, a._last_updated_by_id,
        (SELECT array_agg(t.name) FROM tools_agents AS l JOIN tools AS t ON t.id = l.tool_id
         WHERE l.agent_id = a.id) AS tool_names
    FROM agents AS a WHERE {_ALIVE} ORDER BY a.id
"""
_CONVERSATIONS = """
    SELECT c.*, links.*,
        (SELECT coalesce(json_agg(b.block_label ORDER BY b.block_label), '[]')
         FROM blocks_conversations AS b WHERE b.conversation_id = c.id) AS labels,
        (SELECT coalesce(json_agg(b.block_id ORDER BY b.block_label), '[]')
         FROM blocks_conversations AS b WHERE b.conversation_id = c.id) AS block_ids
    FROM conversations AS c JOIN agents AS a ON a.id = c.agent_id CROSS JOIN LATERAL (
        SELECT count(*) AS link_count, count(*) FILTER (WHERE l.is_deleted) AS flagged_links,
            coalesce(json_agg(l.message_id ORDER BY l.position, l.id)
                     FILTER (WHERE l.in_context AND NOT l.is_deleted), '[]') AS listed
        FROM conversation_messages AS l WHERE l.conversation_id = c.id
    ) AS links
    WHERE c.agent_id = %(agent_id)s AND NOT c.is_deleted ORDER BY c.created_at, c.id
"""
_DIGEST = """
    SELECT md5(%(own)s || coalesce(string_agg(md5(m::text), '' ORDER BY m.sequence_id), ''))
        AS digest FROM messages AS m
    WHERE m.agent_id = %(agent_id)s AND NOT m.is_deleted AND (
        m.conversation_id IS NOT DISTINCT FROM %(conversation_id)s OR m.id = ANY(%(listed)s))
"""
_LEFT_CONVERSATIONS = f"""
    SELECT CASE WHEN a.id IS NOT NULL AND {_ALIVE} THEN %(flagged)s ELSE %(no_agent)s END AS reason,
        count(DISTINCT c.id) AS conversations, count(l.id) AS links,
        (SELECT count(*) FROM blocks_conversations AS b
         WHERE b.conversation_id = ANY(array_agg(c.id))) AS blocks
    FROM conversations AS c LEFT JOIN agents AS a ON a.id = c.agent_id
    LEFT JOIN conversation_messages AS l ON l.conversation_id = c.id
    WHERE c.is_deleted OR a.id IS NULL OR NOT ({_ALIVE}) GROUP BY 1
"""
# What no thread has: `_HOME` in `threads` says where the others are.
_LEFT_MESSAGES = f"""
    SELECT CASE WHEN a.id IS NULL OR NOT ({_ALIVE}) THEN %(no_agent)s
        WHEN m.is_deleted THEN %(flagged)s ELSE %(no_thread)s END AS reason, count(*) AS messages
    FROM messages AS m LEFT JOIN agents AS a ON a.id = m.agent_id
    LEFT JOIN conversations AS c ON c.id = m.conversation_id AND c.agent_id = m.agent_id
        AND NOT c.is_deleted
    WHERE a.id IS NULL OR NOT ({_ALIVE}) OR m.is_deleted OR (
        m.conversation_id IS NOT NULL AND c.id IS NULL AND NOT EXISTS (
            SELECT FROM conversation_messages AS l JOIN conversations AS o
                ON o.id = l.conversation_id AND o.agent_id = m.agent_id AND NOT o.is_deleted
            WHERE l.message_id = m.id AND NOT l.is_deleted)
        AND NOT coalesce(a.message_ids::jsonb @> to_jsonb(ARRAY[m.id]), false))
    GROUP BY 1
"""
_STANDS = (
    *("next_position", "epoch", "window_start", "summary_id", "summary", "model"),
    "model_settings",
)
_BLOCKS_HERE = """(
    SELECT coalesce(jsonb_agg(jsonb_build_array(b.label, b.block_id) ORDER BY b.label), '[]')
    FROM conversation_blocks AS b WHERE b.conversation_id = t.id)
"""
_HERE = f"""
    SELECT t.id, {digest("t", _STANDS, _BLOCKS_HERE)} AS digest FROM conversations AS t
    JOIN agents AS a ON a.id = t.agent_id
    WHERE t.id = ANY(%(ids)s) AND t.deleted_at IS NULL AND a.deleted_at IS NULL
"""


@dataclass(frozen=True)
class ThreadItem(Item):
    """A thread, whose messages are read when they are written: there may be a great many."""

    thread: Thread = None  # type: ignore[assignment]
    home: Home = None  # type: ignore[assignment]


class Conversations(Kind):
    """Each in one transaction with its messages, so that nobody meets half of a history."""

    name = "conversations"
    table = "messages"
    batch = 20
    hang_on: ClassVar = {"conversation_messages": ("conversation_id", "conversations")}
    needs: ClassVar[Needs] = {
        "conversations": (
            *("id", "agent_id", "summary", "created_at", "updated_at", "is_deleted", "model"),
            *("model_settings", "organization_id", "last_message_at"),
        ),
        "conversation_messages": (
            *("id", "conversation_id", "message_id", "position", "in_context", "is_deleted"),
        ),
        "blocks_conversations": ("conversation_id", "block_id", "block_label"),
        "messages": (
            *("id", "agent_id", "role", "text", "content", "tool_calls", "tool_returns"),
            *("tool_call_id", "approvals", "approve", "approval_request_id", "denial_reason"),
            *("name", "otid", "sender_id", "step_id", "run_id", "created_at", "sequence_id"),
            *("conversation_id", "is_deleted", "organization_id"),
        ),
        "agents": ("id", "message_ids", "system", "agent_type", "llm_config", "is_deleted"),
    }

    def read(self, context: Context) -> Iterator[Item | LeftOut]:
        """Of each agent its own thread, then its conversations, oldest first: forks come later."""
        for agent in context.source.rows(_AGENTS, size=50):
            yield _own_thread(context.source, agent)
            for row in context.source.all(_CONVERSATIONS, {"agent_id": agent["agent_id"]}):
                yield _conversation(context, agent, row)
        yield from _left_out(context.source)

    def here(self, target: Target, ids: Sequence[str]) -> dict[str, str]:
        """By where history and window end: whatever is said or forgotten moves them."""
        return {row["id"]: row["digest"] for row in target.query(_HERE, {"ids": list(ids)})}

    def lock(self, target: Target, ids: Sequence[str]) -> None:
        """What waits for an answer in them, then the threads."""
        lock_waiting(target, ids)
        target.lock("conversations", ids)

    def write(self, context: Context, items: Sequence[Item]) -> None:
        """Each with its history, whole; of one that is here, what V1 has not goes."""
        for item in items:
            assert isinstance(item, ThreadItem)  # noqa: S101  nothing else is read
            _write(context, item)

    def look(self, context: Context, items: Sequence[Item]) -> None:
        """Read what would be written, for what there is to tell of it."""
        for item in items:
            assert isinstance(item, ThreadItem)  # noqa: S101
            reading = Reading()
            order = order_of(context.source, item.thread)
            for _ in read_history(context.source, item.thread, order, item.home, reading):
                pass
            _note(item, reading)

    def gone(self, source: Source, ids: Sequence[str]) -> list[str]:
        """Agents' own threads go with the agents."""
        known = source.all(
            "SELECT id FROM conversations WHERE NOT is_deleted AND id = ANY(%(ids)s)",
            {"ids": list(ids)},
        )
        left = set(ids) - {row["id"] for row in known}
        if left:
            left -= {own_thread_id(row["id"]) for row in source.rows("SELECT id FROM agents")}
        return sorted(left)

    def count_here(self, context: Context) -> Mapping[str, int]:
        """Messages are looked for by their ids, each of them: that proves that they are here."""
        count = context.target.count
        of_moved = (
            "FROM moved_rows AS moved JOIN conversations AS t ON t.id = moved.id "
            "WHERE moved.kind = 'conversations' AND NOT t.is_default"
        )
        links = context.source.all(
            "SELECT count(*) AS n FROM conversation_messages WHERE NOT is_deleted "
            "AND conversation_id = ANY(%(ids)s)",
            {"ids": [row["id"] for row in context.target.query(f"SELECT t.id {of_moved}")]},
        )
        return {
            "conversations": count(f"SELECT count(*) {of_moved}"),
            "blocks_conversations": count(
                "SELECT count(*) FROM conversation_blocks "
                f"WHERE conversation_id IN (SELECT t.id {of_moved})"
            ),
            "conversation_messages": int(links[0]["n"]),
            "messages": _count_messages(context),
        }


def _own_thread(source: Source, agent: Row) -> ThreadItem:
    thread = Thread(
        id=own_thread_id(agent["agent_id"]),
        organization_id=agent["organization_id"],
        agent_id=agent["agent_id"],
        conversation_id=None,
        listed=_texts(agent["listed"]),
        row=agent,
    )
    return _item(source, thread, agent, {}, {})


def _conversation(context: Context, agent: Row, row: Row) -> ThreadItem:
    thread = Thread(
        id=row["id"],
        organization_id=agent["organization_id"],
        agent_id=agent["agent_id"],
        conversation_id=row["id"],
        listed=_texts(row["listed"]),
        row=row | {"system": agent["system"]},
    )
    here = row["block_ids"]
    if not context.is_dry:
        here = context.target.existing("blocks", row["block_ids"])
    lost_blocks = sum(block not in here for block in row["block_ids"])
    tables = {
        "conversations": 1,
        "conversation_messages": row["link_count"],
        "blocks_conversations": len(row["block_ids"]),
    }
    left: dict[str, dict[str, int]] = {}
    if row["flagged_links"]:
        left["conversation_messages"] = {FLAGGED: row["flagged_links"]}
    if lost_blocks:
        left["blocks_conversations"] = {NO_BLOCK: lost_blocks}
    return _item(context.source, thread, agent, tables, left)


def _item(
    source: Source,
    thread: Thread,
    agent: Row,
    tables: dict[str, int],
    left: dict[str, dict[str, int]],
) -> ThreadItem:
    order = order_of(source, thread)
    own = repr([thread.listed, thread.row if thread.conversation_id else None])
    parameters = {
        "own": own,
        "agent_id": thread.agent_id,
        "conversation_id": thread.conversation_id,
        "listed": thread.listed,
    }
    (found,) = source.all(_DIGEST, parameters)
    told = {*order.others, *([order.system] if order.system else ())}
    home = Home(
        organization_id=thread.organization_id,
        agent_id=thread.agent_id,
        conversation_id=thread.id,
        model=model_fields(agent, Notes(), "")["model"],
        agent_type=agent["agent_type"],
        tool_names=agent["tool_names"] or [],
    )
    return ThreadItem(
        id=thread.id,
        organization_id=thread.organization_id,
        digest=found["digest"],
        tables=tables | {"messages": len(told - order.copies)},
        left=left,
        told=[],
        thread=thread,
        home=home,
    )


def _write(context: Context, item: ThreadItem) -> None:
    """The conversation, then its messages; the window is known when the last one is."""
    target, thread = context.target, item.thread
    target.query(  # so that every place is free
        "UPDATE messages SET position = -1 - position WHERE conversation_id = %(id)s",
        {"id": thread.id},
    )
    target.upsert("conversations", [_row(thread)], update=_CHANGED)
    _hold_blocks(target, thread)
    order, reading = order_of(context.source, thread), Reading()
    copies: dict[str, str] = {}
    for rows in read_history(context.source, thread, order, item.home, reading):
        shared = _shared(target, thread, order, rows)
        copies |= {id_: copy_id(thread, id_) for id_ in shared}
        target.upsert("messages", as_copies(rows, thread, shared))
    target.query(
        "DELETE FROM messages WHERE conversation_id = %(id)s AND position < 0", {"id": thread.id}
    )
    window = reading.window
    target.query(
        "UPDATE conversations SET next_position = %(end)s, window_start = %(start)s, "
        "summary_id = %(summary)s, prompt_key = '', epoch = epoch + 1, "
        "last_message_at = coalesce(%(last_at)s, last_message_at) WHERE id = %(id)s",
        {
            "id": thread.id,
            "end": window.end,
            "start": window.end - 1 if window.start is None else window.start,
            "summary": copies.get(window.summary_id or "", window.summary_id),
            "last_at": window.last_at if thread.conversation_id is None else None,
        },
    )
    withdraw_others(target, thread.id, window.pending, copies)
    if window.pending is not None:
        ask(context, window.pending, copies.get(window.pending.id), item.home.model)
    _note(item, reading)


_CHANGED = (
    *("summary", "model", "model_settings", "last_updated_by_id", "updated_at"),
    *("last_message_at", "deleted_at"),
)


def _row(thread: Thread) -> dict[str, Any]:
    row, is_default = thread.row, thread.conversation_id is None
    settings = row.get("model_settings")
    return {
        "id": thread.id,
        "organization_id": thread.organization_id,
        "agent_id": thread.agent_id,
        "is_default": is_default,
        "next_position": 0,
        "prompt_key": "",
        "epoch": 0,
        "window_start": 0,
        "summary": row.get("summary"),
        "model": row.get("model"),
        "model_settings": settings if isinstance(settings, dict) and settings else None,
        **stamps(row),
        "last_message_at": row.get("last_message_at"),
        "deleted_at": None,
    }


def _hold_blocks(target: Target, thread: Thread) -> None:
    """The blocks that a conversation has to itself: V1's, and no others."""
    target.query(
        "DELETE FROM conversation_blocks WHERE conversation_id = %(id)s", {"id": thread.id}
    )
    ids = thread.row.get("block_ids", [])
    here = target.existing("blocks", ids)
    held = [
        {"conversation_id": thread.id, "label": label, "block_id": block_id}
        for label, block_id in zip(thread.row.get("labels", []), ids, strict=True)
        if block_id in here
    ]
    target.upsert("conversation_blocks", held)


def _shared(
    target: Target, thread: Thread, order: Order, rows: Sequence[Mapping[str, Any]]
) -> set[str]:
    """Which of these messages are at home elsewhere, as V1 says or as they stand here."""
    ids = [row["id"] for row in rows]
    found = target.query(
        "SELECT id FROM messages WHERE id = ANY(%(ids)s) AND conversation_id <> %(thread)s",
        {"ids": ids, "thread": thread.id},
    )
    return {id_ for id_ in ids if id_ in order.copies} | {row["id"] for row in found}


def _note(item: ThreadItem, reading: Reading) -> None:
    """What was learnt when the messages were read belongs to the item as well."""
    told, left = item.told, item.left
    assert isinstance(told, list)  # noqa: S101  made so by `_item`
    assert isinstance(left, dict)  # noqa: S101
    told[:] = [f"{line}: {item.thread.agent_id}" for line in reading.notes.lines()]
    if reading.lost:
        left["messages"] = {ONE_WITH_ANOTHER: reading.lost}


def _left_out(source: Source) -> Iterator[LeftOut]:
    reasons = {"flagged": FLAGGED, "no_agent": NO_AGENT, "no_thread": NO_THREAD}
    for row in source.all(_LEFT_CONVERSATIONS, reasons):
        yield LeftOut("conversations", row["reason"], row["conversations"])
        yield LeftOut("conversation_messages", NO_THREAD, row["links"])
        yield LeftOut("blocks_conversations", NO_THREAD, row["blocks"])
    for row in source.all(_LEFT_MESSAGES, reasons):
        yield LeftOut("messages", row["reason"], row["messages"])


def _count_messages(context: Context) -> int:
    found = 0
    ids = "SELECT id FROM messages ORDER BY id"
    for rows in context.source.batches(ids, size=_READ_AT_ONCE):
        found += context.target.count(
            "SELECT count(*) FROM messages WHERE id = ANY(%(ids)s)",
            {"ids": [row["id"] for row in rows]},
        )
    return found


def _texts(given: Any) -> list[str]:
    return [one for one in given if isinstance(one, str)] if isinstance(given, list) else []
