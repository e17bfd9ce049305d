"""Which account PostgreSQL runs as: it refuses to run as root, and root is what containers give.

An ordinary user runs it as himself. For root there are two ways. In a *user namespace* PostgreSQL
believes that it is another account while its files stay root's, so nothing changes hands. Where
the system forbids that, we *switch* to a real account, which must be let into the data directory.
"""

import asyncio
import os
import pwd
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from o.errors import Conflict
from server.up.guard import CANNOT_REACH

_PREFERRED = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """Who PostgreSQL runs as.

    Attributes:
        name: The account, as the system spells it.
        way: `self`, `namespace` or `switch`.
        uid: User id that PostgreSQL sees.
        gid: Group id that PostgreSQL sees.
    """

    name: str
    way: str
    uid: int
    gid: int

    @property
    def option(self) -> str | None:
        """How `guard.py` is told of it, None when nothing changes."""
        return None if self.way == "self" else f"{self.way}:{self.uid}:{self.gid}"

    @property
    def announcement(self) -> str | None:
        """One line for whoever started O as root."""
        if self.way == "namespace":
            return (
                f"PostgreSQL runs as account {self.name} inside a user namespace; "
                "its files stay root's"
            )
        if self.way == "switch":
            return f"PostgreSQL runs as account {self.name}, which owns its part of the data"
        return None


async def choose(home: Path, binaries: Path, *, namespaces: bool = True) -> Account:
    """Find out who can run PostgreSQL, by trying.

    Args:
        home: PostgreSQL's part of the data directory; it exists.
        binaries: The directory of `postgres` and `initdb`.
        namespaces: False leaves user namespaces out.

    Raises:
        Conflict: no account can; the message names the directory in the way and the ways out.
    """
    if os.geteuid() != 0:
        return Account(_name(os.geteuid()), "self", os.geteuid(), os.getegid())
    return await asyncio.to_thread(_choose_for_root, home, binaries, namespaces)


def _choose_for_root(home: Path, binaries: Path, namespaces: bool) -> Account:
    owner = home.stat().st_uid
    entry = pwd.getpwuid(owner) if owner != 0 and _name(owner) != "unknown" else _ordinary()
    if owner == 0 and namespaces and sys.platform == "linux":
        account = Account(entry.pw_name, "namespace", entry.pw_uid, entry.pw_gid)
        if _check(account, [home, binaries]) is None:
            return account
    # Who owns a data directory from earlier keeps it.
    account = Account(entry.pw_name, "switch", entry.pw_uid, entry.pw_gid)
    _open_way(home, account)
    if (obstacle := _check(account, [home, binaries])) is not None:
        raise Conflict(
            f"PostgreSQL cannot run as root, and account {account.name} has no way through: "
            f"{obstacle}. Start O as an ordinary user, set O_DATA_DIR to a directory that "
            f"{account.name} can reach, or set DATABASE_URL to a PostgreSQL of your own"
        )
    return account


def _ordinary() -> pwd.struct_passwd:
    entries = {entry.pw_name: entry for entry in pwd.getpwall() if entry.pw_uid != 0}
    for name in _PREFERRED:
        if name in entries:
            return entries[name]
    if not entries:
        raise Conflict(
            "PostgreSQL cannot run as root, and this system has no other account: "
            "start O as an ordinary user, or set DATABASE_URL to a PostgreSQL of your own"
        )
    return next(iter(entries.values()))


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return "unknown"


def _open_way(home: Path, account: Account) -> None:
    """Let the account through the data directory, to its own part and to nothing else."""
    if home.parent.stat().st_uid != account.uid:
        home.parent.chmod(0o711)
    for folder, _, files in os.walk(home):
        for path in [folder, *(os.path.join(folder, file) for file in files)]:
            os.chown(path, account.uid, account.gid, follow_symlinks=False)


def _check(account: Account, paths: Sequence[Path]) -> str | None:
    """What stands in the account's way, None when nothing does."""
    guard = str(Path(__file__).with_name("guard.py"))
    arguments = [sys.executable, "-I", "-S", guard, f"account={account.option}", "check"]
    answer = subprocess.run(  # noqa: S603 - our own guard
        [*arguments, *map(str, paths)], capture_output=True, text=True, check=False
    )
    if answer.returncode == 0:
        return None
    reason = answer.stdout.strip() or answer.stderr.strip()[-200:]
    return f"{reason} is closed to it" if answer.returncode == CANNOT_REACH else reason
