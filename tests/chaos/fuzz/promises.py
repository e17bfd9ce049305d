"""What must be true whatever was done: of every answer, and of what is stored."""

import json
from collections import Counter, defaultdict
from typing import Any

from tests.chaos.fuzz.answers import is_blind
from tests.chaos.fuzz.posts import Answer
from tests.chaos.fuzz.world import FREE, GUARDED, Sent, Thread, World

_ENDS = ("end_turn", "requires_approval", "cancelled")


def broken(world: World) -> list[str]:
    """Everything that is not as it must be, once the agent is finished."""
    world.observe()
    return [
        *_of_answers(world),
        *_of_shown_calls(world),
        *_of_runs(world),
        *_of_notes(world),
        *_of_returns(world),
        *_of_approvals(world),
        *(problem for thread in world.threads for problem in _of_history(world, thread)),
    ]


def unapproved(world: World) -> list[str]:
    """What was done that nobody approved, or done twice, or stored twice; at any moment."""
    lines, _ = _notes(world)
    guarded = {token for token, tool in world.tools.items() if tool == GUARDED}
    asked = Counter(token for token, _ in world.tools_of.values())
    found = [
        f"{line} is there {n} times"
        for line, n in lines.items()
        if n > max(asked[line], 1) and not world.is_asked_again(line)
    ]
    found += [f"{token} was not approved" for token in guarded & lines.keys() - world.approved]
    found += [f"two calls have the id {call_id}" for call_id in world.repeated]
    pending = world.product.query(
        "SELECT count(*) FROM approvals WHERE agent_id = %s AND status = 'pending' "
        "GROUP BY conversation_id",
        world.agent.id,
    )
    return found + [f"{count} requests wait at once" for (count,) in pending if count > 1]


def _of_answers(world: World) -> list[str]:
    found = []
    for sent in world.sent:
        answer = sent.post.result(30)
        if (problem := problem_of(world, sent, answer)) is not None:
            found.append(f"{problem}: {sent.post.request} got {answer}")
    return found


def _of_shown_calls(world: World) -> list[str]:
    """What a client was shown of a call, in pieces or at once, is what the call is about."""
    return [
        f"{call_id} was shown as {written}, and is about {world.tools_of[call_id][0]}"
        for sent in world.sent
        for call_id, written in _calls_in(sent.post.result(30).body).items()
        if call_id in world.tools_of and not _is_about(written, world.tools_of[call_id][0])
    ]


def _calls_in(body: Any) -> dict[str, str]:
    """Arguments by call id, as a client joins them."""
    shown: defaultdict[str, str] = defaultdict(str)
    for message in body.get("messages", []) if isinstance(body, dict) else body or []:
        calls = message.get("tool_calls") or [] if isinstance(message, dict) else []
        for one in calls if isinstance(calls, list) else [calls]:
            shown[one["tool_call_id"]] += one.get("arguments") or ""
    return shown


def _is_about(written: str, token: str) -> bool:
    try:
        return token in json.loads(written).values()
    except ValueError:
        return False


def problem_of(world: World, sent: Sent, answer: Answer) -> str | None:
    """What is wrong with an answer to a request, None for nothing."""
    if answer.status != 200 or is_blind(sent.post.request.body["messages"][0]):
        return _problem_of_refusal(world, sent, answer)
    if answer.error is not None:
        return None if "waiting for approval" in answer.error else "failed"
    if answer.stop_reason is None:
        return None if sent.post.request.how in ("async", "leave") else "no end"
    if answer.stop_reason not in _ENDS:
        return "a strange end"
    is_due = answer.stop_reason == "end_turn" and sent.text and not sent.text.startswith("do:")
    if is_due and f"You said: {sent.text}" not in answer.texts and not world.was_reset:
        return "not answered"
    return None


def _problem_of_refusal(world: World, sent: Sent, answer: Answer) -> str | None:
    detail = answer.body.get("detail") if isinstance(answer.body, dict) else None
    match answer.status:
        case 422 if is_blind(sent.post.request.body["messages"][0]):
            return None
        case 400 if sent.kind == "answer":
            return None
        case 404 if world.lost_runs or sent.thread in world.gone:
            return None
        case 409 if "run_id" in answer.body or sent.kind == "answer":
            return None
        case 409 if isinstance(detail, dict) and detail.get("code") == "PENDING_APPROVAL":
            return None
    return "refused"


