"""Which stored messages are shown as which of V1's message types, as conditions.

A list is cut into pages of stored messages, so what it leaves out must be left out here, before
the cut: a page that is empty but for its filter would end a client's paging.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, cast, false, func, or_
from sqlalchemy.dialects.postgresql import JSONPATH

from o.domain.messages import Role
from o.storage.tables import messages


def _role(role: Role) -> ColumnElement[bool]:
    return messages.c.role == role


def _has_part(path: str) -> ColumnElement[bool]:
    return func.jsonb_path_exists(messages.c.parts, cast(path, JSONPATH))


_REPLY = _role(Role.ASSISTANT)
_SHOWN_AS: dict[str, ColumnElement[bool]] = {
    "system_message": _role(Role.SYSTEM),
    "user_message": _role(Role.USER),
    "reasoning_message": and_(_REPLY, _has_part('$[*] ? (@.type == "reasoning")')),
    "assistant_message": and_(_REPLY, _has_part('$[*] ? (@.type == "text" && @.text != "")')),
    "tool_call_message": and_(_REPLY, func.jsonb_array_length(messages.c.tool_calls) > 0),
    "tool_return_message": _role(Role.TOOL),
}


def shown_as_any(types: Sequence[str]) -> ColumnElement[bool]:
    """The condition that a message is shown as one of `types`; nothing is, as a type we lack."""
    return or_(false(), *(_SHOWN_AS[name] for name in types if name in _SHOWN_AS))
