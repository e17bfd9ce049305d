"""Tools that post to the web with the usual clients, in a namespace that has loopback only."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.egress.backends import BACKENDS, needs
from tests.support.product import REPOSITORY

_OWN_NETWORK = (
    ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
)
_CLIENTS = ["urllib", "requests", "httpx", "aiohttp"]


def _run(backend: str) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory() as folder
    ):  # a short path, as the socket's of a plain process
        done = subprocess.run(
            [
                *(*_OWN_NETWORK, sys.executable, "-m", "tests.sandbox.egress.alone"),
                *(backend, str(Path(folder) / "o")),
            ],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_usual_clients_reach_what_they_may_and_are_told_what_they_may_not(backend: str) -> None:
    needs(backend)
    found = _run(backend)
    assert found["failure"] is None, found
    for client in _CLIENTS:
        secure, plain, *refused = found["result"][client]
        assert (secure, plain) == ("heard hello", "heard hello"), found["result"]
        assert all("is no public address" in told for told in refused), refused
        assert all("403" in told for told in refused), refused
    assert found["hosts"] == [
        *found["good"],
        f"-local.test:{found['good'][0].partition(':')[2]}",
        f"-127.0.0.1:{found['good'][1].partition(':')[2]}",
        "-169.254.169.254",
        "-10.0.0.5",
        "-private.test",
        "-half.test",
    ]
    assert found["bulk"] == [True] * 16
    assert found["tricks"] == {
        "direct": "OSError",
        "name": "gaierror",
        "socket": "HTTP/1.1 400 The name of the host is not well formed",
        "ssh": "HTTP/1.1 403 Port 22 is not open to tools; open are 80, 443, "
        + ", ".join(sorted(place.partition(":")[2] for place in found["good"])),
        "zone": "HTTP/1.1 400 The address names no host, or a user, or is not well formed",
        "mapped": "HTTP/1.1 403 [::ffff:7f00:1] is no public address, and tools reach only those",
        "huge": "HTTP/1.1 431 The head of the request is too large",
        "others": "['ca.pem', 'egress']",
        "up": "['o']",
        "write": "OSError",
        "unlink": "OSError",
    }
    assert found["left"] == []
