"""Sandboxes of both kinds with a way out; modules of tests that need one skip where it is not."""

from pathlib import Path

import pytest

from sandbox.bubblewrap.backend import BubblewrapSandbox
from sandbox.bubblewrap.host import Absent, look
from sandbox.egress.exits import Egress
from sandbox.protocol import Limits, Sandbox
from tests.sandbox import docker_engine

BACKENDS = ["docker", "bubblewrap"]


def needs(backend: str) -> None:
    """Skip a test where the backend is not."""
    if backend == "docker":
        docker_engine.needs_docker()
        return
    try:
        look()
    except Absent as absent:
        pytest.skip(str(absent))


def sandbox_of(backend: str, egress: Egress, folder: Path) -> Sandbox:
    if backend == "docker":
        return docker_engine.sandbox(folder, egress=egress, pool=1)
    return BubblewrapSandbox(Limits(), pool=1, egress=egress)
