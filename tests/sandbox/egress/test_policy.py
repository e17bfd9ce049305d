"""What a job may reach, of the server's setting, its tool and its agent."""

import pytest

from o.settings.all import Settings
from sandbox.egress.head import Head
from sandbox.egress.policy import Rules, network_for
from sandbox.protocol import Network

_PUBLIC = Settings()
_LISTED = Settings(sandbox_network="list", sandbox_hosts=("*.example.com", "10.0.0.0/8:8080"))


@pytest.mark.parametrize(
    ("settings", "tool", "agent", "expected"),
    [
        (_PUBLIC, None, None, Network("public", (), api=True)),
        (_PUBLIC, [], None, Network("none")),
        (_PUBLIC, ["api.example.com"], None, Network("list", ("api.example.com",))),
        (_PUBLIC, ["a.b", "o.internal"], None, Network("list", ("a.b", "o.internal"), api=True)),
        (_PUBLIC, None, ["b.example:443"], Network("list", ("b.example:443",))),
        (_PUBLIC, None, "b.example", Network("none")),
        (_PUBLIC, None, {"b.example": 1}, Network("none")),
        (_PUBLIC, None, ["no good!", "c.example"], Network("list", ("c.example",))),
        (_PUBLIC, ["a.example", "b.c"], ["b.c", "c.example"], Network("list", ("b.c",))),
        (_PUBLIC, ["*.example"], ["a.example:443"], Network("list", ("a.example:443",))),
        (_PUBLIC, ["a.example:80"], ["a.example:443"], Network("none")),
        (_PUBLIC, ["*.a.example"], ["*.example"], Network("list", ("*.a.example",))),
        (_LISTED, None, None, Network("list", ("*.example.com", "10.0.0.0/8:8080"))),
        (_LISTED, ["api.example.com", "evil.example"], None, Network("list", ("api.example.com",))),
        (_LISTED, ["10.1.2.3"], None, Network("list", ("10.1.2.3/32:8080",))),
        (_LISTED, ["o.internal"], None, Network("none")),
        (Settings(sandbox_hosts=("a.example",)), None, None, Network("list", ("a.example",))),
        (Settings(sandbox_network="none"), ["a.example"], None, Network("none")),
    ],
)
def test_narrowing_only_takes_away(
    settings: Settings, tool: list[str] | None, agent: object, expected: Network
) -> None:
    assert network_for(settings, tool_hosts=tool, agent_hosts=agent) == expected


@pytest.mark.parametrize(
    ("network", "host", "port", "words"),
    [
        (Network("public"), "a.example", 443, None),
        (Network("public"), "a.example", 22, "Port 22 is not open"),
        (Network("public"), "a.example", 25, "Port 25 is not open"),
        (Network("public"), "db.example", 5432, None),
        (Network("public"), "10.1.1.1", 9000, None),
        (Network("list", ("a.example",)), "a.example", 443, None),
        (Network("list", ("a.example:22",)), "a.example", 22, "Port 22 is not open"),
        (Network("list", ("a.example",)), "a.example.evil.example", 443, "not among the hosts"),
        (Network("list", ("*.a.example",)), "a.example", 443, "not among the hosts"),
        (Network("list", ("10.0.0.0/8",)), "10.1.1.1", 80, None),
        (Network("list", ("10.0.0.0/8",)), "11.1.1.1", 80, "not among the hosts"),
        (Network("none"), "a.example", 443, "no network"),
    ],
)
def test_the_operator_alone_opens_ports(
    network: Network, host: str, port: int, words: str | None
) -> None:
    rules = Rules((80, 443), ("db.example:5432", "10.0.0.0/8:9000", "a.example"))
    refusal = rules.refusal(network, Head("CONNECT", host, port, "", ()))
    assert (refusal is None) if words is None else (refusal is not None and words in refusal.text)


def test_a_list_without_hosts_is_a_wrong_setting() -> None:
    with pytest.raises(ValueError, match="O_SANDBOX_HOSTS"):
        Settings(sandbox_network="list")
