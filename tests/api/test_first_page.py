"""What a person sees who opens the server's address in a browser."""

import re

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from api.app import create_app
from o.settings.all import Settings
from o.settings.providers import ProviderSettings
from tests.support.product import Product

_ADDRESS = re.compile(r'(?:href|src|url)="([^"]+)"')


def browser(settings: Settings) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(settings, ProviderSettings()))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


@pytest.fixture(scope="module")
def locked() -> httpx.AsyncClient:
    """A browser, which has no token, at a server that wants one."""
    return browser(Settings(api_token=SecretStr("open sesame")))


@pytest.fixture
def page(server: Product) -> httpx.Response:
    return httpx.get(server.url)


def test_the_first_page_says_what_this_is_and_where_to_go(
    page: httpx.Response, server: Product
) -> None:
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    links = _ADDRESS.findall(page.text)
    assert {"docs", "openapi.json", "v1/health/", "v1/ready/"} <= set(links)
    for link in links:
        address = httpx.URL(server.url + "/").join(link)
        assert httpx.get(address, timeout=60).status_code == 200, link
    assert str(server.state["temporal_ui"]) in links


def test_the_first_page_loads_nothing_from_anywhere(page: httpx.Response) -> None:
    assert "<script" not in page.text
    assert "src=" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


async def test_the_first_page_needs_no_token_and_says_that_requests_do(
    locked: httpx.AsyncClient,
) -> None:
    answer = await locked.get("/")
    assert answer.status_code == 200
    assert "need the server's token" in answer.text
    assert "open sesame" not in answer.text
    assert (await locked.head("/")).status_code == 200


async def test_a_browser_reads_the_docs_of_a_server_with_a_token(
    locked: httpx.AsyncClient,
) -> None:
    docs = await locked.get("/docs")
    assert docs.status_code == 200
    local = [a for a in _ADDRESS.findall(docs.text) if a.startswith("/")]
    assert local, docs.text
    for address in [*local, "/openapi.json"]:
        assert (await locked.get(address)).status_code == 200, address
    assert "http" not in "".join(_ADDRESS.findall(docs.text)), "nothing comes from elsewhere"


@pytest.mark.parametrize(
    "path", ["/v1/agents/", "/docs/x", "/static-offline-docs", "/v1/health/x", "//", "/openapi"]
)
async def test_the_rest_stays_closed(locked: httpx.AsyncClient, path: str) -> None:
    assert (await locked.get(f"http://localhost{path}")).status_code == 401


async def test_a_server_that_does_not_know_temporals_ui_says_so() -> None:
    answer = await browser(Settings()).get("/")
    assert "its address is not known here" in answer.text


async def test_the_address_of_temporals_ui_is_text_and_no_markup() -> None:
    answer = await browser(Settings(temporal_ui_url='http://t/"><b>')).get("/")
    assert "<b>" not in answer.text
    with pytest.raises(ValidationError, match="temporal_ui_url"):
        Settings(temporal_ui_url="javascript:alert(1)")
