"""Conversations and blocks as Markdown that people read.

What was said stands in quotations, and what tools were given and gave in fences that are longer
than any in them, so that no text can pass itself off as another message.
"""

import html
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

Shown = Mapping[str, Any]
"""An object as V1's API shows it."""

_CONTENTS = """Each folder has the agent file (`.af`), which a server imports, and, where there are
any: conversations and blocks as Markdown, passages as JSON lines, the text of files."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_LINE_END = re.compile(r"\r\n?|[\u2028\u2029]")


def message_markdown(message: Shown, agent_name: str) -> str:
    """One message of a conversation; of what this release does not know, all of it, folded."""
    kind = str(message.get("message_type"))
    told = _WAYS.get(kind)
    if told is None:
        return _folded(kind, message, _fence(_json(dict(message)), "json"))
    return told(message, agent_name)


def conversation_heading(agent: Shown, conversation: Shown | None) -> str:
    """What stands above the messages of a conversation; None is the agent's own thread."""
    title = "Own thread" if conversation is None else conversation.get("summary") or "Conversation"
    lines = [f"# {line(title)}", "", f"- agent: {line(agent['name'])} (`{agent['id']}`)"]
    if conversation is not None:
        lines.append(f"- conversation: `{conversation['id']}`")
        lines.append(f"- begun: {_time(conversation.get('created_at'))}")
    return "\n".join([*lines, "", "---", "", ""])


def block_markdown(block: Shown) -> str:
    """A block: what is said of it, a line, and its value to the character."""
    told = {
        "block": f"`{block['id']}`",
        "description": line(block.get("description") or ""),
        "limit": f"{block.get('limit')} characters",
        "read only": "yes" if block.get("read_only") else "",
        "tags": ", ".join(map(line, block.get("tags") or ())),
    }
    lines = [f"- {name}: {value}" for name, value in told.items() if value]
    heading = f"# {line(block.get('label') or 'Block')}"
    return "\n".join([heading, "", *lines, "", "---", "", str(block.get("value") or ""), ""])


def line(text: Any) -> str:
    """Text within a line, where nothing of it is Markdown that would break it up."""
    return re.sub(r"([\\`*_\[\]<>#|])", r"\\\1", _flat(text))


def index_markdown(agents: Sequence[tuple[str, Shown]]) -> str:
    """The list of the agents in a directory, given the folder and what is known of each.

    Those of several organizations stand under the name of their own one.
    """
    by_owner: dict[str, list[str]] = {}
    for folder, about in sorted(agents, key=lambda one: (str(one[1].get("name")), one[0])):
        row = f"- [{line(about.get('name'))}]({quote(folder)}/) `{line(about.get('id'))}`"
        said = f": {line(about['description'])}" if about.get("description") else ""
        by_owner.setdefault(_owner(about), []).append(row + said)
    parts = [
        [*([f"## {owner}", ""] if owner and len(by_owner) > 1 else []), *rows, ""]
        for owner, rows in sorted(by_owner.items())
    ]
    return "\n".join(["# Agents", "", _CONTENTS, "", *(one for part in parts for one in part)])


def _owner(about: Shown) -> str:
    """The organization of an agent, as it is shown; empty where it is not known."""
    owner = about.get("organization")
    if not isinstance(owner, Mapping):
        return ""
    return f"{line(owner.get('name'))} `{line(owner.get('id'))}`"


def _said(who: str) -> Callable[[Shown, str], str]:
    def tell(message: Shown, agent_name: str) -> str:
        name = message.get("name") or (agent_name if who == "assistant" else None)
        whose = who if name is None else f"{line(name)} ({who})"
        return f"### {whose} · {_time(message.get('date'))}\n\n{_quoted(_text(message))}\n\n"

    return tell


def _system(message: Shown, agent_name: str) -> str:
    return _folded("system", message, _fence(_text(message), "text"))


