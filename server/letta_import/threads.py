"""Which messages a thread of V1 has, in which order, and which of them stood in its context."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from o.domain.messages import Role
from o.ids import derived_id, is_id
from o.letta.drafts import role_of
from o.letta.notes import Notes
from server.letta_import.source import Row, Source

_LEAST = {"user": 300, "system": 300, "summary": 300, "assistant": 1500}
"""How long a piece has to be to be cut off before a message of a role. Before what is spoken no
call is open, nor is one before a reply, unless two turns were stored at one time."""

# Where a message is at home: in the conversation that it was written in, or, where that is
# deleted, in the first one that still has it. In the others it is a copy.
_HOME = """
    CASE WHEN m.conversation_id IS NULL THEN ''
        WHEN EXISTS (SELECT FROM conversations AS c WHERE c.id = m.conversation_id
                     AND c.agent_id = m.agent_id AND NOT c.is_deleted) THEN m.conversation_id
        ELSE coalesce((
            SELECT c.id FROM conversation_messages AS l JOIN conversations AS c
                ON c.id = l.conversation_id AND c.agent_id = m.agent_id
            WHERE l.message_id = m.id AND NOT l.is_deleted AND NOT c.is_deleted
            ORDER BY c.created_at, c.id LIMIT 1), '') END
"""
_OF_AGENT = f"""
    SELECT m.id, m.role, {_HOME} = '' AS is_home FROM messages AS m
    WHERE m.agent_id = %(agent_id)s AND NOT m.is_deleted
        AND (m.conversation_id IS NULL OR m.id = ANY(%(listed)s))
    ORDER BY m.sequence_id
"""
_OF_CONVERSATION = f"""
    SELECT m.id, m.role, {_HOME} = %(conversation_id)s AS is_home FROM messages AS m
    WHERE m.agent_id = %(agent_id)s AND NOT m.is_deleted AND m.id IN (
        SELECT id FROM messages WHERE conversation_id = %(conversation_id)s
        UNION SELECT message_id FROM conversation_messages
        WHERE conversation_id = %(conversation_id)s AND NOT is_deleted)
    ORDER BY m.sequence_id
"""
_ROWS = """
    SELECT m.* FROM unnest(%(ids)s::text[]) WITH ORDINALITY AS wanted (id, place)
    JOIN messages AS m ON m.id = wanted.id ORDER BY wanted.place
"""


@dataclass(frozen=True)
class Thread:
    """A thread of V1: an agent's own one, or a conversation.

    Attributes:
        id: The id that it has here.
        conversation_id: V1's; None for an agent's own thread, which has no row there.
        listed: The ids of what stood in its context, in the order of the prompt.
        row: What V1 says of the conversation; of the agent's own thread, the agent's times.
    """

    id: str
    organization_id: str
    agent_id: str
    conversation_id: str | None
    listed: list[str]
    row: Row = field(repr=False)


@dataclass(frozen=True)
class Order:
    """The messages of a thread as they are to stand here.

    Attributes:
        system: The id of its head, None where V1 has none.
        others: The ids of the rest. It is V1's order of storing; what stood in context has changed
            places with one another where the prompt had another order.
        in_context: The ids of what stood in context and is there.
        summary: The one among them that told of what was before, None for none.
        waiting: The request for approval that waits.
        copies: Those that are at home in another conversation.
        cuts: By place in `others`, how long the piece before it has to be to end there.
    """

    system: str | None
    others: list[str]
    in_context: frozenset[str]
    summary: str | None
    waiting: str | None
    copies: frozenset[str]
    cuts: dict[int, int]


def own_thread_id(agent_id: str) -> str:
    """The id here of an agent's own thread, which has none in V1."""
    return derived_id("conv", agent_id, "default")


def order_of(source: Source, thread: Thread) -> Order:
    """Read the order of a thread's messages; their contents are not read."""
    roles: dict[str, str] = {}
    copies: set[str] = set()
    for row in source.rows(
        _OF_AGENT if thread.conversation_id is None else _OF_CONVERSATION,
        {
            "agent_id": thread.agent_id,
            "conversation_id": thread.conversation_id,
            "listed": thread.listed,
        },
        size=5000,
    ):
        roles[row["id"]] = row["role"]
        if not row["is_home"]:
            copies.add(row["id"])
    listed = [id_ for id_ in dict.fromkeys(thread.listed) if id_ in roles]
    system = listed[0] if listed and roles[listed[0]] == "system" else None
    rest = listed if system is None else listed[1:]
    ends = [row for id_ in {*rest[:1], *rest[-1:]} for row in read_rows(source, [id_])]
    summary = next((row["id"] for row in ends if row["id"] == rest[0] and _tells(row)), None)
    waiting = next((row["id"] for row in ends if row["id"] == rest[-1] and _asks(row)), None)
    stored = [id_ for id_ in roles if id_ != system]
    others = _placed(stored, [id_ for id_ in rest if id_ != summary])
    return Order(
        system,
        others,
        frozenset(listed),
        summary,
        waiting,
        frozenset(copies),
        _cuts(others, roles, waiting),
    )


def pieces(source: Source, order: Order) -> Iterator[list[Row]]:
    """The rows of a thread without its head, in pieces in which calls and returns are together."""
    start, last = 0, len(order.others)
    for end in range(1, last + 1):
        if end == last or end - start >= order.cuts.get(end, last):
            yield read_rows(source, order.others[start:end])
            start = end


def read_rows(source: Source, ids: Sequence[str]) -> list[Row]:
    """Messages by their ids, in that order."""
    return source.all(_ROWS, {"ids": list(ids)})


def with_good_id(row: Row) -> Row:
    """The row, with an id that clients take for one of a message."""
    if is_id(row["id"], "message"):
        return row
    return row | {"id": derived_id("message", row["id"])}


def _placed(stored: list[str], listed: list[str]) -> list[str]:
    """What is stored, in that order, but what is listed in its own order, at the same places."""
    places = frozenset(listed)
    in_order = iter(listed)
    return [next(in_order) if id_ in places else id_ for id_ in stored]


def _cuts(others: Sequence[str], roles: dict[str, str], waiting: str | None) -> dict[int, int]:
    """Nothing is cut off behind the last words before a request that waits: it comes last."""
    last = others.index(waiting) if waiting in others else len(others)
    while 0 < last < len(others) and roles[others[last - 1]] not in ("user", "system"):
        last -= 1
    return {
        n: _LEAST[roles[id_]] for n, id_ in enumerate(others[:last]) if n and roles[id_] in _LEAST
    }


def _tells(row: Row) -> bool:
    return role_of(row, Notes(), "") is Role.SUMMARY


def _asks(row: Row) -> bool:
    return row["role"] == "approval" and bool(row["tool_calls"])
