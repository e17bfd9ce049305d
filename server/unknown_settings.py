"""Variables that look like settings of O and are none: misspelt, or V1's, and without effect."""

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pydantic import AliasChoices

from o.settings.all import Settings
from o.settings.providers import ProviderSettings
from server.small_files import read_small

_log = logging.getLogger(__name__)

_PREFIX = "O_"
_ALIKE = 0.75
"""How alike, of 1, names are of which one may be meant for the other: a few letters apart."""
_OF_COMMANDS = frozenset({"O_BASE_URL", "O_LETTA_ENCRYPTION_KEY"})
_ELSEWHERE = re.compile(
    # Of docker-compose.yml and of what builds images.
    r"O_(IMAGE|PUBLISH|PUBLISH_UI|SANDBOX_DIR|IMAGE_FROM|SANDBOX_IMAGE_FROM)"
    # What a supervisor hands to its processes.
    r"|O_(LIFELINE_FD|READY_FD|SOCKET_FD_\d+)"
    # Of tests.
    r"|O_(TEST|KILL|FUZZ)_\w+|O_LONG_TURNS|O_HOSTILE_SECRET"
    # What Kubernetes tells each container of a service that is called o, or o-….
    r"|O_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP)(_\w+)?)"
)
"""What others read, or nobody has set by hand."""
_OF_V1 = {
    "LETTA_SERVER_PASSWORD": "O_API_TOKEN",
    "LETTA_SERVER_SECURE": "O_API_TOKEN",
    **dict.fromkeys(
        (f"LETTA_PG_{part}" for part in ("URI", "HOST", "PORT", "DB", "USER", "PASSWORD")),
        "DATABASE_URL",
    ),
    "LETTA_ENCRYPTION_KEY": "O_LETTA_ENCRYPTION_KEY for `o import letta`",
    "LETTA_UVICORN_WORKERS": "O_API_PROCESSES",
    "LETTA_OTEL_EXPORTER_OTLP_ENDPOINT": "O_OTLP_ENDPOINT",
}
"""Settings of V1 that change what it does and are not read here, and what stands in their place."""
_MOST = 50
"""Told of: where there are more, another program's names begin as ours do."""
_ASSIGNED = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=")


@dataclass(frozen=True)
class Unknown:
    """A variable that nothing reads.

    Attributes:
        variable: Its name.
        nearest: The setting that is called most alike; empty where none is.
        place: Where it is set.
        instead: Of a setting of V1: what is set here in its place.
    """

    variable: str
    nearest: str
    place: str
    instead: str = ""


def unknown_settings(environment: Mapping[str, str]) -> list[Unknown]:
    """What is set in the environment, or in a `.env` that lies here, and is no setting.

    V1's first, since a password that is not read lets everybody in. At most 50 of them. Docker
    Compose reads such a file; O does not.
    """
    known = _known()
    # `O_API_PORT=tcp://…` is of Kubernetes as well, and a name that somebody may have misspelt.
    set_by_hand = (name for name, text in environment.items() if not text.startswith("tcp://"))
    places = dict.fromkeys(set_by_hand, "the environment")
    places = dict.fromkeys(_names_in(Path(".env")), ".env") | places
    of_v1 = [
        Unknown(name, "", place, _OF_V1[name.upper()])
        for name, place in sorted(places.items())
        if name.upper() in _OF_V1
    ]
    found = [one for one in sorted(places.items()) if _is_unknown(one[0].upper(), known)]
    others = [
        Unknown(
            name, next(iter(get_close_matches(name.upper(), known, n=1, cutoff=_ALIKE)), ""), place
        )
        for name, place in found[:_MOST]
    ]
    return (of_v1 + others)[:_MOST]


def warn_of_unknown(environment: Mapping[str, str]) -> None:
    """Log a line for each of them."""
    for one in unknown_settings(environment):
        facts = {"variable": one.variable, "place": one.place}
        if one.instead:
            _log.warning("a setting of V1 is not read", extra=facts | {"instead": one.instead})
        else:
            _log.warning("no setting has this name", extra=facts | {"nearest": one.nearest})


def _is_unknown(name: str, known: Iterable[str]) -> bool:
    return name.startswith(_PREFIX) and name not in known and not _ELSEWHERE.fullmatch(name)


def _known() -> set[str]:
    """Every name by which a setting is read."""
    found = set(_OF_COMMANDS)
    for kind in (Settings, ProviderSettings):
        for field, info in kind.model_fields.items():
            alias = info.validation_alias
            names = alias.choices if isinstance(alias, AliasChoices) else [alias]
            found |= {str(name).upper() for name in (*names, f"{_PREFIX}{field}")}
    return {name for name in found if name.startswith(_PREFIX)}


def _names_in(file: Path) -> list[str]:
    try:
        text = read_small(file).decode(errors="replace")
    except OSError:
        return []
    return [found[1] for line in text.splitlines() if (found := _ASSIGNED.match(line))]
