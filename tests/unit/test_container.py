"""What holds in a container alone; its first process is one of a namespace of bubblewrap's."""

import os
import re
import signal
import subprocess
import sys

import click
import psutil
import pytest

from o.settings.all import Settings
from sandbox.bubblewrap.host import look
from server.container import check_complete
from tests.support.product import REPOSITORY

_COMPLETE = {
    "DATABASE_URL": "postgresql://o@db:5432/o",
    "TEMPORAL_ADDRESS": "temporal:7233",
    "O_API_TOKEN": "a token",
    "O_ENCRYPTION_KEY": "a key that is long enough",
}
_FIRST = """
import os, signal, subprocess, time
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which may be ignored where tests run, as by nohup
from server.container import run_as_init

def work():
    subprocess.run(["sh", "-c", "sleep 0.05 & exit"], check=True)
    deadline = time.monotonic() + 30
    while len([name for name in os.listdir("/proc") if name.isdigit()]) > 2:
        assert time.monotonic() < deadline, "an orphan that nobody buries"
        time.sleep(0.01)
    print("ready", os.getpid() != 1, flush=True)
    END

run_as_init(work)
"""


def first_process(end: str) -> subprocess.Popen[str]:
    program = _FIRST.replace("END", end)
    return subprocess.Popen(
        [
            *(str(look().bwrap), "--dev-bind", "/", "/", "--unshare-pid", "--proc", "/proc"),
            *("--as-pid-1", "--die-with-parent", sys.executable, "-c", program),
        ],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def namespace() -> None:
    """Skips where no namespace of processes can be made."""
    tried = [str(look().bwrap), "--dev-bind", "/", "/", "--unshare-pid", "true"]
    if subprocess.run(tried, capture_output=True, check=False).returncode:
        pytest.skip("no namespace of processes can be made here")


@pytest.mark.usefixtures("namespace")
@pytest.mark.parametrize(("end", "status"), [("os._exit(7)", 7), ("os.abort()", 134)])
def test_a_container_ends_as_what_it_ran_and_buries_orphans(end: str, status: int) -> None:
    with first_process(end) as container:
        assert container.communicate(timeout=60)[0] == "ready True\n"
        assert container.returncode == status


@pytest.mark.usefixtures("namespace")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_container_can_be_stopped_before_anything_handles_signals(number: signal.Signals) -> None:
    with first_process("signal.signal(signal.SIGINT, signal.SIG_DFL); signal.pause()") as container:
        assert container.stdout is not None
        assert container.stdout.readline() == "ready True\n"
        [first] = psutil.Process(container.pid).children()
        os.kill(first.pid, number)
        assert container.wait(60) == 128 + number


def test_a_container_that_was_told_nothing_says_in_words_what_it_needs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "server.cli", "migrate"],
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], "O_CONTAINER": "on"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert re.findall(r"^  ([A-Z_]+): ", done.stderr, re.MULTILINE) == list(_COMPLETE)


@pytest.mark.parametrize("missing", _COMPLETE)
def test_it_names_what_is_missing_and_nothing_else_also_where_it_is_empty(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (_COMPLETE | {missing: ""}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(click.UsageError) as refused:
        check_complete(Settings())
    assert re.findall(r"^  ([A-Z_]+): ", refused.value.message, re.MULTILINE) == [missing]
    monkeypatch.setenv(missing, _COMPLETE[missing])
    check_complete(Settings())
