"""Answers to approval requests, in every form that clients use and in some that are wrong."""

from collections.abc import Sequence
from typing import Any

from tests.chaos.fuzz.world import CLIENTS, GUARDED, Thread, Waiting, World

FORMS = (
    *("each", "each", "one", "request", "old", "blind", "returns"),
    *("wrong", "elsewhere", "earlier", "doubled"),
)


def message_of(
    world: World, thread: Thread, form: str, verdicts: Sequence[str]
) -> dict[str, Any] | None:
    """An answer to what the conversation waits for, None where the form needs what is not there.

    What it approves is noted before it is sent.
    """
    waiting = world.waiting(thread)
    other = next(one for one in world.threads if one is not thread)
    strays = {"earlier": thread.asked[:1], "elsewhere": other.asked[-1:]}
    if form in strays:
        pairs = [(call_id, "approve") for call_id in strays[form]]
    elif waiting is None or not waiting.calls:
        return None
    elif form in ("old", "blind"):
        message: dict[str, Any] = {"type": "approval", "approve": verdicts[0] == "approve"}
        if form == "old":
            message["approval_request_id"] = waiting.id
        note(world, message)
        return message
    elif form == "returns":
        returns = [_returned(call_id) for call_id in waiting.calls]
        return {"type": "tool_return", "tool_returns": returns}
    else:
        pairs = _pairs(waiting, form, verdicts)
    return _approvals(world, pairs)


def _pairs(waiting: Waiting, form: str, verdicts: Sequence[str]) -> list[tuple[str, str]]:
    """Ids and what is said to them."""
    pairs = list(zip(waiting.calls, [*verdicts] * len(waiting.calls), strict=False))
    match form:
        case "one":
            return pairs[:1]
        case "wrong":
            return [*pairs, ("call_of_nobody", "approve")]
        case "doubled":
            return [*pairs, *pairs]
        case "request":
            return [(waiting.id, verdicts[0])]
    return pairs


def turned(message: dict[str, Any]) -> dict[str, Any]:
    """The opposite of an answer."""
    other = {name: value for name, value in message.items() if name != "otid"}
    if "approve" in other:
        other["approve"] = not other["approve"]
    if "approvals" in other:
        other["approvals"] = [
            {
                "type": "approval",
                "tool_call_id": one["tool_call_id"],
                "approve": not one.get("approve", True),
            }
            for one in other["approvals"]
        ]
    if "tool_returns" in other:
        other["tool_returns"] = [
            one | {"tool_return": "something else"} for one in other["tool_returns"]
        ]
    return other


def is_blind(message: dict[str, Any]) -> bool:
    """Whether an answer names nothing that it is about; it is refused."""
    return "approve" in message and "approval_request_id" not in message


def note(world: World, message: dict[str, Any]) -> None:
    """Note what an answer lets run: the calls that it names, or those of the request."""
    world.observe()
    given = message.get("approvals") or [message]
    for one in given:
        if not one.get("approve"):
            continue
        named = one.get("tool_call_id") or one.get("approval_request_id") or ""
        for call_id in world.calls_of.get(named, [named]):
            token, tool = world.tools_of.get(call_id, ("", ""))
            if tool == GUARDED:
                world.approved.add(token)


def _approvals(world: World, pairs: Sequence[tuple[str, str]]) -> dict[str, Any] | None:
    if not pairs:
        return None
    given: list[dict[str, Any]] = []
    for call_id, verdict in pairs:
        if verdict == "return" and world.tools_of.get(call_id, ("", ""))[1] == CLIENTS:
            given.append(_returned(call_id))
            continue
        approve = verdict == "approve"
        given.append({"type": "approval", "tool_call_id": call_id, "approve": approve})
    message = {"type": "approval", "approvals": given}
    note(world, message)
    return message


def _returned(call_id: str) -> dict[str, Any]:
    return {"type": "tool", "tool_call_id": call_id, "tool_return": "seen", "status": "success"}
