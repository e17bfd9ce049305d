"""How the values of settings stand in the environment."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, DirectoryPath, Field
from pydantic_settings import NoDecode

from o.addresses import parse_allowed

HTTP = "^https?://"


def _split(value: object) -> object:
    """The parts of a list as it stands in the environment: separated by commas."""
    if isinstance(value, str):
        return tuple(filter(None, (part.strip() for part in value.split(","))))
    return value


def _outbound(entries: tuple[str, ...]) -> tuple[str, ...]:
    for entry in entries:
        parse_allowed(entry)
    return entries


def _absolute(folder: Path) -> Path:
    if not folder.is_absolute() or folder == Path("/"):
        raise ValueError("has to be a folder by its whole path, and not all of the machine")
    return folder


Listed = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Places = Annotated[Listed, AfterValidator(_outbound)]
"""Networks, addresses and names, with a port or without."""

Folders = Annotated[
    tuple[Annotated[DirectoryPath, AfterValidator(_absolute)], ...],
    NoDecode,
    BeforeValidator(_split),
]

Ports = Annotated[
    tuple[Annotated[int, Field(ge=1, le=65535)], ...], NoDecode, BeforeValidator(_split)
]
