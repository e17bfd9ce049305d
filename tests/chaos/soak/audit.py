"""What the database must say when a soak is over, and what it says."""

import re
from collections import Counter
from collections.abc import Sequence

from tests.chaos.soak.clients import Said
from tests.support.product import Product

WHOLE_TURNS = re.compile(r"s(u(ap?t)*a|uapt)*")
"""A history by a letter for each role: system, then turns that are whole.

`p` is what was said to a request for approval; a turn that was cancelled there ends with a return.
"""

_DONE = ("completed", "end_turn")
_ASKED = ("completed", "requires_approval")
_CANCELLED = ("cancelled", "cancelled")
_ANSWERS = ("approve", "deny")
_COUNTED = ("agents", "conversations", "runs", "steps", "messages", "closed events")


def rows_by_table(product: Product) -> dict[str, int]:
    """How many rows each table has."""
    tables = product.query(
        "SELECT table_name FROM information_schema.tables "
        "WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY 1"
    )
    return {name: product.query(f'SELECT count(*) FROM "{name}"')[0][0] for (name,) in tables}


def broken_promises(product: Product, said: Sequence[Said]) -> list[str]:
    """Everything that the clients were told and the database does not bear out."""
    return [
        *of_messages(product, said),
        *_of_notes(product, said),
        *_of_histories(product),
        *_of_runs(product, said),
        *_of_approvals(product, said),
        *_of_order(product, said),
        *_of_counts(product, said),
    ]


def texts_of(product: Product, role: str) -> Counter[str]:
    """Every text that stands under a role, and how often."""
    rows = product.query("SELECT parts -> 0 ->> 'text' FROM messages WHERE role = %s", role)
    return Counter(text for (text,) in rows)


def of_messages(product: Product, said: Sequence[Said]) -> list[str]:
    """What was accepted is there once, and so is its answer; what was refused, once at most."""
    inputs, replies = texts_of(product, "user"), texts_of(product, "assistant")
    broken = []
    for one in said:
        was_accepted = one.outcome in ("answered", "cut")
        found = (inputs[one.text], replies[one.reply])
        if max(found) > 1:
            broken.append(f"doubled: {one.text[:60]!r} is there {found[0]} times")
        elif found[1] != (0 if one.verdict == "cancel" else found[0]):
            broken.append(f"unanswered: {one.text[:60]!r}")
        elif was_accepted and found[0] == 0:
            broken.append(f"lost: {one.text[:60]!r}, which was {one.outcome}")
    return broken


def _of_notes(product: Product, said: Sequence[Said]) -> list[str]:
    """Every note that an agent was made to take is in its block once, and nothing else.

    So no tool ran twice, and none that was denied or cancelled ran at all.
    """
    wanted: dict[str, list[str]] = {}
    inputs = texts_of(product, "user")
    for one in said:
        if one.line is not None and one.is_noted and inputs[one.text]:
            wanted.setdefault(one.agent_id, []).append(one.line)
    rows = product.query(
        "SELECT a.agent_id, b.value, b.version FROM agent_blocks a "
        "JOIN blocks b ON b.id = a.block_id"
    )
    broken = []
    for agent_id, value, version in rows:
        taken, lines = wanted.get(agent_id, []), value.splitlines()
        if (Counter(lines), version) != (Counter(taken), 1 + len(taken)):
            broken.append(
                f"notes of {agent_id}: {len(taken)} taken, {len(lines)} there, version {version}"
            )
    return broken


def _of_histories(product: Product) -> list[str]:
    rows = product.query(
        "SELECT conversation_id, string_agg("
        "CASE role WHEN 'approval' THEN 'p' ELSE left(role, 1) END, '' ORDER BY position), "
        "count(*) - count(DISTINCT position) FROM messages GROUP BY 1"
    )
    return [
        f"history of {conversation_id}: {roles}, {same} share a place"
        for conversation_id, roles, same in rows
        if same or not WHOLE_TURNS.fullmatch(roles)
    ]


def _of_runs(product: Product, said: Sequence[Said]) -> list[str]:
    turns = _turns(product, said)
    wanted = Counter({_DONE: sum(one.verdict != "cancel" for one in turns)})
    wanted[_ASKED] = sum(one.verdict in _ANSWERS for one in turns)
    wanted[_CANCELLED] = sum(one.verdict == "cancel" for one in turns)
    ends = product.query("SELECT status, stop_reason, count(*) FROM runs GROUP BY 1, 2")
    found = Counter({(status, reason): count for status, reason, count in ends})
    broken = [
        f"{found[end]} runs {end} where the turns explain {wanted[end]}"
        for end in {*found, *wanted}
        if found[end] != wanted[end]
    ]
    twice = product.query(
        "SELECT count(*) FROM (SELECT run_id FROM run_events WHERE kind = 'closed' "
        "GROUP BY 1 HAVING count(*) > 1) AS twice"
    )
    return broken + ([f"{twice[0][0]} runs closed twice"] if twice != [(0,)] else [])


def _of_approvals(product: Product, said: Sequence[Said]) -> list[str]:
    """Every request was answered once, by whoever had to."""
    turns = _turns(product, said)
    wanted = Counter(
        "cancelled" if one.verdict == "cancel" else "decided" for one in turns if one.verdict
    )
    found = Counter(dict(product.query("SELECT status, count(*) FROM approvals GROUP BY 1")))
    return [] if found == wanted else [f"approvals: {dict(found)}, and {dict(wanted)} were given"]


def _of_order(product: Product, said: Sequence[Said]) -> list[str]:
    """What was sent one after the other stands in history in that order."""
    rows = product.query(
        "SELECT agent_id, parts -> 0 ->> 'text' FROM messages WHERE role = 'user' "
        "ORDER BY conversation_id, position"
    )
    stands: dict[str, list[str]] = {}
    for agent_id, text in rows:
        stands.setdefault(agent_id, []).append(text)
    sent: dict[str, list[str]] = {}
    for one in said:
        if one.place is not None and one.text in stands.get(one.agent_id, []):
            sent.setdefault(one.agent_id, []).append(one.text)
    return [
        f"order of {agent_id}: {texts} were sent, {stands[agent_id]} stand there"
        for agent_id, texts in sent.items()
        if stands[agent_id] != texts
    ]


def _turns(product: Product, said: Sequence[Said]) -> list[Said]:
    """What was said and stands in history."""
    inputs = texts_of(product, "user")
    return [one for one in said if inputs[one.text]]


def _of_counts(product: Product, said: Sequence[Said]) -> list[str]:
    """No table has more rows than the turns explain."""
    turns = _turns(product, said)
    tools = sum(one.line is not None for one in turns)
    verdicts = sum(one.verdict is not None for one in turns)
    answers = sum(one.verdict in _ANSWERS for one in turns)
    cancelled = verdicts - answers
    steps = len(turns) + tools - cancelled
    runs = len(turns) + answers
    (agents,) = product.query("SELECT count(*) FROM agents")[0]
    messages = agents + len(turns) + steps + tools + verdicts
    wanted = (agents, agents, runs, steps, messages, runs)
    found = product.query(
        "SELECT (SELECT count(*) FROM agents), (SELECT count(*) FROM conversations), "
        "(SELECT count(*) FROM runs), (SELECT count(*) FROM steps), "
        "(SELECT count(*) FROM messages), "
        "(SELECT count(*) FROM run_events WHERE kind = 'closed')"
    )[0]
    return [
        f"{name}: {have} rows where the turns explain {want}"
        for name, have, want in zip(_COUNTED, found, wanted, strict=True)
        if have != want
    ]
