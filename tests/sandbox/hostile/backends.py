"""The backends that hold hostile tools, or why one is not here."""

import os
from pathlib import Path

import pytest

from sandbox.bubblewrap.backend import BubblewrapSandbox
from sandbox.bubblewrap.process import Caps
from sandbox.docker import DockerOptions, DockerSandbox
from sandbox.egress.exits import Egress
from sandbox.protocol import Limits, Sandbox
from tests.sandbox import docker_engine


async def make(name: str, limits: Limits, folder: Path, egress: Egress) -> Sandbox:
    """Start a backend; skip where it is not here, or fail where CI asks for all of them."""
    sandbox: Sandbox
    if name == "docker":
        docker_engine.needs_docker()
        options = DockerOptions(docker_engine.IMAGE, folder / "leases", limits=limits, pool=3)
        sandbox = DockerSandbox(options, egress)
    else:
        bubblewrap = BubblewrapSandbox(limits, pool=3, egress=egress)
        if name != "bubblewrap":
            bubblewrap._caps = Caps(None)
        sandbox = bubblewrap
    await sandbox.start()
    if problem := sandbox.state.problem:
        await sandbox.close()
        if os.environ.get("O_TEST_DOCKER") == "required":
            pytest.fail(f"{name} is required here: {problem}")
        pytest.skip(f"{name} holds no tools here: {problem}")
    return sandbox
