"""What the egress proxy reads of a request, and what it does not take."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.egress.head import BadRequest, Head, parse_head
from sandbox.egress.relay import spell_head


def _read(*lines: str) -> Head:
    return parse_head("\r\n".join([*lines, "", ""]).encode("latin-1"))


@pytest.mark.parametrize(
    ("lines", "host", "port", "path"),
    [
        (
            ["GET http://Example.COM/a?b=c HTTP/1.1", "Host: example.com"],
            "example.com",
            80,
            "/a?b=c",
        ),
        (["GET http://example.com HTTP/1.1", "host:example.com:80"], "example.com", 80, "/"),
        (["GET HTTP://example.com./ HTTP/1.1", "Host: example.com."], "example.com", 80, "/"),
        (["GET http://example.com?q HTTP/1.1", "Host: example.com"], "example.com", 80, "/?q"),
        (["GET http://[::1]:81/ HTTP/1.1", "Host: [0:0::1]:81"], "::1", 81, "/"),
        (["GET http://a/ HTTP/1.0"], "a", 80, "/"),
        (["CONNECT example.com:443 HTTP/1.1", "Host: example.com"], "example.com", 443, ""),
        (["CONNECT example.com:443 HTTP/1.0"], "example.com", 443, ""),
        (["CONNECT [2001:db8::1]:443 HTTP/1.1"], "2001:db8::1", 443, ""),
        (["CONNECT 2130706433:80 HTTP/1.1"], "2130706433", 80, ""),
        (["CONNECT 0x7f.1:80 HTTP/1.1"], "0x7f.1", 80, ""),
    ],
)
def test_a_request_says_where_it_goes(lines: list[str], host: str, port: int, path: str) -> None:
    head = _read(*lines)
    assert (head.host, head.port, head.path) == (host, port, path)


_OK = "Host: a.example"


@pytest.mark.parametrize(
    "lines",
    [
        ["GET / HTTP/1.1", _OK],
        ["GET https://a.example/ HTTP/1.1", _OK],
        ["GET http:///etc HTTP/1.1", "Host: "],
        ["GET unix:///run/o/egress HTTP/1.1", _OK],
        ["CONNECT /run/o/egress HTTP/1.1", _OK],
        ["CONNECT unix:/run/o/egress:80 HTTP/1.1"],
        ["GET http://u:p@a.example/ HTTP/1.1", _OK],
        ["GET http://b.example@a.example/ HTTP/1.1", _OK],
        ["GET http://a.example\\@b.example/ HTTP/1.1", _OK],
        ["GET http://a.example#@b.example/ HTTP/1.1", _OK],
        ["GET http://a.example/ HTTP/1.1"],
        ["GET http://a.example/ HTTP/1.1", "Host: b.example"],
        ["GET http://a.example/ HTTP/1.1", "Host: a.example:81"],
        ["GET http://a.example/ HTTP/1.1", _OK, _OK],
        ["GET http://a.example/ HTTP/1.1", _OK, "host: b.example"],
        ["GET http://a.example/ HTTP/1.1", "Host : a.example"],
        ["GET http://a.example/ HTTP/1.1", _OK, " folded: yes"],
        ["GET http://a.example/ HTTP/1.1", _OK, "X: a\nHost: b.example"],
        ["GET http://a.example/ HTTP/1.1", _OK, "X: a\rb"],
        ["GET http://a.example/ HTTP/1.1", _OK, "X: a\0b"],
        ["GET http://a.example/ HTTP/1.1", _OK, "no colon"],
        ["GET http://a.example/\nX: HTTP/1.1", _OK],
        ["GET http://a.example/ HTTP/1.1 ", _OK],
        ["GET  http://a.example/ HTTP/1.1", _OK],
        ["GET http://a.example/ HTTP/2.0", _OK],
        ["GET http://a.example/", _OK],
        ["PRI * HTTP/2.0"],
        ["", "GET http://a.example/ HTTP/1.1", _OK],
        ["TRACE http://a.example/ HTTP/1.1", _OK],
        ["track http://a.example/ HTTP/1.1", _OK],
        ["POST http://a.example/ HTTP/1.1", _OK, "Content-Length: 1", "Content-Length: 1"],
        ["POST http://a.example/ HTTP/1.1", _OK, "Content-Length: 1, 1"],
        ["POST http://a.example/ HTTP/1.1", _OK, "Content-Length: +1"],
        ["POST http://a.example/ HTTP/1.1", _OK, "Content-Length: 0x1"],
        ["POST http://a.example/ HTTP/1.1", _OK, "Content-Length: "],
        ["POST http://a.example/ HTTP/1.1", _OK, "Content-Length: 1", "Transfer-Encoding: chunked"],
        ["POST http://a.example/ HTTP/1.1", _OK, "Transfer-Encoding: gzip, chunked"],
        ["POST http://a.example/ HTTP/1.1", _OK, "Transfer-Encoding: xchunked"],
        ["POST http://a.example/ HTTP/1.1", _OK, "Transfer-Encoding : chunked"],
        ["CONNECT a.example HTTP/1.1"],
        ["CONNECT a.example:0 HTTP/1.1"],
        ["CONNECT a.example:65536 HTTP/1.1"],
        ["CONNECT a.example:443:80 HTTP/1.1"],
        ["CONNECT a.example:443/ HTTP/1.1"],
        ["CONNECT http://a.example:443 HTTP/1.1"],
        ["CONNECT a.example:443 HTTP/1.1", "Host: b.example:443"],
        ["CONNECT a.example:443 HTTP/1.1", "Host: a.example:80"],
        ["CONNECT a.example:443 HTTP/1.1", "Content-Length: 5"],
        ["CONNECT ::1:443 HTTP/1.1"],
        ["CONNECT [fe80::1%25eth0]:80 HTTP/1.1"],
        ["CONNECT [fe80::1%eth0]:80 HTTP/1.1"],
        ["CONNECT [::ffff:127.0.0.1:80 HTTP/1.1"],
        ["CONNECT [127.0.0.1]:80 HTTP/1.1"],
        ["CONNECT -a.example:80 HTTP/1.1"],
        ["CONNECT a..example:80 HTTP/1.1"],
        ["CONNECT .:80 HTTP/1.1"],
        ["CONNECT a.example%00.b.example:80 HTTP/1.1"],
        ["CONNECT a\xad.example:80 HTTP/1.1"],
        ["CONNECT *.example:80 HTTP/1.1"],
        [f"CONNECT {'a.' * 130}example:80 HTTP/1.1"],
        [f"CONNECT {'a' * 64}.example:80 HTTP/1.1"],
        ["GET http://a.example/ HTTP/1.1", _OK, *["x: y"] * 100],
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(lines: list[str]) -> None:
    with pytest.raises(BadRequest):
        _read(*lines)


def test_what_belongs_to_this_connection_goes_no_further() -> None:
    head = _read(
        "POST http://a.example:81/p HTTP/1.1",
        "Host: a.example:81",
        "Proxy-Authorization: Basic c2VjcmV0",
        "Proxy-Connection: keep-alive",
        "Connection: keep-alive, X-Own, Host, Content-Length",
        "Keep-Alive: 5",
        "TE: trailers",
        "Upgrade: h2c",
        "X-Own: 1",
        "Authorization: Bearer kept",
        "Content-Length: 3",
    )
    assert spell_head(head) == (
        b"POST /p HTTP/1.1\r\nHost: a.example:81\r\nAuthorization: Bearer kept\r\n"
        b"Content-Length: 3\r\nConnection: close\r\n\r\n"
    )


_BITS = (
    "GET |CONNECT |http://|a.example|127.0.0.1|[::1]|@|:80|:443|/|#| HTTP/1.1|\r\n|\n|\r|Host: |"
    "Content-Length: |5|\0|%|Transfer-Encoding: chunked|Connection: close| |\t|:|?|\\|\xff"
)


@given(
    st.one_of(
        st.binary(max_size=300),
        st.lists(st.sampled_from(_BITS.split("|")), max_size=30).map("".join),
    )
)
def test_no_bytes_break_the_reader_and_what_it_takes_is_plain(found: bytes | str) -> None:
    raw = found if isinstance(found, bytes) else found.encode("latin-1")
    try:
        head = parse_head(raw + b"\r\n\r\n")
    except BadRequest:
        return
    assert re.fullmatch(r"[a-z0-9_.:-]{1,253}", head.host)
    assert 0 < head.port < 65536
    if not head.is_tunnel:  # what is passed on is read as the same, by whoever comes next
        first, *lines = spell_head(head).decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        assert re.fullmatch(r"\S+ /\S* HTTP/1\.1", first)
        assert all(re.fullmatch(r"[^\s:]+:[^\r\n\0]*", line) for line in lines)
        assert sum(line.lower().startswith("host:") for line in lines) == 1
        assert sum(line.lower().startswith("content-length:") for line in lines) <= 1
