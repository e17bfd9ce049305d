"""Who asks, as far as the connection tells."""

from ipaddress import IPv6Address, ip_network

from starlette.types import Scope

from o.addresses import parse_address


def address_of(scope: Scope) -> str:
    """Whom a request without a key is counted to: an IPv4 address, or an IPv6 network of one site.

    Who has one IPv6 address has 2^64 of them. What is no address, which a proxy may say, and a
    socket without one, are all the same.
    """
    try:
        address = parse_address((scope.get("client") or ("",))[0])
    except ValueError:
        return "elsewhere"
    if isinstance(address, IPv6Address):
        return str(ip_network((int(address), 64), strict=False).network_address)
    return str(address)
