"""Pages that are hostile, broken or merely strange become text or a sentence, within bounds."""

import asyncio
import time
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from o.errors import ToolFailed
from o.outbound import OutboundGuard
from o.tools.invocation import Invocation, Returned
from o.web.pages import Pages
from o.web.tools import FetchRunner
from tests.web import site as sites
from tests.web.site import Asked, Site, page, to

ARTICLE = """<html><head><title>Tides &amp; moons</title><style>p {}</style>
<script>alert(1)</script></head><body><nav><a href="/">Home</a></nav>
<h1>Tides</h1><p>The <b>moon</b> pulls. <a href="/more?x=1">More</a>
<a href="javascript:alert(1)">click</a></p>
<table><tr><th>k</th><th>v</th></tr><tr><td>1</td><td>2</td></tr></table>
<img alt="a moon" src="data:image/png;base64,AAAA"><div style="display:none">unseen</div>
<pre><code class="language-py">x = 1</code></pre></body></html>"""

DEEP = "<div>" * 1_000_000 + "deep" + "</div>" * 1_000_000
TANGLED = ("<b><i><a href=y><font>" * 2_000 + "<p>") * 20
OPEN_TABLES = "<table><tr><td>" * 60_000 + "cell"


def odd_head(asked: Asked) -> bytes:
    """Refuses HEAD, as many do; nothing here sends one."""
    return page("<p>got</p>") if asked.method == "GET" else page("", status="405 No")


PAGES: dict[str, Any] = {
    "/article": page(ARTICLE),
    "/json": page('{"a": [1, 2]}', "application/json"),
    "/text": page("  plain\n\ttext <b>", "text/plain"),
    "/feed": page("<?xml version='1.0'?><rss/>", "application/rss+xml"),
    "/pdf": page(b"%PDF-1.7 \0\1", "application/pdf"),
    "/pdf-as-html": page(b"%PDF-1.7 \0\1"),
    "/png": page(b"\x89PNG\r\n\0\0", "image/png"),
    "/binary-as-text": page(b"\x7fELF\0\0\0", "text/plain"),
    "/untyped-html": page("<!doctype html><p>typed by its looks</p>", None),
    "/untyped-text": page("just words", None),
    "/octets": page("words in octets", "application/octet-stream"),
    "/empty": page(""),
    "/scripts": page("<html><body><div id=root></div><script>go()</script></body></html>"),
    "/endless": sites.endless,
    "/bomb": sites.bomb,
    "/gzip": sites.packed("unpacked"),
    "/deflate": sites.bare_deflate("bare"),
    "/brotli": page(b"x", "text/plain", Content_Encoding="br"),
    "/wrongly-packed": page(b"not gzip", "text/plain", Content_Encoding="gzip"),
    "/deep": page(DEEP[:5_000_000]),
    "/tangled": page(TANGLED),
    "/tables": page(OPEN_TABLES),
    "/loop": to("/loop"),
    "/pair": to("/riap"),
    "/riap": to("/pair"),
    "/moved": to("/article", "301 Moved"),
    "/wall": sites.cookie_wall,
    "/odd-head": odd_head,
    "/metadata": to("http://169.254.169.254/latest/meta-data/"),
    "/metadata-decimal": to("http://2852039166/latest/"),
    "/private": to("http://10.0.0.1/"),
    "/six": to("http://[::1]:1/"),
    "/file": to("file:///etc/passwd"),
    "/user": to("http://user:secret@127.0.0.1/"),
    "/latin1-lie": page("<p>caf\xe9</p>".encode("latin-1")),
    "/utf8-lie": page("<p>caf\xe9</p>".encode(), "text/html; charset=iso-8859-1"),
    "/meta-charset": page(
        '<meta charset="windows-1251"><p>привет</p>'.encode("cp1251"), "text/html"
    ),
    "/japanese": page("<p>日本語</p>".encode("iso2022_jp"), "text/html; charset=iso-2022-jp"),
    "/utf16": page("<p>wide é</p>".encode("utf-16"), "text/html"),
    "/odd-charset": page("<p>words é</p>".encode(), "text/html; charset=zip"),
    "/403": page("no", status="403 Forbidden"),
    "/404": page("no", status="404 Not Found"),
    "/429": page("no", status="429 Too Many", Retry_After="60"),
    "/500": page("no", status="500 Oh"),
    "/no-http": b"SSH-2.0-OpenSSH_9\r\n",
    "/hangs-up": b"",
    "/short": b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\nContent-Type: text/plain\r\n\r\nhalf",
    "/huge-head": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
}


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[Site]:
    async with Site(PAGES) as site:
        yield site


async def fetched(site: Site, url: str, **bounds: float) -> Returned:
    guard = OutboundGuard([f"127.0.0.1:{site.port}"])
    runner = FetchRunner(Pages(guard, **bounds))  # type: ignore[arg-type]
    call = Invocation("org", "fetch_webpage", {"url": url}, idempotency_key="key")
    begun = []

    async def before_sending() -> None:
        begun.append(True)

    returned = await runner.run(call, before_sending=before_sending)
    assert begun == [True]
    return returned


