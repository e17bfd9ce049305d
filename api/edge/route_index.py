"""Finds the route of an address by the words in it.

A router asks its routes one after the other, and FastAPI's does so three times, once for each
router that is included in another. Of several hundred routes that takes longer than a read does.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from starlette.convertors import Convertor, StringConvertor
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from api.edge.slashes import other_spelling

_Key = tuple[str, int, str, str]
"""A method, how many words an address has, and its first two, such as `v1` and `agents`."""


@dataclass(frozen=True)
class _Known:
    """A route, as it is asked whether it fits.

    Attributes:
        ends_open: Whether a parameter may hold slashes, and so be any number of words.
    """

    words: list[str]
    ends_open: bool
    pattern: re.Pattern[str]
    convertors: dict[str, Convertor[Any]]
    endpoint: Any
    route: BaseRoute
    operation: str | None
    app: ASGIApp

    def may_be(self, key: _Key) -> bool:
        """Whether an address of that key may be one of this route."""
        _, count, *first = key
        return self.words[1:3] == first and (self.ends_open or len(self.words) == count)


class RouteIndex:
    """Stands in front of a router and takes what exactly fits; all else the router has to judge.

    So it does not matter here what is answered where no route fits, or only another method's.
    """

    def __init__(self, routes: Iterable[RouteContext], router: ASGIApp) -> None:
        """Index what is there.

        Args:
            routes: In the order in which the router asks them.
            router: That has them.
        """
        self._router = router
        self._by_method: dict[str, list[_Known]] = defaultdict(list)
        for route in routes:
            if isinstance(route.original_route, APIRoute) and route.path is not None:
                for method in route.methods or ():
                    self._by_method[method].append(_known(route, route.path))
        self._found: dict[_Key, list[_Known]] = {}
        for method, known in self._by_method.items():
            for one in known:
                key = _key(method, one.words)
                if key is not None and key not in self._found:
                    self._found[key] = [other for other in known if other.may_be(key)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have the route answer that fits, else the router."""
        found = self.find(scope) if scope["type"] == "http" else None
        if found is None:
            await self._router(scope, receive, send)
            return
        known, given = found
        scope["endpoint"], scope["route"], scope["path_params"] = known.endpoint, known.route, given
        await known.app(scope, receive, send)

    def find(self, scope: Scope) -> tuple[_Known, dict[str, Any]] | None:
        """The first route that takes the method at this address, with its parameters."""
        path = scope["path"]
        key = None if scope.get("root_path") else _key(scope["method"], path.split("/"))
        for known in self._found.get(key, ()) if key is not None else ():
            if fits := known.pattern.match(path):
                given = fits.groupdict()
                return known, {name: known.convertors[name].convert(given[name]) for name in given}
        return None

    def operation_at(self, method: str, path: str) -> str | None:
        """The name of what answers there, of whatever shape the address is; None where none does.

        It goes through all routes as the router does, and is for requests that are rare.
        """
        method = "GET" if method == "HEAD" else method
        for spelling in (path, other_spelling(path)):
            for known in self._by_method.get(method, ()):
                if known.pattern.match(spelling):
                    return known.operation
        return None


def find_by_words(app: FastAPI) -> None:
    """Put an index in front of the routes that the application has by now."""
    router = app.router
    index = RouteIndex(iter_route_contexts(app.routes), router.middleware_stack)
    router.middleware_stack = app.state.route_index = index


def operation_of(scope: Scope) -> str | None:
    """The name of what a request asks for, told before it reaches its route."""
    index: RouteIndex = scope["app"].state.route_index
    return index.operation_at(scope["method"], scope["path"])


def _known(route: RouteContext, path: str) -> _Known:
    return _Known(
        words=path.split("/"),
        ends_open=any(type(one) is not StringConvertor for one in route.param_convertors.values()),
        pattern=route.path_regex,
        convertors=route.param_convertors,
        endpoint=route.endpoint,
        route=route.original_route,
        operation=route.operation_id,
        app=route.app,
    )


def _key(method: str, words: list[str]) -> _Key | None:
    return (method, len(words), words[1], words[2]) if len(words) > 2 else None
