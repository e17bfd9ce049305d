"""The image beside a real PostgreSQL and Temporal; `make image-test` makes it and runs this."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psycopg
import pytest
from letta_client import Letta

from o.storage.database import libpq_url
from tests.deploy.files import compose
from tests.support.ports import own_port
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, FakeProvider

IMAGE = os.environ.get("O_TEST_IMAGE", "")
_TOKEN = "token-of-the-image-test"
pytestmark = [
    pytest.mark.skipif(not IMAGE, reason="`make image-test` makes the image, and runs this"),
    pytest.mark.timeout(600),
]


class Containers:
    """O's commands in containers, on a database of their own, in the network of this machine."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._flags = [
            *("--network", "host", "--read-only", "--cap-drop", "ALL"),
            *("--security-opt", "no-new-privileges", "--tmpfs", "/tmp"),
            *("--tmpfs", "/var/lib/o:uid=10001,gid=10001,mode=700"),
            *(flag for one in environment.items() for flag in ("--env", "=".join(one))),
        ]
        self.started: list[str] = []

    def start(self, *command: str) -> str:
        """Start one in the background; the id of its container."""
        container = _docker("run", "--detach", *self._flags, IMAGE, *command)
        self.started.append(container)
        return container

    def run(self, *command: str) -> str:
        """What one prints to its end, which must be a good one."""
        return _docker("run", "--rm", *self._flags, IMAGE, *command)

    def remove(self) -> None:
        """Remove all that were started."""
        for container in self.started:
            _docker("rm", "--force", container)


@pytest.fixture(scope="module")
def containers(
    tmp_path_factory: pytest.TempPathFactory, provider: FakeProvider
) -> Iterator[tuple[Containers, int]]:
    """Containers beside an `o up` that lends its PostgreSQL and Temporal, and the API's port."""
    postgres, port = own_port(), own_port()
    folder = tmp_path_factory.mktemp("image") / "data"
    lender = Product(folder, {"O_POSTGRES_PORT": str(postgres), "O_WORKERS": "1"})
    lender.start(within_s=180)
    try:
        address = libpq_url(lender.state["database_url"])
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("CREATE DATABASE image")
        started = Containers(
            {
                "DATABASE_URL": _over_tcp(folder, postgres),
                "TEMPORAL_ADDRESS": lender.state["temporal_address"],
                "O_TASK_QUEUE": "image",
                "O_API_TOKEN": _TOKEN,
                "O_ENCRYPTION_KEY": "a key that is long enough",
                "O_PORT": str(port),
                "O_API_URL": f"http://127.0.0.1:{port}",
                "OPENAI_API_KEY": "sk-test",
                "OPENAI_BASE_URL": provider.url,
            }
        )
        try:
            yield started, port
        finally:
            started.remove()
    finally:
        lender.stop()


def test_one_image_migrates_serves_works_and_stops(containers: tuple[Containers, int]) -> None:
    started, port = containers
    assert "schema: empty -> " in started.run("migrate")
    assert "schema: empty" not in started.run("migrate"), "it is there"
    api, worker = started.start("api"), started.start("worker")
    eventually(lambda: _is_ready(port), within_s=120, what=f"ready ({_docker('logs', api)})")

    client = Letta(base_url=f"http://127.0.0.1:{port}", api_key=_TOKEN, timeout=120)
    agent = client.agents.create(model=HANDLE, memory_blocks=[{"label": "human", "value": "Ada"}])
    assert [
        message.content
        for message in client.agents.messages.create(agent.id, input="Hello!").messages
        if message.message_type == "assistant_message"
    ] == ["You said: Hello!"]
    # By the model that comes with O, which the image has.
    client.agents.passages.create(agent.id, text="Ada was born in London.")
    found = client.agents.passages.search(agent.id, query="Where is Ada from?")
    assert [one.content for one in found.results] == ["Ada was born in London."]

    assert _docker("exec", worker, "id", "-u") == "10001"
    for container in (api, worker):
        _docker("stop", "--time", "60", container)
        status = _docker("inspect", "--format", "{{.State.ExitCode}}", container)
        assert status in ("0", "143"), "it ended by itself, or by the signal once it was done"


