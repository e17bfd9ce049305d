"""Runs Python in bubblewrap as the backend does; as a program, for a user who is not root.

It imports nothing that is installed, so that the system's Python can run it for anybody.
"""

import os
import subprocess
import sys
from pathlib import Path

from sandbox.bubblewrap.command import Wanted, confine
from sandbox.bubblewrap.host import look

REPOSITORY = Path(__file__).resolve().parents[2]
SOMEBODY = 45_678
_SYSTEM_PYTHON = "/usr/bin/python3"


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a sandbox, made by this user."""
    host = look()
    wanted = Wanted([str(host.python), "-I", "-B", "-c", code], {"PATH": "/usr/bin:/bin"})
    confined = confine(host, wanted)
    try:
        return subprocess.run(
            confined.argv,
            pass_fds=confined.fds,
            env={},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        confined.close()
        os.close(confined.info)


def run_as_somebody(code: str) -> subprocess.CompletedProcess[str]:
    """The same for a user who is not root, with the system's Python."""
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    return subprocess.run(
        [
            *("setpriv", f"--reuid={SOMEBODY}", f"--regid={SOMEBODY}", "--clear-groups"),
            *(_SYSTEM_PYTHON, "-B", "-m", "tests.sandbox.confined"),
        ],
        cwd=REPOSITORY,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{REPOSITORY}:{packages}"},
        input=code,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def why_not_somebody() -> str:
    """Why `run_as_somebody` cannot be used here; empty where it can."""
    if os.geteuid() != 0:
        return "only root can become somebody else"
    done = subprocess.run(
        [
            *("setpriv", f"--reuid={SOMEBODY}", f"--regid={SOMEBODY}", "--clear-groups"),
            *(
                _SYSTEM_PYTHON,
                "-c",
                "import sys; assert sys.version_info >= (3, 11); open(sys.argv[1])",
            ),
            str(Path(__file__)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr


if __name__ == "__main__":
    finished = run(sys.stdin.read())
    sys.stdout.write(finished.stdout)
    sys.stderr.write(finished.stderr)
    raise SystemExit(finished.returncode)
