"""Addresses: which are public, which an operator names, and how they are spelled."""

import re
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from urllib.parse import urlsplit

_NAT64 = IPv6Network("64:ff9b::/96")
_GLOBAL = IPv6Network("2000::/3")
# What older releases of `ipaddress` take for public, and an address that answers inside Azure
# only: the host's agent, which gives out credentials.
_INNER = tuple(map(IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")))

_MAX_URL_CHARS = 2_000
_MAX_HOST_CHARS = 254
_NAME = re.compile(r"(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")

Address = IPv4Address | IPv6Address


@dataclass(frozen=True)
class Allowed:
    """One entry of O_OUTBOUND_ALLOW: a network or a name, on one port or on all."""

    network: IPv4Network | IPv6Network | None = None
    name: str = ""
    port: int | None = None

    def fits_address(self, address: Address, port: int) -> bool:
        """Whether it names this address on this port."""
        return self.network is not None and address in self.network and self.port in (None, port)

    def fits_name(self, host: str, port: int) -> bool:
        """Whether it names this host, or `*.` and a part of it, on this port."""
        is_name = host == self.name or (self.name.startswith("*.") and host.endswith(self.name[1:]))
        return bool(self.name) and is_name and self.port in (None, port)

    def contains(self, network: IPv4Network | IPv6Network) -> bool:
        """Whether it names all addresses of a network, on whatever port."""
        ours = self.network
        if isinstance(ours, IPv4Network) and isinstance(network, IPv4Network):
            return network.subnet_of(ours)
        if isinstance(ours, IPv6Network) and isinstance(network, IPv6Network):
            return network.subnet_of(ours)
        return False


def parse_allowed(entry: str) -> Allowed:
    """An entry as an operator writes it: `10.0.0.0/8`, `127.0.0.1:9000`, `[::1]:80`, `hooks.lan`.

    Raises:
        ValueError: It is neither an address, nor a network, nor a name.
    """
    text, port = entry.strip().lower(), None
    found = re.fullmatch(r"\[([^\]]*)\](?::(\d+))?|([^:]*)(?::(\d+))", text)
    if found is not None:
        text = found[1] or found[3] or ""
        port = int(found[2] or found[4]) if found[2] or found[4] else None
    try:
        return Allowed(network=ip_network(text), port=port)
    except ValueError:
        if not _NAME.fullmatch(text) or re.fullmatch(r"[0-9./]+", text):
            raise ValueError(f"{entry!r} is no address, network (10.0.0.0/8) or name") from None
    return Allowed(name=text, port=port)


def spell_allowed(entry: Allowed) -> str:
    """An entry as `parse_allowed` reads it."""
    text = str(entry.network or entry.name)
    if entry.port is None:
        return text
    return f"[{text}]:{entry.port}" if ":" in text else f"{text}:{entry.port}"


def parse_address(text: str) -> Address:
    """An address as the system gives it; the IPv4 address where IPv6 only wraps one.

    Raises:
        ValueError: It is no address.
    """
    address = ip_address(text.split("%", 1)[0])
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(address.packed[12:])
    return address.ipv4_mapped or address.sixtofour or address


def is_public(address: Address) -> bool:
    """Whether an address belongs to the internet: no machine's own, no local network's."""
    if isinstance(address, IPv6Address):
        return address in _GLOBAL and address.teredo is None and address.is_global
    return (
        address.is_global and not address.is_multicast and not any(address in net for net in _INNER)
    )


def check_origin(origin: str) -> str:
    """An origin as browsers send it: scheme, host and port, and nothing behind.

    Raises:
        ValueError: It is none, nor `*`.
    """
    parts = urlsplit(origin)
    if origin != "*" and (not parts.scheme or origin != f"{parts.scheme}://{parts.netloc}"):
        raise ValueError(f"{origin!r} is no origin, such as https://example.com:8080, nor *")
    return origin


def check_base_url(text: str, *, may_hold_user: bool = False) -> str:
    """A provider's address, without a slash at its end.

    Loopback and private addresses are fine: that is where local servers are.

    Args:
        text: As it was given.
        may_hold_user: Whether a user and password may stand before the host.

    Raises:
        ValueError: It is neither http nor https, names no host, or carries credentials, a query or
            a fragment. The message goes on where the name of the field ends.
    """
    text = text.strip()
    try:
        url = urlsplit(text)
        is_good = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:
        is_good = False
    if not is_good or len(text) > _MAX_URL_CHARS:
        raise ValueError("has to be an address that begins with http:// or https://")
    if not _can_be_looked_up(url.hostname or ""):
        raise ValueError("has to name a host whose parts have 1 to 63 characters each")
    if any(character.isspace() or not character.isprintable() for character in text):
        raise ValueError("must not hold spaces or control characters")
    if not may_hold_user and "@" in url.netloc:
        raise ValueError("must not hold a user or password: a key goes into api_key")
    if url.query or url.fragment:
        raise ValueError("must not hold a query or fragment")
    return text.rstrip("/")


def _can_be_looked_up(host: str) -> bool:
    """Whether a host's name can be asked for at all: the system's resolver breaks on others."""
    try:
        return host != "." and len(host.encode("idna")) < _MAX_HOST_CHARS
    except UnicodeError:
        return False
