"""Without a token, no page of somebody else can drive the server from a browser."""

import httpx
import pytest

from tests.support.product import Product

REFUSED = 403


@pytest.fixture
def http(server: Product) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=30)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8283", 200),
        ("LOCALHOST", 200),
        ("127.0.0.1", 200),
        ("127.1.2.3:1", 200),
        ("[::1]:8283", 200),
        ("letta.localhost", 200),
        ("rebound.example", REFUSED),
        ("rebound.example:8283", REFUSED),
        ("localhost.example", REFUSED),
        ("127.0.0.1.example", REFUSED),
        ("evillocalhost", REFUSED),
        ("192.168.1.5:8283", REFUSED),
        ("[::ffff:1.2.3.4]", REFUSED),
        ("localhost:8283@example", REFUSED),
        ("", REFUSED),
    ],
)
def test_the_server_goes_by_names_of_loopback_only(
    http: httpx.Client, host: str, status: int
) -> None:
    answer = http.get("/v1/agents/", headers={"host": host})
    assert answer.status_code == status
    if status == REFUSED:
        assert "O_ALLOWED_HOSTS" in answer.json()["detail"]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:3001", "http://localhost.evil"]
)
@pytest.mark.parametrize("path", ["/v1/agents/", "/v1/tools/", "/latest/agents/"])
def test_a_page_of_a_foreign_origin_changes_and_reads_nothing(
    server: Product, http: httpx.Client, origin: str, path: str
) -> None:
    counted = server.query("SELECT count(*) FROM agents")
    for method in ("GET", "POST"):
        answer = http.request(
            method, path, content=b"{}", headers={"origin": origin, "content-type": "text/plain"}
        )
        assert answer.status_code == REFUSED
        assert "O_CORS_ORIGINS" in answer.json()["detail"]
        assert "access-control-allow-origin" not in answer.headers
    assert server.query("SELECT count(*) FROM agents") == counted


def test_a_foreign_page_is_told_so_when_it_asks_before(http: httpx.Client) -> None:
    headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    answer = http.options("/v1/agents/", headers=headers)
    assert answer.status_code == 400
    assert "access-control-allow-origin" not in answer.headers


def test_a_page_that_is_being_developed_may_use_the_server_as_with_v1(http: httpx.Client) -> None:
    origin = {"origin": "http://localhost:3000"}
    asked = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,x-stainless-lang",
    }
    before = http.options("/v1/agents/", headers=origin | asked)
    assert before.status_code == 200
    assert before.headers["access-control-allow-origin"] == origin["origin"]
    answer = http.get("/v1/agents/", headers=origin)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == origin["origin"]
    refused = http.post("/v1/agents/", headers=origin, json={"name": 1})
    assert refused.status_code == 422
    assert refused.headers["access-control-allow-origin"] == origin["origin"]


def test_a_page_of_the_server_itself_may_use_it(server: Product, http: httpx.Client) -> None:
    assert http.get("/v1/agents/", headers={"origin": server.url}).status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
def test_what_a_form_of_a_page_sends_is_not_read_as_json(http: httpx.Client, kind: str) -> None:
    answer = http.post("/v1/agents/", content=b"{}", headers={"content-type": kind})
    assert answer.status_code == 422
    assert "content-type: application/json" in answer.json()["detail"]


def test_a_body_without_a_type_is_json_as_with_v1(http: httpx.Client) -> None:
    answer = http.post("/v1/blocks/", content=b'{"label": "plain", "value": "x"}')
    assert answer.status_code == 200
    assert http.delete(f"/v1/blocks/{answer.json()['id']}").status_code == 200
