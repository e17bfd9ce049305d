"""Records model calls for whoever keeps traces, which knows no wires."""

from collections.abc import Iterator
from contextlib import contextmanager

from o.domain.traces import RecordedCall
from o.llm.redaction import shown_request, shown_response
from o.llm.tracing import CallTrace, tracing


class WireRecorder:
    """A `CallRecorder` of what the wires tell."""

    @contextmanager
    def recording(self) -> Iterator["WireRecording"]:
        """Record the calls that are made while the block lasts, in its tasks too."""
        with tracing() as trace:
            yield WireRecording(trace)


class WireRecording:
    """A `Recording`; it can be read while its call goes on, and after that."""

    def __init__(self, trace: CallTrace) -> None:
        self._trace = trace

    def call(self) -> RecordedCall | None:
        """The newest exchange as it may be shown, None where there was none. May block."""
        if not self._trace.exchanges:
            return None
        newest, secrets = self._trace.exchanges[-1], self._trace.secrets
        return RecordedCall(
            request=shown_request(newest, secrets),
            response=shown_response(newest, secrets),
            status=newest.status,
            exchanges=self._trace.count,
        )