def _thought(message: Shown, agent_name: str) -> str:
    text = message.get("reasoning") or message.get("hidden_reasoning")
    return _folded("thought", message, _quoted(str(text or "(hidden by the provider)")))


def _called(how: str) -> Callable[[Shown, str], str]:
    def tell(message: Shown, agent_name: str) -> str:
        calls = message.get("tool_calls") or [message.get("tool_call") or {}]
        return "".join(
            _folded(f"{how}: {call.get('name')}", message, _fence(_arguments(call), "json"))
            for call in calls
        )

    return tell


def _arguments(call: Shown) -> str:
    text = str(call.get("arguments") or "")
    try:
        return _json(json.loads(text))
    except (ValueError, RecursionError):
        return text


def _returned(message: Shown, agent_name: str) -> str:
    name = message.get("name") or "tool"
    parts = []
    for one in message.get("tool_returns") or [message]:
        title = f"{name} returned" + ("" if one.get("status") != "error" else " an error")
        texts = {
            "": one.get("tool_return"),
            "stdout": one.get("stdout"),
            "stderr": one.get("stderr"),
        }
        body = "\n\n".join(
            (f"{kind}:\n\n" if kind else "") + _fence(_plain(value), "text")
            for kind, value in texts.items()
            if value
        )
        parts.append(_folded(title, message, body))
    return "".join(parts)


def _answered(message: Shown, agent_name: str) -> str:
    lines = [
        f"- {line(one.get('tool_call_id') or '')}: "
        + ("denied" if one.get("approve") is False else "approved or answered")
        + (f", because: {line(one['reason'])}" if one.get("reason") else "")
        for one in message.get("approvals") or [message]
    ]
    return f"### approval · {_time(message.get('date'))}\n\n" + "\n".join(lines) + "\n\n"


def _summed_up(message: Shown, agent_name: str) -> str:
    return _folded("summary of what came before", message, _quoted(str(message.get("summary"))))


_WAYS: dict[str, Callable[[Shown, str], str]] = {
    "system_message": _system,
    "user_message": _said("user"),
    "assistant_message": _said("assistant"),
    "reasoning_message": _thought,
    "hidden_reasoning_message": _thought,
    "tool_call_message": _called("call"),
    "approval_request_message": _called("call that waits for approval"),
    "tool_return_message": _returned,
    "approval_response_message": _answered,
    "summary_message": _summed_up,
}


def _folded(title: str, message: Shown, body: str) -> str:
    # Within HTML, Markdown's signs mean nothing.
    shown = html.escape(f"{_flat(title)} · {_time(message.get('date'))}")
    return f"<details><summary>{shown}</summary>\n\n{body}\n\n</details>\n\n"


def _text(message: Shown) -> str:
    return _plain(message.get("content"))


def _plain(value: Any) -> str:
    """Text, or parts of which those that are no text are named."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(_plain(part) if isinstance(part, str) else _part(part) for part in value)
    return "" if value is None else _json(value)


def _part(part: Any) -> str:
    if not isinstance(part, Mapping):
        return _json(part)
    if isinstance(part.get("text"), str):
        return str(part["text"])
    source = part.get("source")
    media_type = source.get("media_type") if isinstance(source, Mapping) else None
    return f"[{part.get('type', 'part')}{f': {media_type}' if media_type else ''}]"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in _clean(text).split("\n"))


def _fence(text: str, language: str) -> str:
    clean = _clean(text)
    longest = max((len(run) for run in re.findall(r"`+", clean)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{clean}\n{fence}"


def _clean(text: str) -> str:
    return _CONTROL.sub("\ufffd", _LINE_END.sub("\n", text))


def _flat(text: Any) -> str:
    return " ".join(_clean(str(text)).split())[:500]


def _time(moment: Any) -> str:
    """A time as the API writes it, to the second."""
    text = str(moment or "no time").replace("T", " ", 1)
    return re.sub(r"(\.\d+)?(\+00:00|Z)$", " UTC", text)
