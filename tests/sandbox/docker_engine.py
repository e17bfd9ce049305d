"""Whether a Docker engine with the image is there, and sandboxes on it."""

import os
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from sandbox.docker import DockerOptions, DockerSandbox
from sandbox.pooled import Egress

IMAGE = f"o-sandbox:{version('o-server')}"


def missing() -> str:
    """What is missing, if anything."""
    try:
        found = subprocess.run(
            ["docker", "image", "inspect", IMAGE], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return "no docker command"
    return found.stderr.strip().splitlines()[-1] if found.returncode else ""


def needs_docker() -> None:
    """Skip this module where there is no engine, and fail where O_TEST_DOCKER=required."""
    if problem := missing():
        if os.environ.get("O_TEST_DOCKER") == "required":
            pytest.fail(f"Docker is required here: {problem}")
        pytest.skip(f"needs a Docker engine and `make sandbox-image`: {problem}")


def sandbox(folder: Path, egress: Egress | None = None, **options: object) -> DockerSandbox:
    made = DockerOptions(IMAGE, folder / "leases", **options)  # type: ignore[arg-type]
    return DockerSandbox(made, egress)


def containers(instance: str) -> list[str]:
    """Containers of an instance, as the engine has them."""
    return subprocess.run(
        ["docker", "ps", "-aq", "--filter", f"label=o.instance={instance}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
