"""docker-compose.yml, really started; `make image-test` makes the image and runs this.

It takes minutes, so CI reads the file instead (test_files.py).
"""

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from letta_client import Letta

from tests.deploy.stack import KEY, TOKEN, Stack, compose_command, lay_out
from tests.support.product import REPOSITORY, eventually
from tests.support.provider import HANDLE, call, do, say

IMAGE = os.environ.get("O_TEST_IMAGE", "")
pytestmark = [
    pytest.mark.skipif(not IMAGE, reason="`make image-test` makes the image, and runs this"),
    pytest.mark.skipif(not compose_command(), reason="apt-get install docker-compose"),
    pytest.mark.timeout(900),
]
_PARTS = ("worker-1", "api-1", "worker-2", "api-2")
_PAGE = (REPOSITORY / "docs" / "operations.md").read_text()
_SECTION = _PAGE.split("### Docker Compose\n")[1].split("\n### ")[0]
_LOOK_AFTER, _RESTORE, _ROTATE = re.findall(r"```sh\n(.*?)```", _SECTION, re.DOTALL)[2:]
_NEEDED = {
    "O_API_TOKEN": "x",
    "O_ENCRYPTION_KEY": KEY,
    "POSTGRES_PASSWORD": "x",
    "TEMPORAL_POSTGRES_PASSWORD": "x",
    "DOCKER_GID": "0",
}
_TOOL = '''
def where_am_i(name: str) -> str:
    """Greet.

    Args:
        name: Whom.
    """
    import os
    return f"hello {name} from uid {os.getuid()}"
'''


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole file, up as a user brings it up."""
    stack = Stack(tmp_path_factory.mktemp("compose"), IMAGE)
    try:
        stack.start()
        stack.wait_healthy("api-1")
        stack.wait_healthy("api-2")
        yield stack
    finally:
        if os.environ.get("O_TEST_KEEP") != "1":
            stack.stop()


@pytest.fixture
def client(stack: Stack) -> Letta:
    return Letta(base_url=stack.url, api_key=TOKEN, timeout=120, max_retries=6)


class Talk:
    """Somebody who talks with one agent until all is over."""

    def __init__(self, client: Letta, name: str) -> None:
        self._client = client
        self._agent = client.agents.create(name=name, model=HANDLE)
        self._over = threading.Event()
        self.answers: list[str] = []
        self._thread = threading.Thread(target=self._talk, daemon=True)
        self._thread.start()

    def _talk(self) -> None:
        while not self._over.is_set():
            said = f"message {len(self.answers)}"
            reply = self._client.agents.messages.create(self._agent.id, input=said)
            self.answers += [
                str(one.content)
                for one in reply.messages
                if one.message_type == "assistant_message"
            ]

    def goes_on(self) -> None:
        """Wait for two more answers: the first may have been on its way."""
        heard = len(self.answers)
        eventually(lambda: len(self.answers) >= heard + 2, within_s=120, what="two more answers")

    def end(self) -> None:
        """See that everything was answered once and kept once, in its order."""
        self._over.set()
        self._thread.join(120)
        assert not self._thread.is_alive()
        assert self.answers == [f"You said: message {n}" for n in range(len(self.answers))]
        kept = [
            str(one.content)
            for one in self._client.agents.messages.list(self._agent.id, limit=1000, order="asc")
            if one.message_type == "user_message"
        ]
        assert [one for one in kept if one.startswith("message ")] == [
            f"message {n}" for n in range(len(self.answers))
        ]


@pytest.mark.parametrize("missing", _NEEDED)
def test_a_setting_that_was_left_empty_is_named(missing: str, tmp_path: Path) -> None:
    env = lay_out(tmp_path, _NEEDED | {missing: ""})
    asked = ["docker", "compose", "config", "--quiet"]
    done = subprocess.run(asked, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert missing in done.stderr


def test_parts_that_die_are_started_again_while_people_talk(stack: Stack, client: Letta) -> None:
    talks = [Talk(client, f"talk-{n}") for n in range(3)]
    for part in _PARTS:
        before = stack.kill(part)
        for talk in talks:
            talk.goes_on()
        stack.wait_restarted(part, before)
        if part.startswith("api"):
            stack.wait_healthy(part)
    for talk in talks:
        talk.end()


def test_a_new_release_goes_in_part_by_part_while_people_talk(stack: Stack, client: Letta) -> None:
    talks = [Talk(client, f"rolled-{n}") for n in range(3)]
    stack("up", "--detach", "migrate")
    for part in _PARTS:
        old = stack.inspect(part)["Id"]
        stack("up", "--detach", "--no-deps", "--force-recreate", part)
        assert stack.inspect(part)["Id"] != old
        if part.startswith("api"):
            stack.wait_healthy(part)
        for talk in talks:
            talk.goes_on()
    for talk in talks:
        talk.end()


def test_a_tool_of_ones_own_runs_in_a_sandbox_beside_the_workers(
    stack: Stack, client: Letta
) -> None:
    tool = client.tools.create(source_code=_TOOL)
    agent = client.agents.create(model=HANDLE, tool_ids=[tool.id])
    script = do(call("where_am_i", name="Ada"), say("done"))
    reply = client.agents.messages.create(agent.id, input=script)
    [returned] = [one for one in reply.messages if one.message_type == "tool_return_message"]
    assert "hello Ada from uid " in str(returned.tool_return)


def test_databases_are_reached_by_nobody_outside_and_all_is_in_named_volumes(
    stack: Stack,
) -> None:
    for service in ("postgres", "temporal", "temporal-postgres"):
        found = stack.inspect(service)
        assert not any(found["NetworkSettings"]["Ports"].values())
    for service in ("postgres", "temporal-postgres"):
        [mount] = stack.inspect(service)["Mounts"]
        assert mount["Type"] == "volume"
        assert mount["Name"].endswith(("_postgres", "_temporal")), "not one that nobody named"
    for service in ("migrate", "sandbox-dir"):
        state = stack.inspect(service)["State"]
        assert (state["Status"], state["ExitCode"]) == ("exited", 0)
    assert Path("/var/run/docker.sock").exists()


def test_the_commands_of_the_page_do_what_it_says(stack: Stack, client: Letta) -> None:
    agent = client.agents.create(model=HANDLE, secrets={"PIN": "1234"})
    client.agents.messages.create(agent.id, input="Remember me")
    printed = stack.at_a_terminal(_LOOK_AFTER)
    assert "Acme's first" in printed
    assert "custom tools run in docker" in printed
    assert "whole: " in printed
    [key] = re.findall(r"(?m)^osk_\S+$", printed)
    assert client.with_options(api_key=key).agents.list().items == []
    assert (stack.folder / "monday.backup").stat().st_mode & 0o777 == 0o600

    client.agents.delete(agent.id)
    new = KEY[::-1].strip("=") + "="
    stack.set("O_ENCRYPTION_KEY", f"{new},{KEY}")
    assert "restored: " in stack.at_a_terminal(_RESTORE)
    assert re.search(r"first +[1-9]", stack.at_a_terminal(_ROTATE))
    stack.wait_healthy("api-1")
    reply = client.agents.messages.create(agent.id, input="Are you there?")
    assert "You said: Are you there?" in str(reply.messages)
    assert "Remember me" in str(client.agents.messages.list(agent.id).items)


def test_what_is_stopped_and_started_again_has_everything(stack: Stack, client: Letta) -> None:
    agent = client.agents.create(name="lasting", model=HANDLE)
    client.agents.messages.create(agent.id, input="Remember me")
    stack("down", "--timeout", "20")
    stack("up", "--detach")
    stack.wait_healthy("api-1")
    reply = client.agents.messages.create(agent.id, input="Are you there?")
    assert "You said: Are you there?" in str(reply.messages)
    assert "Remember me" in str(client.agents.messages.list(agent.id).items)
