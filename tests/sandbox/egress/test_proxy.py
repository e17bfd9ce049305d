"""What comes through the egress proxy, and what tools try in vain."""

import asyncio
from pathlib import Path

import pytest

from o.call_tokens import Call, CallTokens
from o.secrets import Keyring
from sandbox.egress import proxy
from sandbox.egress.exits import Egress
from sandbox.protocol import Network
from tests.sandbox.egress.conftest import Origin, World, job


async def test_a_request_comes_through_and_its_host_is_on_record(world: World) -> None:
    world.names["a.example"] = [["127.0.0.1"]]
    way, place = await world.way_out(), f"a.example:{world.origin.port}"
    answer = await world.get(way, place)
    assert answer == (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
    assert world.origin.requests[0] == (
        f"GET / HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n\r\n".encode()
    )
    assert way.hosts == (place,)


async def test_a_tunnel_carries_both_ways_until_both_are_at_their_end(world: World) -> None:
    way = await world.way_out()
    head = f"CONNECT 127.0.0.1:{world.origin.port} HTTP/1.1\r\n\r\n".encode()
    reader, writer = await world.connect(way)
    world.origin.awaited = b"once"
    writer.write(head + b"at once")  # before it is answered
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 200 Connection established\r\n\r\n"
    assert await reader.readexactly(len(world.origin.answer)) == world.origin.answer
    writer.write(b" and later")
    writer.write_eof()
    assert await reader.read() == b""
    assert await asyncio.wait_for(world.origin.ended.get(), 10) == b"at once and later"


@pytest.mark.parametrize(
    ("sent", "passed"),
    [
        (["Content-Length: 5", "", "hello"], b"hello"),
        (["Content-Length: 5", "", "hello", "GET /smuggled HTTP/1.1"], b"hello"),
        (["Content-Length: 0", "", "GET /smuggled HTTP/1.1"], b""),
        (["Transfer-Encoding: chunked", "", "5", "hello", "0", "", ""], b"5\r\nhello\r\n0\r\n\r\n"),
        (["Transfer-Encoding: chunked", "", "0", "", "GET /smuggled HTTP/1.1"], b"0\r\n\r\n"),
        (["Transfer-Encoding: chunked", "", "1;x=y", "h", "0", "", ""], b""),
        (["Transfer-Encoding: chunked", "", "-1", "h", "0", "", ""], b""),
        (["Transfer-Encoding: chunked", "", "0", "Trailer: x", "", ""], b"0\r\n"),
        (["Transfer-Encoding: chunked", "", "2", "hello", "0", "", ""], b"2\r\nhe"),
    ],
)
async def test_a_body_is_as_long_as_it_says(world: World, sent: list[str], passed: bytes) -> None:
    way, place = await world.way_out(), f"127.0.0.1:{world.origin.port}"
    world.origin.awaited = passed or b"\r\n\r\n"
    head = [f"POST http://{place}/ HTTP/1.1", f"Host: {place}"]
    await world.say(way, "\r\n".join(head + sent).encode())
    request = await asyncio.wait_for(world.origin.ended.get(), 10)
    assert request.partition(b"\r\n\r\n")[2] == passed


@pytest.mark.parametrize(
    "place",
    [
        "127.0.0.1",
        "127.0.0.1:443",
        "127.1.2.3",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "168.63.129.16",
        "224.0.0.1",
        "255.255.255.255",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[2001:0:7f00:1::]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[ff02::1]",
    ],
)
async def test_addresses_that_are_not_public_are_refused_in_words(world: World, place: str) -> None:
    way = await world.way_out()
    plain = await world.get(way, place)
    assert plain.startswith(b"HTTP/1.1 403 "), plain
    assert b"is no public address, and tools reach only those" in plain.split(b"\r\n", 1)[0]
    tunnel = place if ":443" in place else f"{place}:443"
    refused = await world.say(way, f"CONNECT {tunnel} HTTP/1.1\r\n\r\n".encode())
    assert refused.startswith(b"HTTP/1.1 403 ")
    assert b"is no public address" in refused.split(b"\r\n", 1)[0]
    assert all(host.startswith("-") for host in way.hosts)


@pytest.mark.parametrize(
    "spelling", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost"]
)
async def test_other_spellings_of_loopback_are_refused_as_the_system_reads_them(
    tmp_path: Path, spelling: str
) -> None:
    world = World(tmp_path, Origin())
    world.egress = Egress(world.settings)  # the system's own resolver, which asks nobody for these
    await world.egress.start()
    refused = await world.get(await world.way_out(), spelling)
    assert refused.startswith(b"HTTP/1.1 403 "), refused
    await world.egress.close()


async def test_a_name_is_judged_anew_for_each_connection(world: World) -> None:
    world.names["rebound.example"] = [["127.0.0.1"], ["127.0.0.2"]]
    way, place = await world.way_out(), f"rebound.example:{world.origin.port}"
    assert (await world.get(way, f"127.0.0.1:{world.origin.port}")).endswith(b"hi")
    first, second = await world.get(way, place), await world.get(way, place)
    assert first.endswith(b"hi")
    assert second.startswith(b"HTTP/1.1 403 ")
    assert way.hosts[1:] == (place, f"-{place}")


async def test_of_several_addresses_those_that_may_be_reached_are(world: World) -> None:
    world.names["mixed.example"] = [["127.0.0.2", "10.0.0.1", "127.0.0.1"]]
    way = await world.way_out()
    assert (await world.get(way, f"mixed.example:{world.origin.port}")).endswith(b"hi")


async def test_a_redirect_is_a_request_like_any_other(world: World) -> None:
    world.origin.answer = (
        b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
    )
    way = await world.way_out()
    assert b"302 Found" in await world.get(way, f"127.0.0.1:{world.origin.port}")
    assert (await world.get(way, "169.254.169.254")).startswith(b"HTTP/1.1 403 ")
    assert way.hosts[1] == "-169.254.169.254"


@pytest.mark.parametrize(
    ("network", "place", "status"),
    [
        (Network("list", ("a.example",)), "b.example", 403),
        (Network("list", ("a.example",)), "a.example", 502),  # allowed, and not there
        (Network("public"), "a.example:22", 403),
        (Network("public"), "a.example:25", 403),
        (Network("public"), "o.internal", 403),
        (Network("public", api=True), "o.internal:8283", 403),
        (Network("none"), "a.example", 403),
    ],
)
async def test_the_policy_is_held(world: World, network: Network, place: str, status: int) -> None:
    world.names["a.example"] = [[]]
    answer = await world.get(await world.way_out(network), place)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer


async def test_before_a_job_and_after_it_nothing_comes_through(world: World) -> None:
    way, place = await world.egress.open(), f"127.0.0.1:{world.origin.port}"
    assert b"This tool has no network" in await world.get(way, place)
    way.admit(job(Network("public")))
    reader, writer = await world.connect(way)
    writer.write(f"CONNECT {place} HTTP/1.1\r\n\r\n\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(len(world.origin.answer))
    await way.close()
    assert await reader.read() == b""
    assert not way.folder.exists()
    writer.close()


async def test_a_way_out_shows_nothing_of_another(world: World) -> None:
    one, other = await world.way_out(), await world.way_out(Network("list", ("a.example",)))
    await world.get(one, f"127.0.0.1:{world.origin.port}")
    assert other.hosts == ()
    assert sorted(path.name for path in one.folder.iterdir()) == ["ca.pem", "egress"]
    assert one.folder.parent.stat().st_mode & 0o077 == 0
    assert world.settings.data_dir.joinpath("egress").stat().st_mode & 0o077 == 0


async def test_the_api_is_asked_as_the_call_and_as_nobody_else(world: World) -> None:
    way = await world.way_out(Network("public", api=True))
    request = [
        "POST http://o.internal/v1/agents/ HTTP/1.1",
        "Host: o.internal",
        "Authorization: Bearer of-this-call",
        "X-BARE-PASSWORD: password guessed",
        "user_id: user-00000000-0000-4000-8000-000000000000",
        "Origin: http://evil.example",
        "Connection: authorization",
        "Content-Length: 2",
        "Accept: */*",
        "",
        "{}",
    ]
    world.origin.awaited = b"{}"
    answer = await world.say(way, "\r\n".join(request).encode())
    assert answer.endswith(b"hi")
    first, host, accept, *others = world.origin.requests[0].decode().split("\r\n")
    assert (first, host) == ("POST /v1/agents/ HTTP/1.1", f"Host: 127.0.0.1:{world.origin.port}")
    (signed,) = [line for line in (accept, *others) if line.startswith("Authorization: ")]
    token = signed.removeprefix("Authorization: Bearer ")
    tokens = CallTokens(Keyring(world.settings.data_dir))
    assert tokens.read(token) == Call("org-1", "job-1", "agent-1")
    said = world.origin.requests[0].lower()
    assert not any(name in said for name in (b"password", b"user_id", b"origin", b"of-this-call"))
    assert way.hosts == ("o.internal",)


async def test_no_tunnel_leads_to_the_api(world: World) -> None:
    way = await world.way_out(Network("public", api=True))
    for place in ("o.internal:80", "o.internal:443", "O.INTERNAL.:80"):
        answer = await world.say(way, f"CONNECT {place} HTTP/1.1\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 403 This tool may not use the API"), answer
    assert world.origin.requests == []


async def test_too_much_at_once_is_refused_in_words(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy, "_LINGER_S", 0.05)
    way = await world.way_out()
    assert b"431" in (await world.say(way, b"GET http://a/ HTTP/1.1\r\nX: " + b"a" * 40_000))[:12]
    slow = []
    for _ in range(32):
        slow.append(await world.connect(way))
        slow[-1][1].write(b"GET ")
    # Answered, as those before it are not: each has its time to say what it wants.
    assert b"429" in (await world.get(way, f"127.0.0.1:{world.origin.port}"))[:12]
    for _, writer in slow:
        writer.close()
    monkeypatch.setattr(proxy, "_IN_ALL", 40)
    answers = [await world.get(way, f"127.0.0.1:{world.origin.port}") for _ in range(10)]
    assert answers[0].endswith(b"hi")
    assert b"429" in answers[-1][:12]


async def test_a_request_that_drips_is_not_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy, "_HEAD_S", 0.1)
    way = await world.way_out()
    assert (await world.say(way, b"GET http://a/ HTTP/1.1\r\nX: ")).startswith(b"HTTP/1.1 408 ")


async def test_a_job_carries_no_more_bytes_than_it_may(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy, "_MOST_BYTES", 300_000)
    world.origin.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"a" * 200_000
    way, place = await world.way_out(), f"127.0.0.1:{world.origin.port}"
    assert len(await world.get(way, place)) > 200_000
    assert len(await world.get(way, place)) < 200_000


@pytest.mark.parametrize(
    "answer", [b"hello\r\n\r\n", b"\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000]
)
async def test_an_answer_that_is_no_http_is_said_to_be_none(world: World, answer: bytes) -> None:
    world.origin.answer = answer
    found = await world.get(await world.way_out(), f"127.0.0.1:{world.origin.port}")
    assert b"does not answer in HTTP" in found.split(b"\r\n", 1)[0]


async def test_what_dead_workers_left_is_cleared_away(world: World) -> None:
    await world.way_out()
    home = world.settings.data_dir / "egress"
    (alive,) = home.iterdir()
    left = home / "worker-dead"
    left.mkdir()
    (left / "lock").touch()
    other = Egress(world.settings)
    await other.start()
    assert not left.exists()
    assert alive.exists()
    await other.close()
    assert list(home.iterdir()) == [alive]
