"""Why bubblewrap makes no sandbox here, in words that say what can be done about it."""

from pathlib import Path

_LIMITS = ("user", "pid", "mnt", "net", "ipc", "uts", "cgroup")
_CONTAINER = (
    "start it with `--security-opt seccomp=unconfined --security-opt apparmor=unconfined "
    "--security-opt systempaths=unconfined`, or give the worker a Docker engine"
)
_FORBIDDEN = ("Operation not permitted", "No permissions to")
"""The second is said instead of the system's own words where a namespace is refused."""


def explain(words: str, *, privileged: bool, root: Path = Path("/")) -> str:
    """Why, and the remedy.

    Args:
        words: What bubblewrap says.
        privileged: Whether it was tried without a user namespace.
        root: Where the system's files are.
    """
    system = root / "proc/sys"
    for kind in _LIMITS:
        name = f"max_{kind}_namespaces"
        if (kind != "user" or not privileged) and _read(system / "user" / name) == "0":
            return (
                f"the kernel's setting user.{name}=0 forbids it: "
                f"sysctl -w user.{name}=15000, and the same in /etc/sysctl.d"
            )
    if not privileged and (found := _of_users(system)):
        return found
    if "proc" in words and "mount" in words.lower() and "Operation not permitted" in words:
        return f"the container that O runs in hides parts of /proc: {_CONTAINER}"
    if _status(root, "Seccomp") == "2" and any(said in words for said in _FORBIDDEN):
        return (
            "a seccomp filter that O was started with forbids it, as containers have one: "
            f"{_CONTAINER}; in a unit of systemd, see RestrictNamespaces= and SystemCallFilter="
        )
    profile = _read(root / "proc/self/attr/current")
    if profile.endswith("(enforce)") and "denied" in words:
        return f"AppArmor's profile {profile.split()[0]} forbids it: {_CONTAINER}"
    return f"bubblewrap says: {words.splitlines()[-1] if words else 'nothing, and ends'}"


def _of_users(system: Path) -> str:
    """What keeps users who are not root from it."""
    if _read(system / "kernel/unprivileged_userns_clone") == "0":
        return (
            "the kernel's setting kernel.unprivileged_userns_clone=0 forbids it: "
            "sysctl -w kernel.unprivileged_userns_clone=1, and the same in /etc/sysctl.d"
        )
    if _read(system / "kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            "AppArmor forbids it (kernel.apparmor_restrict_unprivileged_userns=1): give bwrap a "
            "profile with `userns,` (docs/tools.md has one), or set that to 0"
        )
    return ""


def _status(root: Path, name: str) -> str:
    for line in _read(root / "proc/self/status").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value.strip()
    return ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return ""
