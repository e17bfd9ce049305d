"""The process from which the API and the workers are forked."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from server.up import forks
from tests.support.product import Product, eventually, is_alive
from tests.support.provider import HANDLE, FakeProvider

FORKING = Path(__file__).with_name("forking.py")


def test_what_is_forked_lives_on_without_the_fork_server_and_comes_back_with_the_next(
    tmp_path: Path, provider: FakeProvider
) -> None:
    product = Product(
        tmp_path / "o", {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": provider.url}
    )
    try:
        product.start()
        fork_server, api = product.pid_of("fork-server"), product.pid_of("api")
        assert psutil.Process(api).ppid() == fork_server
        assert psutil.Process(api).cmdline() == ["o", "api"]
        assert psutil.Process(fork_server).cmdline() == ["o", "fork-server"]
        assert psutil.Process(fork_server).num_threads() == 1
        assert {file.fd for file in psutil.Process(fork_server).open_files()} <= {1, 2}
        (control,) = psutil.Process(fork_server).net_connections("all")
        assert control.family is socket.AF_UNIX
        client = product.client(max_retries=0)
        agent = client.agents.create(model=HANDLE)
        product.kill("fork-server")
        assert client.agents.messages.create(agent.id, input="Hi").stop_reason is not None
        assert product.pid_of("api") == api
        another = eventually(
            lambda: (pid := product.state["processes"]["fork-server"]) != fork_server and pid
        )
        product.kill("api")
        eventually(lambda: product.state["processes"]["api"] not in (api, None))
        assert psutil.Process(product.pid_of("api")).ppid() == another
        eventually(lambda: _is_healthy(product))
        assert client.agents.messages.create(agent.id, input="Hi").stop_reason is not None
    finally:
        product.stop()  # fails where anything is left


async def test_a_fork_server_that_cannot_be_started_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(forks, "_PAUSE_S", 0.01)
    monkeypatch.setattr(forks, "_LONGEST_PAUSE_S", 0.05)
    monkeypatch.setattr(forks, "FORK_SERVER", ("/nowhere/python",))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    first = os.posix_spawn("/bin/sleep", ["sleep", "0"], os.environ)
    server = forks.ForkServer(first, ours, 1.0)
    theirs.close()  # as its end does
    server.keep(lambda: None)
    try:
        async with asyncio.timeout(20):
            while caplog.messages.count("no fork server can be started") < 2:
                await asyncio.sleep(0.01)
            monkeypatch.setattr(forks, "FORK_SERVER", ("/bin/sleep", "600"))
            while server.pid in (first, None):
                await asyncio.sleep(0.01)
    finally:
        await server.close()


def _is_healthy(product: Product) -> bool:
    try:
        return httpx.get(f"{product.url}/v1/health/").status_code == 200
    except httpx.HTTPError:
        return False


class Forking:
    """A process that has one process forked, see `forking.py`."""

    def __init__(self, tmp_path: Path, *arguments: str) -> None:
        self.output = tmp_path / "output"
        self.process = subprocess.Popen(
            [sys.executable, str(FORKING), str(self.output), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OF_THE_SUPERVISOR": "1"},
        )

    def told(self) -> list[str]:
        """One line of what it tells, in words."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().split()

    def tell(self, what: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()


NewForking = Callable[..., Forking]


@pytest.fixture
def forking(tmp_path: Path) -> Iterator[NewForking]:
    made: list[Forking] = []

    def make(*arguments: str) -> Forking:
        made.append(Forking(tmp_path, *arguments))
        return made[-1]

    yield make
    for one in made:
        ended = one.process.poll() is not None
        forked = [] if ended else psutil.Process(one.process.pid).children(recursive=True)
        one.process.kill()
        one.process.wait(10)
        for left in forked:  # one that was stopped sees no end of its supervisor
            with contextlib.suppress(psutil.NoSuchProcess):
                left.kill()


@pytest.mark.parametrize(
    ("what", "status"),
    [("leave", 0), ("exit-7", 7), ("exit-words", 1), ("raise", 1), ("kill", -signal.SIGKILL)],
)
def test_the_exit_status_of_a_fork_is_what_it_would_be_of_a_process(
    forking: NewForking, what: str, status: int
) -> None:
    one = forking("wait", what)
    assert one.told()[0] == "forked"
    assert one.told() == ["ended", str(status)]


def test_a_fork_is_as_a_process_that_was_started(forking: NewForking) -> None:
    one = forking("wait", "describe", "and", "more")
    pid = int(one.told()[1])
    assert one.told() == ["ended", "0"]
    told = dict(line.split("=", 1) for line in one.output.read_text().splitlines())
    is_ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # as of what a shell put aside
    interrupt = "SIG_IGN" if is_ignored else "default_int_handler"
    assert told == {
        "pid": str(pid),
        "session": str(pid),
        "argv": "o describe and more",
        "title": "o describe and more",
        "environment": r"GIVEN='\udcff'",
        "input": os.devnull,
        "umask": "0o77",
        "kept": "heard",
        "open": "6",  # three that are standard, the two that it was given, and one to count them
        "signals": f"{interrupt} SIG_DFL SIG_DFL",
        "threads": "1",
    }


def test_a_fork_is_sent_signals_by_its_descriptor(forking: NewForking) -> None:
    one = forking("kill", "sleep")
    pid = int(one.told()[1])
    assert one.told() == ["ended", str(-signal.SIGKILL)]
    assert not is_alive(pid)


def test_a_fork_outlives_its_fork_server_and_its_end_is_noticed(forking: NewForking) -> None:
    one = forking("wait", "sleep")
    pid = int(one.told()[1])
    server = psutil.Process(pid).parent()
    assert server is not None
    server.kill()
    eventually(lambda: not is_alive(server.pid))
    assert is_alive(pid)
    os.kill(pid, signal.SIGKILL)
    assert one.told() == ["ended", "-1"]


def test_forks_draw_different_numbers(forking: NewForking) -> None:
    one = forking("twice", "draw")
    assert one.told()[0] == "forked"
    assert one.told() == ["ended", "0"]
    drawn = [line.split() for line in one.output.read_text().splitlines()]
    assert [len(set(values)) for values in zip(*drawn, strict=True)] == [2, 2, 2]


def test_an_end_that_a_stopped_fork_server_does_not_tell_of_is_noticed(forking: NewForking) -> None:
    one = forking("untold", "sleep")
    assert one.told()[0] == "forked"
    assert one.told() == ["ended", "-1"]


def test_nothing_is_forked_for_whoever_did_not_wait(forking: NewForking) -> None:
    one = forking("give-up", "describe")
    assert one.told() == ["gave", "up"]
    assert one.told()[0] == "forked"  # the next one, which says that the first had its turn
    assert one.told() == ["ended", "0"]
    assert one.output.read_text().count("pid=") == 1


def test_no_fork_server_is_left_by_a_supervisor_that_was_killed(forking: NewForking) -> None:
    one = forking("wait", "sleep")
    pid = int(one.told()[1])
    server = psutil.Process(pid).parent()
    assert server is not None
    one.process.kill()
    eventually(lambda: not is_alive(server.pid))
    os.kill(pid, signal.SIGKILL)  # it follows a supervisor by its lifeline, which is not there


def test_a_request_beside_a_stopped_fork_server_is_given_up_and_never_carried_out(
    forking: NewForking,
) -> None:
    one = forking("stopped", "describe")
    assert one.told() == ["unavailable"]
    assert one.process.wait(30) == 0
    assert not one.output.read_text()
