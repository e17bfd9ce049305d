"""Routes that are made ready before an API is forked."""

from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, routing

from api.app import create_app, prepare
from o.settings.all import Settings
from o.settings.providers import ProviderSettings


async def test_an_application_takes_what_is_ready_and_no_request_makes_routes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare()
    made: list[str] = []
    make = routing._EffectiveRouteContext.from_api_route

    def noted(**given: object) -> object:
        made.append(given["include_context"].prefix)  # type: ignore[attr-defined]
        return make(**given)  # type: ignore[arg-type]

    monkeypatch.setattr(routing._EffectiveRouteContext, "from_api_route", noted)
    one = create_app(Settings(data_dir=tmp_path), ProviderSettings())
    assert "/v1" not in made
    another = create_app(Settings(data_dir=tmp_path), ProviderSettings())
    assert made.count("/v1") > 200, "they are made with the application"
    made.clear()
    await find_nothing(one)
    await find_nothing(another)
    assert "/v1" not in made, "and none with a request"


async def find_nothing(app: FastAPI) -> None:
    """Ask for what no route has, so that every route is looked at."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        assert (await http.get("/v1/agents/x/y/z")).status_code == 404
