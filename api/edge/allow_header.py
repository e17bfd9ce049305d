"""Which methods an address takes: the `Allow` header of an answer 405.

A router knows the methods of one route only, and an address often has several.
"""

from collections import defaultdict
from collections.abc import Iterable

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, compile_path

PREFIXES = ("/v1", "/latest")
"""Where the whole API is found: the first is the one that is documented."""


class AllowedMethods:
    """The methods of every address; those that are not built are not among them."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        methods: dict[str, set[str]] = defaultdict(set)
        for route in routes:
            if isinstance(route, APIRoute) and route.include_in_schema:
                methods[route.path.rstrip("/")] |= set(route.methods or ())
        # An address that is spelled out is meant before one that has an id in its place.
        for one in methods.values():
            if "GET" in one:
                one.add("HEAD")  # see `api.edge.heads`
        paths = sorted(methods, key=lambda path: path.count("{"))
        self._found = [(compile_path(path)[0], ", ".join(sorted(methods[path]))) for path in paths]

    def of(self, path: str) -> str | None:
        """Such as `GET, PATCH`; None for an address that is not known here."""
        for prefix in PREFIXES:
            if path.startswith(f"{prefix}/"):
                inner = path.removeprefix(prefix).rstrip("/")
                return next((named for known, named in self._found if known.match(inner)), None)
        return None
