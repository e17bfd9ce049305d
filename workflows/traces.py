"""What a turn is traced by goes with it: from the message that brings it to its activities.

It is a header, opaque here, of which no command depends: histories replay with it and without it. A
turn whose execution was handed over to the next one, or that the sweeper brings, has none, and its
activities begin traces of their own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.worker import (
    HandleSignalInput,
    HandleUpdateInput,
    StartActivityInput,
    WorkflowInboundInterceptor,
    WorkflowOutboundInterceptor,
)

from workflows.options import TRACE_HEADER

_MOST_TURNS = 100

_Headers = dict[str, Payload]


class TurnTraces(WorkflowInboundInterceptor):
    """Keeps the header of each turn that comes, by its run."""

    def __init__(self, next: WorkflowInboundInterceptor) -> None:  # noqa: A002
        super().__init__(next)
        self._of_runs: _Headers = {}

    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        """Stand before what the workflow asks for."""
        super().init(_ToActivities(outbound, self._of_runs))

    async def handle_signal(self, input: HandleSignalInput) -> None:  # noqa: A002
        """Keep the header, and go on as ever."""
        self._keep(input.args, input.headers)
        await super().handle_signal(input)

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:  # noqa: A002
        """The same for an update."""
        self._keep(input.args, input.headers)
        return await super().handle_update_handler(input)

    def _keep(self, args: Sequence[Any], headers: Mapping[str, Payload]) -> None:
        run_id = _run_of(args)
        if run_id is not None and TRACE_HEADER in headers:
            self._of_runs[run_id] = headers[TRACE_HEADER]
            while len(self._of_runs) > _MOST_TURNS:
                del self._of_runs[next(iter(self._of_runs))]


class _ToActivities(WorkflowOutboundInterceptor):
    def __init__(self, next: WorkflowOutboundInterceptor, of_runs: _Headers) -> None:  # noqa: A002
        super().__init__(next)
        self._of_runs = of_runs

    def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:  # noqa: A002
        """Give an activity the header of the run that it works for."""
        told = self._of_runs.get(_run_of(input.args) or "")
        if told is not None:
            input.headers = {**input.headers, TRACE_HEADER: told}
        return super().start_activity(input)


def _run_of(args: Sequence[Any]) -> str | None:
    """The run that a message or an activity is about; a signal's comes as it was sent."""
    given = args[0] if args else None
    found = given.get("run_id") if isinstance(given, dict) else getattr(given, "run_id", None)
    return found if isinstance(found, str) else None