@pytest.mark.parametrize(
    ("path", "holds"),
    [
        ("/json", '{"a": [1, 2]}'),
        ("/text", "  plain\n\ttext <b>"),
        ("/feed", "<rss/>"),
        ("/untyped-html", "typed by its looks"),
        ("/untyped-text", "just words"),
        ("/octets", "words in octets"),
        ("/gzip", "unpacked"),
        ("/deflate", "bare"),
        ("/moved", "# Tides"),
        ("/wall", "Behind the wall."),
        ("/odd-head", "got"),
        ("/latin1-lie", "café"),
        ("/utf8-lie", "café"),
        ("/meta-charset", "привет"),
        ("/japanese", "日本語"),
        ("/utf16", "wide é"),
        ("/odd-charset", "words é"),
        ("/endless", "xxxx"),
    ],
)
async def test_what_can_be_read_is_read(site: Site, path: str, holds: str) -> None:
    returned = await fetched(site, site.url(path))
    assert (returned.status, holds in returned.content) == ("success", True), returned.content[:500]
    assert returned.hosts == ["127.0.0.1"]
    assert len(returned.content) < 51_000


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/pdf", "PDF"),
        ("/pdf-as-html", "PDF"),
        ("/png", "no text"),
        ("/binary-as-text", "no text"),
        ("/empty", "no text to read"),
        ("/scripts", "scripts"),
        ("/brotli", "packed as 'br'"),
        ("/wrongly-packed", "packed wrongly"),
        ("/loop", "10 redirects"),
        ("/pair", "10 redirects"),
        ("/metadata", "not public"),
        ("/metadata-decimal", "no address of a page"),
        ("/private", "not public"),
        ("/six", "not public"),
        ("/file", "no address of a page"),
        ("/user", "name or password"),
        ("/403", "HTTP 403"),
        ("/404", "HTTP 404"),
        ("/429", "HTTP 429"),
        ("/500", "HTTP 500"),
        ("/no-http", "no proper HTTP"),
        ("/hangs-up", "no proper HTTP"),
        ("/short", "no proper HTTP"),
        ("/huge-head", "no proper HTTP"),
    ],
)
async def test_what_cannot_be_read_is_a_sentence(site: Site, path: str, says: str) -> None:
    returned = await fetched(site, site.url(path))
    assert (returned.status, says in returned.content) == ("error", True), returned.content[:500]
    assert "169.254" not in returned.content


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://127.0.0.1:1/", "not public"),
        ("http://localhost:1/", "not public"),
        ("http://[::ffff:169.254.169.254]/", "not public"),
        ("http://0x7f000001:1/", "not public"),
        ("ftp://example.com/", "no address of a page"),
        ("javascript:alert(1)", "no address of a page"),
        ("http://", "no address of a page"),
        ("http://[::1", "no address of a page"),
        ("http://exa mple\0.invalid/", "no address of a page"),
        ("http://" + "a" * 300 + ".invalid/", "page"),
    ],
)
async def test_an_address_that_leads_nowhere_public_is_refused(
    site: Site, url: str, says: str
) -> None:
    returned = await fetched(site, url)
    assert (returned.status, says in returned.content) == ("error", True), returned.content


async def test_html_becomes_markdown_that_is_worth_reading(site: Site) -> None:
    text = (await fetched(site, site.url("/article"))).content
    for part in ("# Tides & moons", "**moon**", "| 1 | 2 |", "```py\nx = 1", "a moon"):
        assert part in text
    assert f"[More]({site.url('/more?x=1')})" in text
    for part in ("alert", "javascript", "base64", "unseen", "Home"):
        assert part not in text


@pytest.mark.parametrize("path", ["/deep", "/tangled", "/tables"])
async def test_html_that_is_built_to_hurt_takes_bounded_time(site: Site, path: str) -> None:
    begun = time.monotonic()
    returned = await fetched(site, site.url(path))
    assert time.monotonic() - begun < 45
    assert (
        returned.status == "success"
        or "takes too long" in returned.content
        or ("no text to read" in returned.content)
    )


async def test_a_bomb_is_unpacked_no_further_than_is_read(site: Site) -> None:
    await fetched(site, site.url("/gzip"))  # what is loaded late counts for nobody
    tracemalloc.start()
    try:
        returned = await fetched(site, site.url("/bomb"))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert returned.status == "error", "a text of NULs is none"
    assert most < 64 * 1024 * 1024


async def test_a_page_that_drips_is_given_up() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        try:
            while True:
                writer.write(b".")
                await writer.drain()
                await asyncio.sleep(0.02)
        except ConnectionError:
            writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        pages = Pages(OutboundGuard([f"127.0.0.1:{port}"]), whole_s=0.3)
        with pytest.raises(ToolFailed, match="did not come"):
            await pages.fetch(f"http://127.0.0.1:{port}/", lambda host: None)


async def test_no_cookie_is_there_in_another_call(site: Site) -> None:
    for _ in range(2):
        site.asked.clear()
        await fetched(site, site.url("/wall"))
        assert ["cookie" in asked.headers for asked in site.asked] == [False, True]
