"""Which stored messages are shown as which of V1's message types, as conditions.

A list is cut into pages of stored messages, so what it leaves out must be left out here, before
the cut: a page that is empty but for its filter would end a client's paging.
"""

from collections.abc import Callable, Sequence

from sqlalchemy import ColumnElement, and_, cast, false, func, not_, or_
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH

from o.domain.messages import Role
from o.storage.tables.core import messages

_REPLY = messages.c.role == Role.ASSISTANT
_RETURN = messages.c.role == Role.TOOL
_GATED = "exists(@.gate) && @.gate != null"


def is_shown(types: Sequence[str] | None, *, says: str | None = None) -> ColumnElement[bool]:
    """The condition that a message is shown as one of `types`, or at all when they are None.

    Args:
        types: V1's message types. No message is shown as a type that O does not have.
        says: The tool by which an agent of the legacy loop speaks: its calls are shown as
            assistant messages, and their returns are not.
    """
    if types is None:
        return not_(_returns(says))
    wanted = [_SHOWN_AS[name](says) for name in types if name in _SHOWN_AS]
    return or_(false(), *wanted)


def _returns(says: str | None) -> ColumnElement[bool]:
    """Whether it is the return of a call by which the agent spoke."""
    if says is None:
        return false()
    returned = messages.c.tool_return
    return and_(_RETURN, returned["name"].astext == says, returned["status"].astext == "success")


def _has(column: ColumnElement[object], path: str, says: str | None = None) -> ColumnElement[bool]:
    variables = cast({"says": says}, JSONB)
    return func.jsonb_path_exists(column, cast(path, JSONPATH), variables)


def _role(role: Role) -> Callable[[str | None], ColumnElement[bool]]:
    return lambda says: messages.c.role == role


_SHOWN_AS: dict[str, Callable[[str | None], ColumnElement[bool]]] = {
    "system_message": _role(Role.SYSTEM),
    "user_message": lambda says: messages.c.role.in_((Role.USER, Role.SUMMARY)),
    "reasoning_message": lambda says: and_(
        _REPLY, _has(messages.c.parts, '$[*] ? (@.type == "reasoning")')
    ),
    "hidden_reasoning_message": lambda says: and_(
        _REPLY, _has(messages.c.parts, '$[*] ? (@.type == "redacted_reasoning")')
    ),
    "assistant_message": lambda says: and_(
        _REPLY,
        or_(
            _has(messages.c.parts, '$[*] ? (@.type == "text" && @.text != "")'),
            _has(messages.c.tool_calls, "$[*] ? (@.name == $says)", says),
        ),
    ),
    "tool_call_message": lambda says: and_(
        _REPLY, _has(messages.c.tool_calls, f"$[*] ? (@.name != $says && !({_GATED}))", says)
    ),
    "approval_request_message": lambda says: and_(
        _REPLY, _has(messages.c.tool_calls, f"$[*] ? ({_GATED})")
    ),
    "approval_response_message": _role(Role.APPROVAL),
    "tool_return_message": lambda says: and_(_RETURN, not_(_returns(says))),
}