def _of_runs(world: World) -> list[str]:
    agent_id = world.agent.id
    ends = world.product.query(
        "SELECT r.id, r.status, r.stop_reason, r.error::text, r.approval_id, "
        "(SELECT count(*) FROM run_events e WHERE e.run_id = r.id AND e.kind = 'closed') "
        "FROM runs r JOIN conversations c ON c.id = r.conversation_id "
        "WHERE r.agent_id = %s AND c.deleted_at IS NULL",
        agent_id,
    )
    found = [f"run {one}" for *one, closed in ends if one[1] not in ("completed", "cancelled")]
    found += [f"run {one} closed {closed} times" for *one, closed in ends if closed != 1]
    said = world.product.query(
        "SELECT parts -> 0 ->> 'text' FROM messages WHERE agent_id = %s AND role = 'user'",
        agent_id,
    )
    if not world.lost_runs:
        found += [f"said {n} times: {t}" for (t,), n in Counter(said).items() if n > 1]
    return found


def _notes(world: World) -> tuple[Counter[str], int]:
    """The lines of the block that tools write to, and its version."""
    ((value, version),) = world.product.query(
        "SELECT value, version FROM blocks b JOIN agent_blocks a ON a.block_id = b.id "
        "WHERE a.agent_id = %s",
        world.agent.id,
    )
    return Counter(line for line in value.splitlines() if line), version


def _of_notes(world: World) -> list[str]:
    lines, version = _notes(world)
    if version != 1 + lines.total():
        return [f"{lines.total()} notes, and version {version}"]
    return []


def _of_returns(world: World) -> list[str]:
    """What was told of a call is what was done."""
    lines, _ = _notes(world)
    told = world.product.query(
        "SELECT e.body #>> '{tool_return,tool_call_id}', e.body #>> '{tool_return,status}' "
        "FROM run_events e JOIN runs r ON r.id = e.run_id "
        "WHERE r.agent_id = %s AND e.kind = 'message' AND e.body ->> 'role' = 'tool'",
        world.agent.id,
    )
    by_clients = {
        one["tool_call_id"]
        for (decisions,) in world.product.query(
            "SELECT decisions FROM approvals WHERE agent_id = %s", world.agent.id
        )
        for one in decisions
        if one["returned"]
    }
    found = [f"{call_id} returned {n} times" for (call_id, _), n in Counter(told).items() if n > 1]
    for call_id, status in told:
        token, tool = world.tools_of.get(call_id, ("", ""))
        if call_id in by_clients or world.is_asked_again(token):
            continue
        if tool in (GUARDED, FREE) and (status == "success") != (token in lines):
            found.append(f"{call_id} of {token} returned {status}: {lines[token]} notes")
    return found


def _of_approvals(world: World) -> list[str]:
    """Nothing denied, cancelled, expired or unanswered was done; what was approved was.

    A message whose run was deleted may be sent again, and ask for the same once more.
    """
    lines, _ = _notes(world)
    most: Counter[str] = Counter()
    least: Counter[str] = Counter()
    for status, calls, decisions, end in world.product.query(
        "SELECT a.status, a.calls, a.decisions, r.stop_reason FROM approvals a "
        "LEFT JOIN runs r ON r.id = a.answer_run_id WHERE a.agent_id = %s",
        world.agent.id,
    ):
        by_call = {one["tool_call_id"]: one for one in decisions}
        for call_id in calls:
            token, tool = world.tools_of.get(call_id, ("", ""))
            if tool != GUARDED:
                continue
            may_be = status in ("decided", "expired") and _lets_it_run(by_call.get(call_id))
            must_be = may_be and end in ("end_turn", "requires_approval") and not world.lost_tool
            most[token] += may_be
            least[token] += must_be
    return [
        f"{token} is there {lines[token]} times, not {least[token]} to {most[token]}"
        for token in most
        if not least[token] <= lines[token] <= most[token]
    ]


def _lets_it_run(decision: dict[str, Any] | None) -> bool:
    return decision is not None and decision["approve"] and decision["returned"] is None


def _of_history(world: World, thread: Thread) -> list[str]:
    """Every call has its return, and nothing stands between them but the answer."""
    rows = world.product.query(
        "SELECT role, tool_calls, tool_return ->> 'tool_call_id', position FROM messages "
        "WHERE conversation_id = %s ORDER BY position",
        thread.id,
    )
    found = []
    waiting: defaultdict[str, int] = defaultdict(int)
    for role, calls, returned, position in rows:
        match role:
            case "tool" if waiting[returned]:
                waiting[returned] -= 1
            case "tool":
                found.append(f"a return without a call at {position} of {thread.id}")
            case "approval":
                continue
            case _:
                if any(waiting.values()):
                    found.append(f"a call without a return before {position} of {thread.id}")
                waiting = defaultdict(int, Counter(one["id"] for one in calls))
    if any(waiting.values()):
        found.append(f"a call without a return at the end of {thread.id}")
    if len({position for *_, position in rows}) != len(rows):
        found.append(f"two messages share a place in {thread.id}")
    return found
