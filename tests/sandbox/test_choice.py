"""Which backend is taken, and that nothing else is when there is none or it fails."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from o.settings.all import Settings
from sandbox.choice import Candidate, ChosenSandbox, build_sandbox, limits_of, survey
from sandbox.egress.exits import Egress
from sandbox.protocol import (
    Job,
    JobResult,
    Limits,
    NoSandbox,
    SandboxState,
    SandboxUnavailable,
)
from sandbox.unsafe_subprocess import MARK

JOB = Job("test", "def tool():\n    return 1\n", "tool", {})


class Backend:
    """One that is what it is told to be, and counts its jobs."""

    def __init__(self, name: str, problem: str = "") -> None:
        self.state = SandboxState(name, "namespaces", "cgroup", problem)
        self.fails = False
        self.jobs = 0
        self.is_closed = False

    async def start(self) -> None:
        """Nothing is to be started."""

    async def run(self, job: Job, *, before_sending: Callable[[], Awaitable[None]]) -> JobResult:
        if self.fails:
            raise SandboxUnavailable("the engine is away")
        self.jobs += 1
        return JobResult(result=self.state.backend)

    async def close(self) -> None:
        self.is_closed = True


async def nothing() -> None:
    """Nobody is to know before a job is sent."""


def choose(*backends: Backend) -> ChosenSandbox:
    every = [Candidate(one.state.backend, lambda one=one: one) for one in backends]  # type: ignore[misc]
    return ChosenSandbox(every, Limits())


def settings(tmp_path: Path, **given: Any) -> Settings:
    nowhere = f"unix://{tmp_path}/no-engine.sock"
    return Settings(data_dir=tmp_path, docker_host=nowhere, **given)


async def test_the_first_that_can_be_is_taken_and_kept() -> None:
    first, second, third = Backend("first", "broken"), Backend("second"), Backend("third")
    sandbox = choose(first, second, third)
    await sandbox.start()
    assert (await sandbox.run(JOB, before_sending=nothing)).result == "second"
    assert first.is_closed
    assert sandbox.state.backend == "second"
    second.fails = True
    with pytest.raises(SandboxUnavailable, match="the engine is away"):
        await sandbox.run(JOB, before_sending=nothing)
    second.fails = False
    assert (await sandbox.run(JOB, before_sending=nothing)).result == "second"
    assert first.jobs == third.jobs == 0
    await sandbox.close()


async def test_where_there_is_none_a_job_is_refused_and_none_runs() -> None:
    backends = [Backend("docker", "no engine answers"), Backend("bubblewrap", "the kernel forbids")]
    sandbox = choose(*backends)
    assert not sandbox.is_known
    await sandbox.start()
    with pytest.raises(NoSandbox, match=r"docker: no engine answers; bubblewrap: the kernel forb"):
        await sandbox.run(JOB, before_sending=nothing)
    assert sandbox.state.level == "none"
    assert not any(backend.jobs for backend in backends)
    await sandbox.close()


async def test_one_that_comes_later_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.choice._SOON_S", 0.0)
    backend = Backend("docker", "no engine answers")
    sandbox = choose(backend)
    await sandbox.start()
    with pytest.raises(NoSandbox):
        await sandbox.run(JOB, before_sending=nothing)
    backend.state = SandboxState("docker", "container", "cgroup")
    assert (await sandbox.run(JOB, before_sending=nothing)).result == "docker"
    await sandbox.close()


async def test_auto_without_an_engine_is_bubblewrap(tmp_path: Path) -> None:
    sandbox = build_sandbox(settings(tmp_path, sandbox_pool=0))
    await sandbox.start()
    done = await sandbox.run(JOB, before_sending=nothing)
    assert done.result == 1
    assert (sandbox.state.backend, sandbox.state.level) == ("bubblewrap", "namespaces")
    assert sandbox.state.caps
    await sandbox.close()


async def test_docker_that_is_set_is_not_replaced(tmp_path: Path) -> None:
    sandbox = build_sandbox(settings(tmp_path, sandbox_backend="docker"))
    await sandbox.start()
    with pytest.raises(NoSandbox, match="no Docker engine answers"):
        await sandbox.run(JOB, before_sending=nothing)
    await sandbox.close()
    found = await survey(settings(tmp_path, sandbox_backend="docker"))
    assert [state.backend for state in found] == ["docker"]
    assert "no Docker engine answers" in found[0].problem


async def test_a_way_out_that_cannot_be_made_is_told_of_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.choice._SOON_S", 0.0)
    own = tmp_path / "own.pem"
    own.touch()
    given = settings(tmp_path, sandbox_backend="bubblewrap", sandbox_ca_file=own)
    own.unlink()
    chosen = build_sandbox(given, Egress(given))
    await chosen.start()
    open_files = []
    for _ in range(3):
        with pytest.raises(NoSandbox, match=f"{own}: No such file or directory"):
            await chosen.run(JOB, before_sending=nothing)
        open_files.append(len(os.listdir("/proc/self/fd")))
    await chosen.close()
    assert open_files[0] == open_files[-1]
    assert not list((tmp_path / "egress").iterdir())


async def test_a_survey_tells_of_those_that_are_passed_over(tmp_path: Path) -> None:
    found = await survey(settings(tmp_path))
    assert [(state.backend, bool(state.problem)) for state in found] == [
        ("docker", True),
        ("bubblewrap", False),
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "given",
    [{"host": "0.0.0.0", "api_token": "for-others"}, {"api_token": "for-others"}],
)
async def test_unsafe_is_refused_on_a_server_for_others(
    tmp_path: Path, given: dict[str, str]
) -> None:
    unsafe = settings(tmp_path, sandbox_backend="unsafe-subprocess", **given)
    sandbox = build_sandbox(unsafe)
    await sandbox.start()
    with pytest.raises(NoSandbox, match="unsafe-subprocess is refused"):
        await sandbox.run(JOB, before_sending=nothing)
    assert "is refused" in (await survey(unsafe))[0].problem
    await sandbox.close()


async def test_unsafe_says_so_each_time_and_hides_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-server")
    sandbox = build_sandbox(settings(tmp_path, sandbox_backend="unsafe-subprocess"))
    await sandbox.start()
    source = """
def tool():
    import os, sys
    print("hm", file=sys.stderr)
    return dict(os.environ)
"""
    done = await sandbox.run(Job("test", source, "tool", {}), before_sending=nothing)
    assert done.failure is None
    assert set(done.result) <= {"PATH", "HOME", "LANG", "LC_CTYPE"}
    assert done.stderr == f"{MARK}\nhm"
    assert sandbox.state.level == "none"
    assert "a tool runs without a sandbox" in caplog.messages
    quiet = await sandbox.run(JOB, before_sending=nothing)
    assert quiet.stderr == MARK
    await sandbox.close()


def test_limits_are_those_of_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOL_SANDBOX_TIMEOUT", "180")
    monkeypatch.setenv("O_SANDBOX_MEMORY_MB", "512")
    limits = limits_of(settings(tmp_path))
    assert (limits.timeout_s, limits.memory) == (180.0, 512 * 1024**2)
