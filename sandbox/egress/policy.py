"""What a job may reach: the server's setting, narrowed by its tool and its agent.

Narrowing only ever takes away. What stands in a tool or an agent was written by whoever made it,
so neither opens a port or an address that the operator did not.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from o.addresses import Allowed, parse_allowed, spell_allowed
from o.settings.all import Settings
from sandbox.egress.head import Head
from sandbox.protocol import Network

API_HOST = "o.internal"
"""Leads to this server's own API; a name that no DNS gives out."""

AGENT_KEY = "allowed_hosts"
"""The key of an agent's metadata that names what its tools reach."""


@dataclass(frozen=True)
class Refusal:
    """Why something is not reached, in words for the model."""

    text: str
    status: int = 403


def network_for(
    settings: Settings,
    *,
    tool_hosts: Sequence[str] | None = None,
    agent_hosts: object = None,
) -> Network:
    """What a call of a tool reaches.

    Args:
        settings: `O_SANDBOX_NETWORK` and `O_SANDBOX_HOSTS`.
        tool_hosts: Of the tool; None where it is not narrowed.
        agent_hosts: What the agent's metadata has as `allowed_hosts`; None likewise. What is no
            list of hosts allows nothing.
    """
    if settings.sandbox_network == "none":
        return Network()
    lists = [settings.sandbox_hosts or None, tool_hosts, agent_hosts]
    narrowed = [_read(one) for one in lists if one is not None]
    if not narrowed:
        return Network(mode="public", api=True)
    common = narrowed[0]
    for other in narrowed[1:]:
        common = [both for one in common for two in other if (both := _both(one, two))]
    if not common:
        return Network()
    return Network(
        mode="list",
        hosts=tuple(dict.fromkeys(spell_allowed(one) for one in common)),
        api=any(one.fits_name(API_HOST, 80) for one in common),
    )


def _read(hosts: object) -> list[Allowed]:
    found = []
    for entry in hosts if isinstance(hosts, list | tuple) else ():
        try:
            found.append(parse_allowed(str(entry)))
        except ValueError:
            continue  # a slip narrows more, not less
    return found


def _both(one: Allowed, two: Allowed) -> Allowed | None:
    """What two entries have in common."""
    if one.port is not None and two.port is not None and one.port != two.port:
        return None
    port = one.port or two.port
    for narrow, wide in ((one, two), (two, one)):
        if narrow.name and wide.fits_name(narrow.name, wide.port or 0):
            return Allowed(name=narrow.name, port=port)
        if narrow.network is not None and wide.contains(narrow.network):
            return Allowed(network=narrow.network, port=port)
    return None


class Rules:
    """The operator's: which ports are open to tools, and what else they name."""

    def __init__(self, ports: Iterable[int], named: Iterable[str]) -> None:
        """Entries of `named` that have a port open it, for what they name."""
        self._ports = frozenset(ports)
        self._named = [parse_allowed(entry) for entry in named]

    def refusal(self, network: Network, head: Head) -> Refusal | None:
        """Why a request is not one that this job may make; None where it may.

        Its address is another question, which is asked when the socket is made.
        """
        if network.mode == "none":
            return Refusal("This tool has no network")
        if network.mode == "list" and not any(
            _fits(parse_allowed(entry), head) for entry in network.hosts
        ):
            return Refusal(f"{head.place} is not among the hosts that this tool may reach")
        if head.port in self._ports or any(
            one.port is not None and _fits(one, head) for one in self._named
        ):
            return None
        open_ports = ", ".join(map(str, sorted(self._ports)))
        return Refusal(f"Port {head.port} is not open to tools; open are {open_ports}")


def _fits(entry: Allowed, head: Head) -> bool:
    if entry.fits_name(head.host, head.port):
        return True
    try:
        return entry.fits_address(ip_address(head.host), head.port)
    except ValueError:
        return False
