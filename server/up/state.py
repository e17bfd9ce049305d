"""`up.json`: what runs now, for people and tests."""

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from server.up import locks

NAME = "up.json"


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
        OSError: nothing is up.
        ValueError: it is no such file.
        TypeError: it was written by another release.
    """
    noted = json.loads((data_dir / NAME).read_text())
    noted.pop("pid")
    return State(**noted)


def running(data_dir: Path) -> State | None:
    """The same of a supervisor that is alive, whatever a killed one has left; None without one."""
    try:
        found = read(data_dir)
    except (OSError, ValueError, TypeError):
        return None
    return found if locks.holder(data_dir) is not None else None


def remove(data_dir: Path) -> None:
    """Nothing runs."""
    with contextlib.suppress(FileNotFoundError):
        (data_dir / NAME).unlink()
