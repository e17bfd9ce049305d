"""The tool `run_code`: code that a model wrote, run in a sandbox."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from activities.runners.outside_calls import MAY_HAVE_RUN
from activities.runners.sandboxed import run_in_sandbox
from o.domain.agents import Agent
from o.domain.text import cut
from o.errors import ToolFailed
from o.tools.code import RunCodeArguments
from o.tools.invocation import Invocation, Returned
from o.tools.tool import parsed
from sandbox import notebook
from sandbox.protocol import (
    Job,
    JobResult,
    Limits,
    Network,
    Sandbox,
    SandboxLost,
)

_MOST_CHARS = 50_000
_SOURCE = Path(notebook.__file__).read_text(encoding="utf-8")


class RunCodeRunner:
    """Runs code for agents. It knows no secrets of theirs: nobody has read what it does."""

    def __init__(
        self,
        sandbox: Sandbox,
        limits: Limits,
        network: Callable[[Agent | None], Network],
    ) -> None:
        """Nothing is run yet.

        Args:
            sandbox: Of this worker.
            limits: Of one call.
            network: What the code of an agent reaches.
        """
        self._sandbox = sandbox
        self._limits = limits
        self._network = network

    def repeats_safely(self, call: Invocation) -> bool:
        """No: code may do anything where it reaches the network."""
        return False

    async def run(
        self, call: Invocation, *, before_sending: Callable[[], Awaitable[None]]
    ) -> Returned:
        """Run code in a sandbox of its own, and answer in V1's form; see `ToolRunner`."""
        arguments = parsed(RunCodeArguments, call.arguments)
        if arguments.language.strip().lower() not in {"python", "python3", "py"}:
            raise ToolFailed(
                f"The code was not run: this server runs Python, and no {arguments.language[:40]}. "
                "Write it in Python."
            )
        job = Job(
            id=call.idempotency_key,
            source=_SOURCE,
            function=notebook.run_code.__name__,
            arguments={"code": arguments.code},
            agent_id=call.agent.id if call.agent else "",
            organization_id=call.organization_id,
            idempotency_key=call.idempotency_key,
            limits=self._limits,
            network=self._network(call.agent),
        )
        try:
            result = await run_in_sandbox(self._sandbox, job, before_sending, what="The code")
        except SandboxLost:
            return Returned("error", MAY_HAVE_RUN, may_have_run=True)
        return _returned(result)


def _returned(result: JobResult) -> Returned:
    found = _found(result)
    error = found.get("error")
    answer: dict[str, Any] = {
        "results": found.get("results", []),
        "logs": {"stdout": _pieces(result.stdout), "stderr": _pieces(result.stderr)},
        **({"error": error} if error else {}),
    }
    return Returned(
        "error" if error else "success",
        json.dumps(_shortened(answer), ensure_ascii=False),
        stdout=_pieces(result.stdout),
        stderr=_pieces(result.stderr),
        hosts=list(result.hosts),
    )


def _found(result: JobResult) -> dict[str, Any]:
    """What the code gave, as `sandbox/notebook.py` says it; code may have changed that too."""
    if result.failure is not None:
        return {"error": result.failure.message}
    try:
        found = json.loads(result.result)
        results = [str(one) for one in found["results"]]
        return {"results": results, "error": str(found["error"]) if "error" in found else None}
    except (ValueError, TypeError, KeyError, RecursionError):
        return {"results": [str(result.result)]}


def _pieces(printed: str) -> list[str]:
    return [printed] if printed else []


def _shortened(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer with no text so long that a model is not shown the others."""
    each = _MOST_CHARS // 3
    logs = {name: [cut(one, each) for one in pieces] for name, pieces in answer["logs"].items()}
    error = {"error": cut(answer["error"], each)} if "error" in answer else {}
    return {"results": [cut(one, each) for one in answer["results"]], "logs": logs, **error}
