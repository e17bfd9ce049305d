"""What a strict provider says of a prompt: made from providers' refusals, not from our repair."""

import itertools
import json
import re
from typing import Any

from o.llm.requests.capabilities import Capabilities

Prompt = list[dict[str, Any]]
_FIELDS = {
    "system": {"role", "content"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "tool_calls", "thinking_blocks", "reasoning_content"},
    "tool": {"role", "content", "tool_call_id"},
}


def problems_of(prompt: Prompt, tools: list[str], takes: Capabilities) -> list[str]:
    """Each reason for which a provider with these capabilities would refuse the prompt."""
    found = [*_order(prompt, takes), *_pairs(prompt, tools, takes)]
    shown = str(prompt).count("'image_url': {")
    if takes.most_images is not None and shown > takes.most_images:
        found.append("too many images")
    if takes.calls_in_words and any(message["role"] == "tool" for message in prompt):
        found.append("a return that is not in words")
    for place, message in enumerate(prompt):
        found += [f"{place}: {problem}" for problem in _message(message, tools, takes)]
    try:
        json.dumps(prompt, allow_nan=False, ensure_ascii=False).encode()
    except ValueError as error:
        found.append(f"no JSON: {error}")
    return found


def _order(prompt: Prompt, takes: Capabilities) -> list[str]:
    roles = [message["role"] for message in prompt]
    found = []
    if takes.system == "nowhere" and "system" in roles:
        found.append("a system message")
    if takes.system == "head" and "system" in roles[1:]:
        found.append("a system message behind the first")
    spoken = [role for role in roles if role != "system"]
    if (takes.user_first or takes.alternates) and spoken[:1] != ["user"]:
        found.append("the user does not speak first")
    if takes.alternates:
        # As templates count: calls with their returns are within the assistant's turn.
        turns = [
            m["role"]
            for m in prompt
            if m["role"] == "user" or (m["role"] == "assistant" and not m.get("tool_calls"))
        ]
        if any(role != ("user", "assistant")[n % 2] for n, role in enumerate(turns)):
            found.append(f"roles do not alternate: {roles}")
        if roles[-1:] == ["assistant"]:
            found.append("the assistant speaks last")
        if ("tool", "user") in itertools.pairwise(roles):
            found.append("a user behind a tool")
    return found


def _pairs(prompt: Prompt, tools: list[str], takes: Capabilities) -> list[str]:
    found: list[str] = []
    waiting: list[str] = []
    seen: set[str] = set()
    for message in prompt:
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                found.append("a return without a call")
            else:
                waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            found.append("a call without a return")
        waiting = [call["id"] for call in message.get("tool_calls", [])]
        if waiting and not tools and not takes.calls_without_tools:
            found.append("calls without tools")
        if takes.unique_ids and (seen & set(waiting) or len(set(waiting)) < len(waiting)):
            found.append("an id came twice")
        seen |= set(waiting)
    return found + (["a call without a return"] if waiting else [])


def _message(message: dict[str, Any], tools: list[str], takes: Capabilities) -> list[str]:
    found = []
    unknown = set(message) - (_FIELDS[message["role"]] - takes.left_out_of_messages)
    if unknown:
        found.append(f"fields {unknown}")
    if "name" in message and not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", message["name"]):
        found.append("a user's name")
    calls = message.get("tool_calls")
    for call in calls or []:
        found += _call(call, tools, takes)
    content = message.get("content")
    if calls and not content:
        return found + (
            ["null"] if content is None and not takes.null_content and takes.blank_content else []
        )
    return found + _content(content, message["role"], takes)


def _content(content: Any, role: str, takes: Capabilities) -> list[str]:
    found = []
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    if not parts:
        found.append("no parts")
    for part in parts:
        if part["type"] == "text":
            if not isinstance(part["text"], str) or not part["text"].strip():
                found.append("an empty text")
            continue
        url = part["image_url"]["url"]
        shows = takes.images if role == "user" else takes.images_in_returns
        if not shows:
            found.append("an image")
        elif not url.startswith(("data:image/", *takes.image_addresses)):
            found.append("an address of an image")
    return found


def _call(call: dict[str, Any], tools: list[str], takes: Capabilities) -> list[str]:
    found = []
    id_, function = call["id"], call["function"]
    if not id_ or len(id_) > takes.call_id_chars:
        found.append("the length of an id")
    if takes.call_ids is not None and not takes.call_ids.fullmatch(id_):
        found.append(f"the id {id_}")
    name = function["name"]
    if name not in tools and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", name):
        found.append(f"the name {name}")
    try:
        arguments = json.loads(function["arguments"], parse_constant=_refuse)
        json.dumps(arguments, ensure_ascii=False, allow_nan=False).encode()
    except ValueError as error:
        return [*found, f"arguments: {error}"]
    return found if isinstance(arguments, dict) else [*found, "arguments that are no object"]


def _refuse(constant: str) -> None:
    raise ValueError(constant)
