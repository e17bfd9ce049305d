"""Control groups, of v1 and v2, that hold each sandbox to its memory, CPU and processes."""

import contextlib
import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.protocol import Limits

_PREFIX = "o-sandbox-"
_PERIOD_US = 100_000
_CONTROLLERS = ("memory", "cpu", "pids")
_OWN_PROCESSES = 2  # bubblewrap's, outside and inside
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Group:
    """The control groups of one sandbox: one folder in v2, one for each controller in v1."""

    folders: Sequence[Path]

    @property
    def doors(self) -> list[str]:
        """Files that a process writes `0` to, to go in with all that it starts."""
        return [str(folder / "cgroup.procs") for folder in self.folders]

    def killed_for_memory(self) -> bool:
        """Whether the kernel has ended a process of it for want of memory."""
        for folder in self.folders:
            for name in ("memory.events", "memory.oom_control"):
                with contextlib.suppress(OSError):
                    lines = (folder / name).read_text(encoding="ascii").splitlines()
                    counts = dict(line.split(" ", 1) for line in lines if " " in line)
                    if int(counts.get("oom_kill", "0")) > 0:
                        return True
        return False

    def remove(self) -> bool:
        """Remove it once its processes are gone; answers whether nothing is left of it."""
        for folder in self.folders:
            with contextlib.suppress(OSError):
                folder.rmdir()
        return not any(folder.exists() for folder in self.folders)


@dataclass(frozen=True)
class Cgroups:
    """Where groups can be made, by controller; several may share a place, as they do in v2."""

    places: dict[str, Path]

    def make(self, limits: Limits) -> Group:
        """Make a group with these limits.

        Raises:
            OSError: It cannot be made, or a limit not be set.
        """
        name = f"{_PREFIX}{os.getpid()}-{next(_numbers)}"
        folders = sorted({place / name for place in self.places.values()})
        group = Group(folders)
        try:
            for folder in folders:
                folder.mkdir()
            for controller, place in self.places.items():
                _limit(controller, place / name, limits)
        except OSError:
            group.remove()
            raise
        return group

    def clear(self) -> None:
        """Remove the groups whose worker is gone. Their processes went with it."""
        for place in set(self.places.values()):
            for folder in place.glob(f"{_PREFIX}*"):
                pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
                if pid.isdecimal() and not Path("/proc", pid).exists():
                    with contextlib.suppress(OSError):
                        folder.rmdir()


def find(limits: Limits) -> Cgroups | None:
    """Where this process may make groups; None where memory cannot be held by one.

    Tried with a group, because files that look writable may not be.
    """
    for places in (_of_v1(), _of_v2()):
        if places is None or "memory" not in places:
            continue
        for found in (Cgroups(places), Cgroups({"memory": places["memory"]})):
            with contextlib.suppress(OSError):
                found.make(limits).remove()
                return found
    return None


def _limit(controller: str, folder: Path, limits: Limits) -> None:
    quota = round(limits.cpus * _PERIOD_US)
    if (folder / "cgroup.controllers").exists():
        values = {
            "memory": {"memory.max": str(limits.memory)},
            "cpu": {"cpu.max": f"{quota} {_PERIOD_US}"},
            "pids": {"pids.max": str(limits.processes + _OWN_PROCESSES)},
        }
        extra = {"memory": {"memory.swap.max": "0"}}
    else:
        values = {
            "memory": {"memory.limit_in_bytes": str(limits.memory)},
            "cpu": {"cpu.cfs_period_us": str(_PERIOD_US), "cpu.cfs_quota_us": str(quota)},
            "pids": {"pids.max": str(limits.processes + _OWN_PROCESSES)},
        }
        extra = {"memory": {"memory.memsw.limit_in_bytes": str(limits.memory)}}
    for name, value in values[controller].items():
        (folder / name).write_text(value, encoding="ascii")
    for name, value in extra.get(controller, {}).items():
        with contextlib.suppress(OSError):  # where swap is not counted, it is not limited
            (folder / name).write_text(value, encoding="ascii")


def _mounts() -> Iterator[tuple[str, Path, str, set[str]]]:
    """File system, place, which part of it is mounted, and options of each mount."""
    text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) > 4 and len(kind) > 2:
            yield kind[0], Path(fields[4]), fields[3], set(kind[2].split(","))


def _memberships() -> dict[str, str]:
    """Which group this process is in, by controller; v2's has an empty name."""
    found = {}
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        found.update(dict.fromkeys(controllers.split(","), path))
    return found


def _within(mounted: Path, part: str, group: str) -> Path:
    """The folder of a group below a mount that shows a part of the hierarchy."""
    try:
        own = mounted / Path(group).relative_to(part)
    except ValueError:
        return mounted
    return own if own.is_dir() else mounted


def _of_v1() -> dict[str, Path] | None:
    memberships = _memberships()
    places = {
        name: _within(place, part, memberships.get(name, "/"))
        for kind, place, part, options in _mounts()
        if kind == "cgroup"
        for name in _CONTROLLERS
        if name in options
    }
    return places or None


def _of_v2() -> dict[str, Path] | None:
    for kind, place, part, _ in _mounts():
        if kind != "cgroup2":
            continue
        own = _within(place, part, _memberships().get("", "/"))
        for candidate in (own, own.parent, place):
            if not candidate.is_relative_to(place):
                continue
            if candidate == own != place:
                _make_room(own)
            given = _words(candidate / "cgroup.subtree_control")
            if "memory" in given and os.access(candidate, os.W_OK):
                return {name: candidate for name in _CONTROLLERS if name in given}
    return None


def _make_room(own: Path) -> None:
    """In a group that was delegated to this server, hand its controllers on to groups below it.

    Only a group without processes may do so: they move to one below. systemd marks what it has
    delegated, and nobody else's group is touched.
    """
    if not _is_delegated(own):
        return
    with contextlib.suppress(OSError):
        leaf = own / "o-server"
        leaf.mkdir(exist_ok=True)
        for pid in _words(own / "cgroup.procs"):
            with contextlib.suppress(OSError):  # it has ended
                (leaf / "cgroup.procs").write_text(pid, encoding="ascii")
        for name in _CONTROLLERS:
            with contextlib.suppress(OSError):
                (own / "cgroup.subtree_control").write_text(f"+{name}", encoding="ascii")


def _is_delegated(group: Path) -> bool:
    for name in ("user.delegate", "trusted.delegate"):
        with contextlib.suppress(OSError):
            if os.getxattr(group, name) == b"1":
                return True
    return False


def _words(path: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="ascii").split()
    return []
