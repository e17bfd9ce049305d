"""What an operator can set of proxies before the API, and of how often it may be asked."""

import re
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode

from o.rates import PERIODS_S, Rate
from o.setting_types import Listed

_MOST_OF_ALL = 1 / 32
"""Room for several private networks and those of large providers, in IPv4 and in IPv6 each."""


def _proxies(entries: tuple[str, ...]) -> tuple[str, ...]:
    """Networks as uvicorn reads them, which takes what it cannot read for a name, silently."""
    found: list[IPv4Network | IPv6Network] = []
    for entry in entries:
        try:
            network = ip_network(entry, strict=False)
        except ValueError:
            raise ValueError(
                f"{entry!r} is no address or network, such as 10.0.0.7 or 10.0.0.0/8"
            ) from None
        found.append(network)
    old = collapse_addresses([one for one in found if isinstance(one, IPv4Network)])
    new = collapse_addresses([one for one in found if isinstance(one, IPv6Network)])
    if max(sum(2.0**-one.prefixlen for one in kind) for kind in (old, new)) > _MOST_OF_ALL:
        raise ValueError(
            f"{','.join(map(str, found))!r} is nearly everybody, who could then say who they are: "
            f"name networks of your proxies, at most a {1 / _MOST_OF_ALL:.0f}th of all addresses"
        )
    return tuple(map(str, found))


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
        description="Messages of one user, by whichever key, that may be under way or wait in all "
        "conversations together; more get 429. Unset: any number.",
    )
