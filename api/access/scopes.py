"""What a key must be allowed to make a request: told from its method and address, in one place."""

import re

from api.edge.allow_header import PREFIXES
from o.domain.keys import Scope

_READ: frozenset[Scope] = frozenset({"read"})
_WRITE: frozenset[Scope] = frozenset({"write"})
_ADMIN: frozenset[Scope] = frozenset({"admin"})
_SENDS: frozenset[Scope] = frozenset({"write", "approve"})

_READS = frozenset({"GET", "HEAD"})
_ID = "[^/]+"
# What is asked with a body, and changes nothing.
_READING_POSTS = re.compile(
    "/messages/search|/agents/messages/search|/passages/search|/tools/search"
    f"|/tools/generate-schema|/(?:runs|conversations)/{_ID}/stream|/agents/{_ID}/export"
    f"|/(?:agents|conversations)/{_ID}/messages/preview-raw-payload"
)
# An answer to an approval request comes like a message: what it is, the body says.
_SENDING_POSTS = re.compile(
    f"/agents/{_ID}/messages(?:/stream|/async)?|/conversations/{_ID}/messages"
)
# These hold what others' servers are opened with, or say where O sends what agents say.
_KEYS_OF_OTHERS = re.compile(
    f"/providers(?:/.*)?|/sandbox-config(?:/.*)?|/mcp-servers(?:/{_ID}(?:/refresh)?)?"
    f"|/tools/mcp/servers(?:/{_ID}(?:/resync)?)?",
    re.DOTALL,
)
# What goes out to the servers of others, though it changes nothing here.
_ASKING_GETS = re.compile(f"/mcp-servers/connect/{_ID}")
_ALWAYS_ADMIN = re.compile("/admin(?:/.*)?|/codec/.*|/sandbox-config(?:/.*)?", re.DOTALL)


def wanted_scopes(method: str, path: str) -> frozenset[Scope]:
    """The scopes of which a key needs one; `admin` opens everything beside them."""
    inner = _inner(path)
    is_read = method in _READS
    if _ALWAYS_ADMIN.fullmatch(inner) or (not is_read and _KEYS_OF_OTHERS.fullmatch(inner)):
        return _ADMIN
    if is_read and _ASKING_GETS.fullmatch(inner):
        return _WRITE
    if is_read or (method == "POST" and _READING_POSTS.fullmatch(inner)):
        return _READ
    if method == "POST" and _SENDING_POSTS.fullmatch(inner):
        return _SENDS
    return _WRITE


def _inner(path: str) -> str:
    """The address behind the prefix of the API, without what routes overlook at its end.

    That is a slash, and a line break (`%0A`): patterns of routes end with `$`, which lets one pass.
    """
    for prefix in PREFIXES:
        if path.startswith(f"{prefix}/"):
            return path.removeprefix(prefix).rstrip("/\n")
    return path
