"""Sandboxes of both kinds with a way out; modules of tests that need one skip where it is not."""

from pathlib import Path

import pytest

from sandbox.egress.exits import Egress
from sandbox.protocol import Limits, Sandbox
from tests.sandbox import docker_engine

BACKENDS = ["docker", "bubblewrap"]


def needs(backend: str) -> None:
    """Skip a test where the backend is not."""
    if backend == "docker":
        docker_engine.needs_docker()
        return
    pytest.importorskip("sandbox.bubblewrap.backend")


def sandbox_of(backend: str, egress: Egress, folder: Path) -> Sandbox:
    if backend == "docker":
        return docker_engine.sandbox(folder, egress=egress, pool=1)
    from sandbox.bubblewrap.backend import BubblewrapSandbox  # noqa: PLC0415  TMP

    return BubblewrapSandbox(Limits(), pool=1, egress=egress)
