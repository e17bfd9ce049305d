"""Where the commands that speak to a server find it, and as whom: all of them in this one way."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from o.settings.all import Settings

_Command = TypeVar("_Command", bound=Callable[..., Any])


def url_option(command: _Command) -> _Command:
    """`--url`: what goes before everything that `address_of_api` looks at."""
    said = "Where the API is [O_BASE_URL; that of the `o up` of O_DATA_DIR, or this machine]."
    return click.option("--url", envvar="O_BASE_URL", help=said)(command)


def user_option(command: _Command) -> _Command:
    """`--user`: as whom the API is asked, in V1's header."""
    said = "As whom the API is asked, by id: things are those of this user's organization."
    return click.option("--user", "user_id", metavar="ID", help=said)(command)


def address_of_api(settings: Settings, url: str | None = None) -> str:
    """Where the API is, without a slash at its end.

    What is said goes first: `url`, O_API_URL, O_PORT. Else it is the `o up` that runs on the data
    directory, on whatever port; where none does, the port that one would have by default.
    """
    from server.up import state  # noqa: PLC0415  psutil, which few commands need

    if url:
        return url.rstrip("/")
    is_told = settings.api_url or ("port" in settings.model_fields_set and settings.port)
    running = None if is_told else state.running(settings.data_dir.resolve())
    return (running.api if running else settings.url_of_api).rstrip("/")
