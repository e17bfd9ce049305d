"""docker-compose.yml, started on this machine with stand-ins for the images that are not here."""

import json
import os
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
_MODEL_PORT = "9000"


def compose_command() -> list[str] | None:
    """How Docker Compose is called here, as a plugin or by its older name; None without one."""
    if shutil.which("docker"):
        plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        if plugin.returncode == 0:
            return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else None


class Stack:
    """All services of the compose file, and a provider of models beside them."""

    def __init__(self, folder: Path, image: str) -> None:
        """Nothing runs yet.

        Args:
            folder: For its settings and for what workers share with sandboxes.
            image: O's.
        """
        self.folder = folder
        self.port = own_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._image = image
        command = compose_command()
        assert command is not None, "apt-get install docker-compose"
        self._command = [
            *command,
            *("--project-name", f"o-test-{os.getpid()}", "--project-directory", str(ROOT)),
            *("--env-file", str(folder / "env")),
            *("--file", str(ROOT / "docker-compose.yml"), "--file", str(folder / "more.yml")),
        ]

    def start(self) -> None:
        """Do what the page says, with settings of a user."""
        (self.folder / "sandboxes").mkdir(parents=True)
        settings = {
            "O_API_TOKEN": TOKEN,
            "O_ENCRYPTION_KEY": "w6eVbN0dF3vLr4hJ9yS2qTzKxUcPm1AgB7oRi5ZEtHk=",
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
        lines = "".join(f"{name}={value}\n" for name, value in settings.items())
        (self.folder / "env").write_text(lines)
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
        done = subprocess.run(
            [*self._command, *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine knows of a service's container, one that has ended too."""
        known = docker(
            "ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={self._name}",
            "--filter", f"label=com.docker.compose.service={service}",
        )  # fmt: skip
        [found] = json.loads(docker("inspect", *known.split()))
        return dict(found)

    @property
    def _name(self) -> str:
        return self._command[self._command.index("--project-name") + 1]

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
