"""docker-compose.yml, started on this machine with stand-ins for the images that are not here."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.files import ROOT, compose
from tests.deploy.standins.images import image_for
from tests.support.ports import own_port
from tests.support.product import eventually

TOKEN = "token-of-the-compose-test"
KEY = "w6eVbN0dF3vLr4hJ9yS2qTzKxUcPm1AgB7oRi5ZEtHk="
_MODEL_PORT = "9000"
_SHIPPED = ("docker-compose.yml", "deploy/Caddyfile", "deploy/temporal.yaml")


def compose_command() -> list[str] | None:
    """How Docker Compose is called here, as a plugin or by its older name; None without one."""
    if shutil.which("docker"):
        plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        if plugin.returncode == 0:
            return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else None


def filled(settings: dict[str, str]) -> str:
    """.env.example with values for what it names, and behind it what it does not name."""
    text = (ROOT / ".env.example").read_text()
    for name, value in settings.items():
        line = f"{name}={value}"
        text, times = re.subn(rf"(?m)^{name}=.*$", line, text)
        text += "" if times else f"{line}\n"
    return text


def lay_out(folder: Path, settings: dict[str, str]) -> dict[str, str]:
    """Make a folder as a user has it: what the file needs, and .env; the environment to run it in.

    The commands of the page work there as they are written, also with Compose's older name.
    """
    for name in _SHIPPED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / ".env").write_text(filled(settings))
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in ("PATH", "HOME") or name.startswith("DOCKER_")
    }
    if compose_command() == ["docker-compose"]:
        docker = (folder / "bin" / "docker").resolve()
        docker.parent.mkdir()
        docker.write_text(
            '#!/bin/sh\nif [ "$1" = compose ]; then shift; exec docker-compose "$@"; fi\n'
            f'exec {shutil.which("docker")} "$@"\n'
        )
        docker.chmod(0o755)
        kept["PATH"] = f"{docker.parent}:{kept['PATH']}"
    return kept


class Stack:
    """All services of the compose file, and a provider of models beside them."""

    def __init__(self, folder: Path, image: str) -> None:
        """Nothing runs yet.

        Args:
            folder: Becomes what a user has, with a folder that workers share with sandboxes.
            image: O's.
        """
        self.folder = folder
        self.port = own_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._image = image
        self._name = f"o-test-{os.getpid()}"
        self._env: dict[str, str] = {}

    def start(self) -> None:
        """Do what the page says, with settings of a user."""
        (self.folder / "sandboxes").mkdir(parents=True)
        settings = {
            "O_API_TOKEN": TOKEN,
            "O_ENCRYPTION_KEY": KEY,
            "POSTGRES_PASSWORD": "4f1c9e",
            "TEMPORAL_POSTGRES_PASSWORD": "7a2b8d",
            "OPENAI_API_KEY": "sk-test",
            "OPENAI_BASE_URL": f"http://model:{_MODEL_PORT}/v1",
            "O_IMAGE": self._image,
            "O_PUBLISH": f"127.0.0.1:{self.port}",
            "O_PUBLISH_UI": f"127.0.0.1:{own_port()}",
            "O_SANDBOX_DIR": str(self.folder / "sandboxes"),
            "DOCKER_GID": str(Path("/var/run/docker.sock").stat().st_gid),
        }
        self._env = lay_out(self.folder, settings) | {
            "COMPOSE_PROJECT_NAME": self._name,
            "COMPOSE_FILE": "docker-compose.yml:more.yml",
        }
        (self.folder / "more.yml").write_text(yaml.safe_dump({"services": self._changed()}))
        self("up", "--detach")

    def _changed(self) -> dict[str, Any]:
        changed: dict[str, Any] = {
            name: {"image": image_for(service["image"], self._image)}
            for name, service in compose()["services"].items()
            if "o-server" not in service["image"]
        }
        changed["model"] = {
            "image": self._image,
            "init": True,
            "entrypoint": ["python3", "-m", "tests.deploy.standins.model", _MODEL_PORT],
            "environment": {"PYTHONPATH": "/srv"},
            "volumes": [f"{ROOT / 'tests'}:/srv/tests:ro"],
            "networks": ["inside"],
        }
        return changed

    def __call__(self, *arguments: str) -> str:
        """What Docker Compose prints, which must be content."""
        return self.shell(shlex.join(["docker", "compose", *arguments]))

    def shell(self, commands: str) -> str:
        """What commands print in a user's shell, there; each must be content."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=self.folder,
            env=self._env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def at_a_terminal(self, commands: str) -> str:
        """The same as of a user who sits before it."""
        shell = f"bash -euo pipefail -c {shlex.quote(commands)}"
        return self.shell(shlex.join(["script", "-qec", shell, "/dev/null"])).replace("\r", "")

    def set(self, name: str, value: str) -> None:
        """Write another value into .env."""
        told = self.folder / ".env"
        told.write_text(re.sub(rf"(?m)^{name}=.*$", f"{name}={value}", told.read_text()))

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine knows of a service's container, one that has ended too."""
        known = docker(
            "ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={self._name}",
            "--filter", f"label=com.docker.compose.service={service}",
        )  # fmt: skip
        [found] = json.loads(docker("inspect", *known.split()))
        return dict(found)

    def wait_healthy(self, service: str) -> None:
        """Wait until the engine finds a service so, by its own check."""
        eventually(
            lambda: self.inspect(service)["State"]["Health"]["Status"] == "healthy",
            within_s=240,
            what=f"a healthy {service}",
        )

    def wait_restarted(self, service: str, times: int) -> None:
        """Wait until the engine has started a service more often than so many times."""
        eventually(
            lambda: self.inspect(service)["RestartCount"] > times,
            within_s=60,
            what=f"another {service}",
        )

    def kill(self, service: str) -> int:
        """Kill what a container runs, as a crash would; how often it had been restarted before."""
        found = self.inspect(service)
        # Not by the engine, which would take that for our wish and not start it again.
        of_init = "/proc/1/task/1/children"
        docker("exec", str(found["Id"]), "sh", "-c", f"read one rest <{of_init}; kill -KILL $one")
        return int(found["RestartCount"])

    def stop(self) -> None:
        """Remove all of it, volumes too."""
        self("down", "--volumes", "--timeout", "5")
        for kept in (self.folder / "sandboxes").glob("*"):
            shutil.rmtree(kept, ignore_errors=True)


def docker(*arguments: str) -> str:
    """What `docker` prints, which must be content."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