def test_it_is_healthy_by_the_check_of_the_compose_file_whoever_it_is_asked_for_as(
    containers: tuple[Containers, int],
) -> None:
    started, port = containers
    started.run("migrate")
    api = started.start("api")
    check = [
        one.replace("8283", str(port))
        for one in compose()["services"]["api-1"]["healthcheck"]["test"]
    ]
    assert check.pop(0) == "CMD"

    def is_healthy() -> bool:
        asked = ["docker", "exec", api, *check]
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0

    eventually(is_healthy, within_s=120, what=f"health ({_docker('logs', api)})")
    # As the probes of Kubernetes ask, which go to an address of the pod.
    host = {"host": f"10.1.2.3:{port}"}
    for path in ("health", "ready"):
        assert httpx.get(f"http://127.0.0.1:{port}/v1/{path}/", headers=host).status_code == 200
    _docker("stop", "--time", "60", api)


def test_without_settings_it_says_in_words_what_is_missing() -> None:
    for command in ("api", "worker", "migrate"):
        done = subprocess.run(
            ["docker", "run", "--rm", "--network", "none", IMAGE, command],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        for name in ("DATABASE_URL", "TEMPORAL_ADDRESS", "O_API_TOKEN", "O_ENCRYPTION_KEY"):
            assert f"  {name}: " in done.stderr
    assert "Commands:" in _docker("run", "--rm", "--network", "none", IMAGE)


def test_its_library_is_compiled_since_nobody_can_do_that_in_it_later() -> None:
    looked_at = (
        "import os, sys, asyncio, urllib.request; print([name for name, one in sys.modules.items() "
        "if getattr(one, '__cached__', None) and not os.path.exists(one.__cached__)])"
    )
    asked = ["run", "--rm", "--network", "none", "--entrypoint", "python3", IMAGE, "-c", looked_at]
    assert _docker(*asked) == "[]"


def test_it_can_be_stopped_while_it_waits_for_a_database() -> None:
    settings = {
        "DATABASE_URL": "postgresql://o:secret@127.0.0.1:9/o",
        "TEMPORAL_ADDRESS": "127.0.0.1:9",
        "O_API_TOKEN": _TOKEN,
        "O_ENCRYPTION_KEY": "a key that is long enough",
    }
    started = Containers(settings)
    try:
        waiting = started.start("api")
        # It has processes beside its first once it is under way.
        eventually(lambda: len(_docker("top", waiting).splitlines()) > 2, what="a process")
        began = time.monotonic()
        _docker("stop", "--time", "60", waiting)
        assert time.monotonic() - began < 20, "it takes the signal, and is not killed in the end"
        assert _docker("inspect", "--format", "{{.State.ExitCode}}", waiting) == "143"
    finally:
        started.remove()


def test_it_is_no_larger_than_it_must_be_and_holds_no_secret_and_no_way_to_become_root() -> None:
    assert int(_docker("image", "inspect", "--format", "{{.Size}}", IMAGE)) < 720e6
    assert _docker("image", "inspect", "--format", "{{.Config.User}}", IMAGE) == "10001:10001"
    run = ["run", "--rm", "--network", "none", "--entrypoint", "python3", IMAGE, "-c"]
    raised = (
        "import os, stat; print([os.path.join(at, name) for at, _, names in os.walk('/') "
        "if not at.startswith(('/proc', '/sys')) for name in names "
        "if os.lstat(os.path.join(at, name)).st_mode & (stat.S_ISUID | stat.S_ISGID)])"
    )
    assert _docker(*run, raised) == "[]"
    assert _docker(*run, "import os; print(os.access('/opt/o', os.W_OK))") == "False"


def _over_tcp(folder: Path, port: int) -> str:
    password = (folder / "postgres-password").read_text().strip()
    return f"postgresql://o:{password}@127.0.0.1:{port}/image"


def _is_ready(port: int) -> bool:
    with suppress(httpx.HTTPError):
        answer = httpx.get(f"http://127.0.0.1:{port}/v1/ready/").json()
        return bool(answer.get("temporal") == "ok" and answer.get("workers") == "ok")
    return False


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
