"""What a sandbox is asked to do and what it answers; every backend speaks it.

One job, one sandbox: nothing of a job is there for the next one. What goes in and what comes out
is JSON, never pickle, and the code of a tool is neither imported nor run anywhere else.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

Level = Literal["container", "namespaces", "none"]
"""What stands between a tool and this machine; `none` is a plain process."""


@dataclass(frozen=True)
class Limits:
    """What a job may use. Sizes are bytes, times are seconds."""

    timeout_s: float = 60.0
    memory: int = 256 * 1024 * 1024
    processes: int = 64
    cpus: float = 1.0
    disk: int = 48 * 1024 * 1024
    result: int = 1024 * 1024
    output: int = 64 * 1024


@dataclass(frozen=True)
class Network:
    """Which hosts a job reaches, through the egress proxy; there is no other way out.

    Attributes:
        mode: `none`, `public` addresses, or the hosts of the `list` alone.
        hosts: Names (`api.example.com`, `*.example.com`), with a port where only that one is meant.
            An operator may name networks, too.
        api: Whether the job reaches this server's own API, as `http://o.internal`. The proxy adds
            a token to its requests, which is good for its organization and never in the sandbox.
    """

    mode: Literal["none", "public", "list"] = "none"
    hosts: Sequence[str] = ()
    api: bool = False


@dataclass(frozen=True)
class Job:
    """One call of a tool.

    Attributes:
        id: For logs and labels; unique.
        source: Python that defines `function`.
        arguments: By name.
        environment: Variables that the tool sees; they may be secret, and go in the frame alone.
        agent_state: `{"id", "blocks": [{"label", "value", "limit", "read_only", "version"}]}` for
            a function that has an `agent_state` parameter.
        idempotency_key: The same when the call is repeated.
        packages: A folder of installed requirements, mounted read-only.
    """

    id: str
    source: str
    function: str
    arguments: Mapping[str, Any]
    environment: Mapping[str, str] = field(default_factory=dict)
    agent_state: Mapping[str, Any] | None = None
    agent_id: str = ""
    organization_id: str = ""
    idempotency_key: str = ""
    packages: Path | None = None
    limits: Limits = Limits()
    network: Network = Network()


@dataclass(frozen=True)
class Failure:
    """Why a job has no result.

    Attributes:
        kind: `raised` by the tool; the others are the sandbox's own: over a limit, a frame that
            cannot be read, a process that ended without one.
        message: The whole text for the model: `Error executing function f: ValueError: no`.
        type: The exception's class, as it stands in the message.
        traceback: Of the tool's own lines. It stands at the end of the result's `stderr` too.
    """

    kind: Literal["raised", "timeout", "memory", "result", "frame", "died", "source"]
    message: str
    type: str = ""
    traceback: str = ""


@dataclass(frozen=True)
class BlockEdit:
    """A block of the agent that the tool changed in its `agent_state`, and what it had read."""

    label: str
    value: str
    version: int


@dataclass(frozen=True)
class JobResult:
    """What came of a job: a result or a failure, and what it printed, each within its limit.

    Attributes:
        result: JSON without NaN, NUL or lone surrogates, when `failure` is None.
        truncated: Whether some of stdout or stderr was left out.
        hosts: Which hosts the job asked the egress proxy for, with `-` before those refused.
        duration_ms: In the sandbox, without the start.
    """

    result: Any = None
    failure: Failure | None = None
    stdout: str = ""
    stderr: str = ""
    truncated: bool = False
    block_edits: Sequence[BlockEdit] = ()
    hosts: Sequence[str] = ()
    duration_ms: float = 0.0


@dataclass(frozen=True)
class SandboxState:
    """What runs tools here, for `o doctor`, health and the text at start.

    Attributes:
        backend: `docker`, `bubblewrap`, `unsafe-subprocess`, or empty where nothing does.
        caps: What holds memory and CPU: `cgroup`, `watcher`, both, or empty.
        problem: Why nothing runs tools, with what can be done about it.
        python: Which one runs them, as `3.11`; empty where that is not known.
    """

    backend: str
    level: Level
    caps: str = ""
    problem: str = ""
    python: str = ""


class SandboxUnavailable(Exception):
    """No sandbox can be had, so that nothing of the job was run. It may be tried again."""


class NoSandbox(SandboxUnavailable):
    """Tools do not run on this server as it is; the message says what can be done about it."""


class SandboxLost(Exception):
    """The job was sent and no answer will come: it may have run, in part or whole."""


class Sandbox(Protocol):
    """Runs jobs, each in a sandbox of its own."""

    @property
    def state(self) -> SandboxState:
        """What it is."""

    async def start(self) -> None:
        """Look what is there, clear what a dead worker left, and have sandboxes ready."""

    async def run(self, job: Job, *, before_sending: Callable[[], Awaitable[None]]) -> JobResult:
        """Run a job to its end or its limit. Cancelling ends the sandbox, and waits for that.

        Args:
            job: What to run.
            before_sending: Called once, when a sandbox is there and before the job is sent to it.

        Raises:
            SandboxUnavailable: Nothing was sent.
            SandboxLost: It was sent, and may have run.
        """

    async def close(self) -> None:
        """End what is left."""
