"""The image of the sandbox, and what making it says where that cannot be."""

import os
import subprocess
from pathlib import Path

from tests.sandbox import docker_engine
from tests.sandbox.plain import job, nothing
from tests.support.product import REPOSITORY

_BUILD = REPOSITORY / "sandbox" / "build_image.sh"


def _make(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(_BUILD), docker_engine.IMAGE],
        env=dict(os.environ) | environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_without_docker_it_says_what_is_missing(tmp_path: Path) -> None:
    made = _make(DOCKER=str(tmp_path / "docker"))
    assert made.returncode == 1
    assert "no docker command" in made.stderr


def test_an_engine_that_does_not_answer_is_said_so(tmp_path: Path) -> None:
    docker_engine.needs_docker()
    made = _make(DOCKER_HOST=f"unix://{tmp_path}/docker.sock")
    assert made.returncode == 1
    assert "the Docker engine does not answer" in made.stderr


def test_an_image_that_is_there_is_not_made_again() -> None:
    docker_engine.needs_docker()
    assert _make().returncode == 0  # its recipe may have changed
    assert _make().stdout == f"{docker_engine.IMAGE} is there\n"


async def test_it_holds_what_tools_need_and_nothing_that_gives_rights(tmp_path: Path) -> None:
    docker_engine.needs_docker()
    source = """
import asyncio, ctypes, getpass, json, lzma, os, sqlite3, ssl, sys, zoneinfo
def f():
    rights = []
    for folder, _, names in os.walk('/', onerror=None):
        for name in names if not folder.startswith(('/proc', '/sys')) else ():
            path = os.path.join(folder, name)
            if not os.path.islink(path) and os.stat(path).st_mode & 0o6000:
                rights.append(path)
    authorities = len(ssl.create_default_context().get_ca_certs())
    zone = str(zoneinfo.ZoneInfo('Europe/Berlin'))
    return rights, authorities, zone, os.path.exists(json.__cached__), getpass.getuser()
"""
    sandbox = docker_engine.sandbox(tmp_path, pool=0)
    await sandbox.start()
    try:
        done = await sandbox.run(job(source), before_sending=nothing)
    finally:
        await sandbox.close()
    assert done.failure is None, done.failure
    rights, authorities, zone, is_compiled, user = done.result
    assert rights == []
    assert authorities > 50
    assert (zone, is_compiled, user) == ("Europe/Berlin", True, "nobody")
