"""The index of routes finds what the router would find by asking one route after the other."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts

from api.app import create_app
from api.edge.route_index import RouteIndex
from o.settings.all import Settings
from o.settings.providers import ProviderSettings

_METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")


@cache
def application() -> FastAPI:
    return create_app(Settings(database_url=None), ProviderSettings())


@dataclass(frozen=True)
class Known:
    """A route as it is documented, and as the router asks it."""

    words: list[str]
    context: RouteContext

    @property
    def ends_open(self) -> bool:
        return any(":" in word for word in self.words)


@cache
def known(method: str) -> list[Known]:
    return [
        Known(str(one.path).split("/"), one)
        for one in iter_route_contexts(application().routes)
        if isinstance(one.original_route, APIRoute)
        and str(one.path).startswith("/v1/")
        and method in (one.methods or ())
    ]


def index() -> RouteIndex:
    found = application().router.middleware_stack
    assert isinstance(found, RouteIndex)
    return found


def found_at(method: str, path: str) -> tuple[object, dict[str, Any]] | None:
    found = index().find({"type": "http", "method": method, "path": path})
    return None if found is None else (found[0].app, found[1])


def asked_in_turn(method: str, path: str) -> tuple[object, dict[str, Any]] | None:
    for one in known(method):
        if fits := one.context.path_regex.match(path):
            return one.context.app, fits.groupdict()
    return None


def addresses(route: Known) -> Iterator[str]:
    """Addresses of a route: with ids, and with words in their place that other routes have."""
    words = route.words
    for sample in ("agent-1", "a b%20c", "a/b", "x/", ""):
        yield "/".join(sample if "{" in word else word for word in words)
    for other in (one.words for method in _METHODS for one in known(method)):
        if other[1:3] == words[1:3] and len(other) == len(words):
            mixed = zip(words, other, strict=True)
            yield "/".join((theirs if "{" in ours else ours).strip("{}") for ours, theirs in mixed)


def test_every_address_leads_to_the_route_that_the_router_would_ask_first() -> None:
    paths = {path for method in _METHODS for route in known(method) for path in addresses(route)}
    for method in _METHODS:
        open_words = [one.words[1:3] for one in known(method) if one.ends_open]
        for path in paths:
            found, expected = found_at(method, path), asked_in_turn(method, path)
            left = found is None and path.split("/")[1:3] in open_words
            assert left or found == expected, f"{method} {path}"
    assert len(paths) > 500


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "FOUND"])
def test_methods_that_no_route_takes_are_left_to_the_router(method: str) -> None:
    assert found_at(method, "/v1/agents/agent-1") is None


@pytest.mark.parametrize("path", ["", "/", "//", "/v1", "/v1/", "///", "/v2/agents/", "*", "/v1//"])
def test_addresses_of_no_kind_are_left_to_the_router(path: str) -> None:
    assert found_at("GET", path) is None


def test_an_application_below_a_root_path_is_left_to_the_router() -> None:
    below = {"type": "http", "method": "GET", "path": "/v1/agents/", "root_path": "/v1"}
    assert index().find(below) is None
