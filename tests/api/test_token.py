"""A server with a token lets nobody else in, health aside."""

import httpx
import pytest
from pydantic import SecretStr

from api.app import create_app
from o.settings.all import Settings
from o.settings.providers import ProviderSettings


@pytest.fixture(scope="module")
def http() -> httpx.AsyncClient:
    """The application without its parts: a request that gets past the door fails with 500."""
    app = create_app(Settings(api_token=SecretStr("open sesame")), ProviderSettings())
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://o")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer "}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Bearer open sesame"}, 500),
        ({"Authorization": "bearer open sesame"}, 500),
        ({"Authorization": "BEARER  open sesame"}, 500),
        ({"Authorization": "password open sesame"}, 401),
        ({"Authorization": "open sesame"}, 401),
        ({"Authorization": "Bearer open"}, 401),
        ({"X-BARE-PASSWORD": "password open sesame"}, 500),
        ({"X-BARE-PASSWORD": "open sesame"}, 401),
    ],
)
async def test_only_the_token_opens(
    http: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    answer = await http.get("/v1/agents/", headers=headers)
    assert answer.status_code == status
    if status == 401:
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json().keys() == {"detail"}
        said = answer.json()["detail"]
        assert said.startswith("Unauthorized")
        assert "Authorization: Bearer" in said
        assert "O_API_TOKEN" in said
        assert "open sesame" not in said


async def test_health_needs_no_token(http: httpx.AsyncClient) -> None:
    assert (await http.get("/v1/health/")).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status", "kind", "code"),
    [
        ({}, 401, "authentication_error", "invalid_api_key"),
        ({"Authorization": "Bearer open sesame"}, 500, "server_error", None),
    ],
)
async def test_clients_of_openai_are_told_in_their_words(
    http: httpx.AsyncClient, headers: dict[str, str], status: int, kind: str, code: str | None
) -> None:
    answer = await http.get("/v1/models", headers=headers)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["code"]) == (status, kind, code)
    assert ("www-authenticate" in answer.headers) is (status == 401)
