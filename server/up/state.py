"""`up.json`: what runs now, for people and tests."""

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from o.errors import Unavailable
from server.small_files import read_small
from server.up import locks

NAME = "up.json"


class NothingUp(Unavailable):
    """No supervisor has noted anything."""


@dataclass(frozen=True)
class State:
    """Addresses and process ids of a supervisor that is up.

    Attributes:
        processes: By name the process that does the work (not its guard); None while it restarts.
    """

    api: str
    temporal_address: str
    temporal_ui: str | None
    database_url: str
    processes: dict[str, int | None]


_FORM = TypeAdapter(State)


def write(data_dir: Path, state: State) -> None:
    """Replace the file in one step, so that a reader never sees half of it."""
    new = data_dir / f"{NAME}.new"
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as file:
        json.dump({"pid": os.getpid(), **asdict(state)}, file, indent=2)
        file.write("\n")
    new.replace(data_dir / NAME)


def read(data_dir: Path) -> State:
    """What the supervisor noted last.

    Raises:
        NothingUp: There is no such file.
        Unavailable: It cannot be read, or is another release's, or nobody's.
    """
    file = data_dir / NAME
    try:
        return _FORM.validate_json(read_small(file))
    except FileNotFoundError:
        raise NothingUp(f"nothing is up in {data_dir}") from None
    except OSError as error:
        raise Unavailable(f"{file} cannot be read: {error.strerror}") from None
    except ValueError:
        raise Unavailable(f"{file} is not what this release's `o up` writes") from None


def running(data_dir: Path) -> State | None:
    """The same of a supervisor that is alive, whatever a killed one has left; None without one.

    Raises:
        Unavailable: One is, and its file cannot be read.
    """
    if locks.holder(data_dir) is None:
        return None
    try:
        return read(data_dir)
    except NothingUp:  # it starts, or ends
        return None


def remove(data_dir: Path) -> None:
    """Nothing runs."""
    with contextlib.suppress(FileNotFoundError):
        (data_dir / NAME).unlink()
