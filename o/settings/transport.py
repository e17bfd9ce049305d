"""What an operator can set of proxies before the API, and of how often it may be asked."""

import re
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode

from o.rates import PERIODS_S, Rate
from o.settings.types import Listed

Network = IPv4Network | IPv6Network

_MAPPED = IPv6Network("::ffff:0:0/96")
_MOST_SHARES = {
    ip_network("0.0.0.0/0"): 1 / 32,
    # By which IPv6 spells all of IPv4: as sockets do, and translators (RFC 6052).
    _MAPPED: 1 / 32,
    ip_network("64:ff9b::/96"): 1 / 32,
    # Of those that are given out, and sparsely: continents have a /12, the largest providers a /18.
    ip_network("2000::/3"): 2.0**-14,
}
"""Room for several private networks and those of large providers, by what all of it would be."""


def _proxies(entries: tuple[str, ...]) -> tuple[str, ...]:
    """Networks as uvicorn reads them, which takes what it cannot read for a name, silently."""
    found = [_network(entry) for entry in entries]
    if any(_share(found, whole) > most for whole, most in _MOST_SHARES.items()):
        raise ValueError(
            f"{','.join(map(str, found))!r} is nearly everybody, who could then say who they are: "
            "name networks of your proxies, together at most a 32nd of all IPv4 addresses and a "
            "/17 of the public ones of IPv6"
        )
    return tuple(map(str, found))


def _network(entry: str) -> Network:
    """An entry as a network: of IPv4 too where it is spelled in IPv6 (`::ffff:10.0.0.7`)."""
    try:
        network = ip_network(entry, strict=False)
    except ValueError:
        raise ValueError(
            f"{entry!r} is no address or network, such as 10.0.0.7 or 10.0.0.0/8"
        ) from None
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        length = network.prefixlen - _MAPPED.prefixlen
        return IPv4Network((network.network_address.packed[12:], length))
    return network


def _share(networks: list[Network], whole: Network) -> float:
    """How much of `whole` they are together."""
    same = [one for one in networks if one.version == whole.version and one.overlaps(whole)]
    each = collapse_addresses(same)  # type: ignore[type-var]  # of one version
    return sum(2.0 ** -max(0, one.prefixlen - whole.prefixlen) for one in each)


def _rate(value: object) -> object:
    """`50/second` as a rate."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(rf"([1-9]\d{{0,6}})/({'|'.join(PERIODS_S)})", value.strip().lower())
    if found is None:
        raise ValueError(f"{value!r} is no rate, such as 20/second, 600/minute or 9000/hour")
    return Rate(int(found[1]), PERIODS_S[found[2]])


class TransportSettings(BaseSettings):
    """Whom the API believes who asks, and how often they may."""

    trusted_proxies: Annotated[Listed, AfterValidator(_proxies)] = Field(
        (),
        description="Addresses and networks of the proxies before the API, separated by commas: "
        "only what they say in X-Forwarded-For and X-Forwarded-Proto is believed.",
    )
    rate_limit: Annotated[Rate | None, NoDecode, BeforeValidator(_rate)] = Field(
        None,
        description="How often each key may ask one process of the API, and each address that "
        "asks without a key: 20/second, 600/minute. More get 429. Unset: as often as they like.",
    )
    temporal_codec: Literal["off", "decode", "encrypt"] = Field(
        "off",
        description="Whether what O writes into Temporal's histories is encrypted, as secrets are; "
        "decode: only read, which every process has to before one encrypts.",
    )
    user_queue_limit: int | None = Field(
        None,
        ge=1,
        le=1_000_000_000,
        description="Messages of one user, by whichever key, that may be under way or wait in all "
        "conversations together; more get 429. Unset: any number.",
    )
