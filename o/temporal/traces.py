"""What is under way here goes to Temporal with the turns that are sent."""

from collections.abc import Mapping
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.client import (
    Interceptor,
    OutboundInterceptor,
    SignalWorkflowInput,
    StartWorkflowInput,
    WorkflowHandle,
)
from temporalio.converter import PayloadConverter

from o.tracing import traceparent
from workflows.options import TRACE_HEADER


class SentTraces(Interceptor):
    """Gives each message the header of what is under way."""

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:  # noqa: A002
        """Stand before the client."""
        return _Sent(next)


class _Sent(OutboundInterceptor):
    async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:  # noqa: A002
        """With the header, which Temporal gives to the signal that comes with the start."""
        input.headers = _with_header(input.headers)
        return await super().start_workflow(input)

    async def signal_workflow(self, input: SignalWorkflowInput) -> None:  # noqa: A002
        """With the header."""
        input.headers = _with_header(input.headers)
        await super().signal_workflow(input)


def _with_header(headers: Mapping[str, Payload]) -> Mapping[str, Payload]:
    told = traceparent()
    if told is None:
        return headers
    return {**headers, TRACE_HEADER: PayloadConverter.default.to_payload(told)}


def told_by(headers: Mapping[str, Payload]) -> str | None:
    """The header that an activity came with; None where there is none that can be read."""
    payload = headers.get(TRACE_HEADER)
    if payload is None:
        return None
    try:
        found = PayloadConverter.default.from_payload(payload)
    except Exception:  # whatever it is, it is no reason not to work
        return None
    return found if isinstance(found, str) else None
