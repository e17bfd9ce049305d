"""What clients name as addresses leads to public ones only, or to those that the operator names."""

import socket
from collections.abc import AsyncIterator
from ipaddress import ip_address

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from o.addresses import is_public, parse_allowed
from o.outbound import OutboundGuard, connection_failure, is_refusal

NOT_PUBLIC = [
    *("127.0.0.1", "127.8.9.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255"),
    *("192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200", "192.0.0.192"),
    *("224.0.0.1", "239.255.255.250", "255.255.255.255", "240.0.0.1", "198.18.0.1"),
    *("168.63.129.16", "192.0.2.1", "203.0.113.9"),
    *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1"),
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1"),
    *("64:ff9b::10.0.0.1", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1", "2001:db8::1"),
    *("2001:0:4136:e378:8000:63bf:3fff:fdd2", "fec0::1", "100::1"),
]
PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "172.32.0.1",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_what_belongs_to_no_internet_is_refused(address: str) -> None:
    assert not OutboundGuard().allows(address, 80)


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_is_allowed(address: str) -> None:
    assert OutboundGuard().allows(address, 80)


@pytest.mark.parametrize(
    ("entry", "address", "port", "allowed"),
    [
        ("127.0.0.1", "127.0.0.1", 9, True),
        ("127.0.0.1", "127.0.0.2", 9, False),
        ("127.0.0.1", "::ffff:127.0.0.1", 9, True),
        ("127.0.0.1:9000", "127.0.0.1", 9000, True),
        ("127.0.0.1:9000", "127.0.0.1", 9001, False),
        ("10.0.0.0/8", "10.9.9.9", 80, True),
        ("10.0.0.0/8:80", "10.9.9.9", 81, False),
        ("::1", "::1", 80, True),
        ("[::1]:80", "::1", 80, True),
        ("[::1]:80", "::1", 81, False),
        ("fd00::/8", "fd12::1", 80, True),
    ],
)
def test_an_operator_names_networks_and_ports(
    entry: str, address: str, port: int, allowed: bool
) -> None:
    assert OutboundGuard([entry]).allows(address, port) is allowed


@pytest.mark.parametrize(
    "entry", ["10.0.0.300", "10.0.0.1/8", "1.2.3", "a b", "http://x", "[::1", ":80"]
)
def test_what_names_nothing_is_an_error(entry: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        parse_allowed(entry)


NAMES = {
    "public.test": ["93.184.216.34"],
    "rebound.test": ["127.0.0.1"],
    "metadata.test": ["169.254.169.254", "fd00:ec2::254"],
    "mixed.test": ["10.0.0.1", "8.8.8.8"],
    "hooks.lan": ["10.0.0.9"],
    "a.hooks.lan": ["10.0.0.9"],
}


async def _names(host: str, port: int) -> list[str]:
    try:
        return [str(ip_address(host))]
    except ValueError:
        pass
    if host not in NAMES:
        raise socket.gaierror(8, "unknown")
    return NAMES[host]


@pytest.mark.parametrize(
    ("url", "refused"),
    [
        ("http://public.test/x", False),
        ("https://rebound.test/x", True),
        ("http://rebound.test./x", True),
        ("http://user@rebound.test/x", True),
        ("http://metadata.test/latest", True),
        ("http://mixed.test/", False),
        ("http://hooks.lan/", False),
        ("http://HOOKS.lan/", False),
        ("http://a.hooks.lan/", True),
        ("http://169.254.169.254/latest/meta-data", True),
        ("http://[::1]/", True),
        ("http://gone.test/", False),  # it may have an address by the time that it is sent to
    ],
)
async def test_a_url_is_refused_by_what_its_name_resolves_to(url: str, refused: bool) -> None:
    guard = OutboundGuard(["hooks.lan"], resolve=_names)
    assert (await guard.refusal(url) is not None) is refused


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "0177.0.0.1", "localhost"])
async def test_other_spellings_of_loopback_are_known(host: str) -> None:
    assert await OutboundGuard().refusal(f"http://{host}/") is not None


@pytest.fixture
async def listener() -> AsyncIterator[tuple[list[str], int]]:
    """A server on loopback that sends everybody on to 127.0.0.2, and who came."""
    came: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        came.append(request.path)
        raise web.HTTPFound(f"http://127.0.0.2:{port}/inner")

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    server = web.TCPSite(runner, "127.0.0.1", 0)
    await server.start()
    port = int(runner.addresses[0][1])
    yield came, port
    await runner.cleanup()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
async def test_no_connection_is_made_to_what_is_refused(
    listener: tuple[list[str], int], host: str
) -> None:
    came, port = listener
    url = f"http://{host}:{port}/secret"
    async with aiohttp.ClientSession(connector=OutboundGuard().connector(url)) as session:
        with pytest.raises(aiohttp.ClientConnectorError) as refused:
            await session.get(url)
    assert is_refusal(refused.value)
    assert came == []


class Resolver(AbstractResolver):
    """Gives every host the same addresses."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses."""
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=0,
            )
            for address in self._addresses
        ]

    async def close(self) -> None:
        """Nothing is open."""


async def _failed_connection(
    port: int, allow: list[str], *addresses: str
) -> aiohttp.ClientConnectorError:
    """What connecting to a host with these addresses raises."""
    url = f"http://several.test:{port}/"
    connector = OutboundGuard(allow).connector(url)
    connector._resolver = Resolver(*addresses)
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(aiohttp.ClientConnectorError) as failed:
            await session.get(url)
    return failed.value


@pytest.mark.parametrize("addresses", [["::1", "127.0.0.1"], ["127.0.0.1", "10.0.0.1", "10.0.0.2"]])
async def test_a_host_with_several_addresses_is_refused_when_none_of_them_will_do(
    listener: tuple[list[str], int], addresses: list[str]
) -> None:
    came, port = listener
    assert is_refusal(await _failed_connection(port, [], *addresses))
    assert came == []


@pytest.mark.parametrize(
    "addresses", [["127.0.0.3"], ["127.0.0.3", "127.0.0.4"], ["127.0.0.3", "10.0.0.1"]]
)
async def test_why_a_host_was_not_reached_is_said_without_its_addresses(
    addresses: list[str],
) -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.3", 0))
        port = taken.getsockname()[1]
        error = await _failed_connection(port, ["127.0.0.3", "127.0.0.4"], *addresses)
    assert not any(address in connection_failure(error) for address in addresses)


async def test_a_redirect_leads_to_nothing_that_is_refused(listener: tuple[list[str], int]) -> None:
    came, port = listener
    guard = OutboundGuard([f"127.0.0.1:{port}"])
    url = f"http://127.0.0.1:{port}/start"
    async with aiohttp.ClientSession(connector=guard.connector(url)) as session:
        with pytest.raises(aiohttp.ClientConnectorError) as refused:
            await session.get(url)
    assert is_refusal(refused.value)
    assert came == ["/start"]


def test_public_is_what_is_public_by_itself() -> None:
    assert is_public(ip_address("8.8.8.8"))
    assert not is_public(ip_address("127.0.0.1"))
