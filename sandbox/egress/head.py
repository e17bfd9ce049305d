"""The head of a request to the egress proxy, read strictly.

What two readers could take for two things is refused: a bare line feed, a folded header, a body
with two lengths, a `Host` that names another host than the request line.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address

MAX_HEAD_BYTES = 32 * 1024

_MAX_HEADERS = 100
_MAX_HOST_CHARS = 253
_REQUEST_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([!-~]{1,16000}) HTTP/1\.([01])")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}):[ \t]*([\t -~\x80-\xff]*)")
_ABSOLUTE = re.compile(r"(?i:http)://([^/?#]*)([/?][^#]*)?")
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[^:\[\]]+)(?::([0-9]{1,5}))?")
_NAME = re.compile(
    r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}"
    r"[a-z0-9_])?)*\.?"
)
_LENGTH = re.compile(r"[0-9]{1,15}")

# Of one connection, and so not for the next one (RFC 9110, 7.6.1).
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_KEPT = frozenset({"host", "content-length"})

Headers = tuple[tuple[str, str], ...]


class BadRequest(Exception):
    """A request that the proxy does not take; the text is for whoever sent it."""

    def __init__(self, text: str, *, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Head:
    """A request that says one thing only.

    Attributes:
        host: A name in lower case without a dot at its end, or an address without brackets.
        path: With its query; empty for a tunnel.
        headers: What goes on to the host: those of this one connection are left out.
        body_bytes: Length of the body; None where it comes in chunks.
    """

    method: str
    host: str
    port: int
    path: str
    headers: Headers
    body_bytes: int | None = 0

    @property
    def is_tunnel(self) -> bool:
        """Whether bytes are asked to be carried, whatever they are."""
        return self.method == "CONNECT"

    @property
    def place(self) -> str:
        """Where it goes, as records name it: with the port where it is no usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port in (80, 443) else f"{host}:{self.port}"


def parse_head(head: bytes) -> Head:
    """Read a request's head, up to and with its empty line.

    Raises:
        BadRequest: It is not HTTP/1, or can be read in two ways, or is no request to a proxy.
    """
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    found = _REQUEST_LINE.fullmatch(first)
    if found is None:
        raise BadRequest("The request line is not one of HTTP/1")
    method, target, minor = found.groups()
    if method.upper() in ("TRACE", "TRACK"):
        raise BadRequest(f"The method {method} is not allowed", status=405)
    headers = _headers(lines)
    host, port, path = _target(method, target)
    _check_host(headers, host, port, is_tunnel=method == "CONNECT", needed=minor == "1")
    body_bytes = _body_bytes(headers)
    if method == "CONNECT" and body_bytes != 0:
        raise BadRequest("CONNECT has no body")
    return Head(method, host, port, path, _without_hops(headers), body_bytes)


def _headers(lines: list[str]) -> Headers:
    if len(lines) > _MAX_HEADERS:
        raise BadRequest(f"More than {_MAX_HEADERS} headers", status=431)
    found = [_HEADER.fullmatch(line) for line in lines]
    read = tuple((one[1], one[2].rstrip(" \t")) for one in found if one is not None)
    if len(read) != len(lines):
        raise BadRequest("A header is not well formed")
    return read


def _target(method: str, target: str) -> tuple[str, int, str]:
    """Host, port and path."""
    if method == "CONNECT":
        host, port = _authority(target)
        if port is None:
            raise BadRequest("CONNECT takes host:port")
        return host, port, ""
    found = _ABSOLUTE.fullmatch(target)
    if found is None:
        raise BadRequest("A proxy takes http:// addresses, and CONNECT for https://")
    host, port = _authority(found[1])
    path = found[2] or "/"
    return host, port or 80, path if path.startswith("/") else f"/{path}"


def _authority(text: str) -> tuple[str, int | None]:
    found = _AUTHORITY.fullmatch(text)
    if "@" in text or found is None:
        raise BadRequest("The address names no host, or a user, or is not well formed")
    port = int(found[2]) if found[2] else None
    if port is not None and not 0 < port < 65536:
        raise BadRequest("There is no such port")
    return _host(found[1]), port


def _host(text: str) -> str:
    if text.startswith("["):
        try:
            return str(IPv6Address(text[1:-1]))
        except ValueError:
            raise BadRequest("The address in brackets is none of IPv6") from None
    name = text.lower()
    if len(name) > _MAX_HOST_CHARS or not _NAME.fullmatch(name):
        raise BadRequest("The name of the host is not well formed")
    return name.removesuffix(".")


def _one(headers: Headers, name: str) -> str | None:
    found = [value for key, value in headers if key.lower() == name]
    if len(found) > 1:
        raise BadRequest(f"The header {name} is there twice")
    return found[0] if found else None


def _check_host(headers: Headers, host: str, port: int, *, is_tunnel: bool, needed: bool) -> None:
    """Hold the header to the request line: a host that trusts `Host` is not to be told another."""
    said = _one(headers, "host")
    if said is None:
        if needed and not is_tunnel:
            raise BadRequest("The header host is missing")
        return
    name, its_port = _authority(said)
    # Clients leave the port of a tunnel out.
    if name != host or (its_port or (port if is_tunnel else 80)) != port:
        raise BadRequest("The header host names another host than the request line")


def _body_bytes(headers: Headers) -> int | None:
    length, coding = _one(headers, "content-length"), _one(headers, "transfer-encoding")
    if coding is not None:
        if length is not None or coding.lower() != "chunked":
            raise BadRequest("The length of the body can be read in two ways")
        return None
    if length is None:
        return 0
    if not _LENGTH.fullmatch(length):
        raise BadRequest("The length of the body is no number")
    return int(length)


def _without_hops(headers: Headers) -> Headers:
    named = (value.split(",") for key, value in headers if key.lower() == "connection")
    dropped = {name.strip().lower() for names in named for name in names} - _KEPT
    return tuple((key, value) for key, value in headers if key.lower() not in dropped | _HOP_BY_HOP)
