"""Spans of OpenTelemetry, where a collector is set; where none is, nothing of it is loaded.

A span says what was done, when, and for which run, and never what was said. Spans are handed over
by a thread that drops what a collector does not take in time.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_TRACEPARENT = re.compile("[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_EXPORT_S = 5.0
_LEAVE_S = 1.0

Fact = str | int | float | bool


class Span:
    """What is under way; it tells nobody where nothing is traced."""

    def __init__(self, span: Any = None) -> None:
        self._span = span

    def tell(self, **facts: Fact | None) -> None:
        """Add facts; those that are None are not known."""
        if self._span is not None:
            known = {name: value for name, value in facts.items() if value is not None}
            self._span.set_attributes(known)

    def rename(self, name: str) -> None:
        """Call it by what is known now."""
        if self._span is not None:
            self._span.update_name(name)


_NOTHING = Span()


class _Tracing:
    """What is there once a collector is set."""

    def __init__(self) -> None:
        self.api: Any = None
        self.tracer: Any = None
        self.provider: Any = None


_tracing = _Tracing()


def is_traced() -> bool:
    """Whether a collector is set."""
    return _tracing.tracer is not None


def trace_to(endpoint: str, process: str) -> None:
    """Begin to trace. Called once, by a process that serves.

    OTEL_EXPORTER_OTLP_HEADERS, OTEL_TRACES_SAMPLER and their like count as ever.

    Args:
        endpoint: Where a collector takes OTLP over HTTP, without `/v1/traces`.
        process: What this process is, `api` or `worker`.
    """
    # Heavy, and there for those alone who have a collector.
    from opentelemetry import trace  # noqa: PLC0415
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    resource = Resource.create({"service.name": f"o-{process}"})
    _tracing.provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=_EXPORT_S)
    _tracing.provider.add_span_processor(BatchSpanProcessor(exporter))
    _tracing.api = trace
    _tracing.tracer = _tracing.provider.get_tracer("o")


def hand_over() -> None:
    """Give the collector a second to take what is left; called at the end of a process."""
    if (provider := _tracing.provider) is not None:
        flushing = threading.Thread(target=provider.force_flush, args=(1_000,), daemon=True)
        flushing.start()
        flushing.join(_LEAVE_S)


@contextmanager
def span(
    name: str, *, parent: str | None = None, serves: bool = False, **facts: Fact | None
) -> Iterator[Span]:
    """Trace the block, and what it begins below it.

    Of what goes wrong in it, the kind of error is told, and no more.

    Args:
        name: What is done; few are different.
        parent: What asked for it, as the header `traceparent`; else what is under way here.
        serves: Whether it answers another process.
        facts: Ids and figures.
    """
    if _tracing.tracer is None:
        yield _NOTHING
        return
    api = _tracing.api
    kind = api.SpanKind.SERVER if serves else api.SpanKind.INTERNAL
    with _tracing.tracer.start_as_current_span(
        name,
        context=_remote(api, parent),
        kind=kind,
        record_exception=False,
        set_status_on_exception=False,
    ) as begun:
        shown = Span(begun)
        shown.tell(**facts)
        try:
            yield shown
        except BaseException as error:
            begun.set_status(api.StatusCode.ERROR, type(error).__name__)
            raise


def traceparent() -> str | None:
    """The span that is under way, as the header; None where none is."""
    if _tracing.tracer is None:
        return None
    found = _tracing.api.get_current_span().get_span_context()
    if not found.is_valid:
        return None
    return f"00-{found.trace_id:032x}-{found.span_id:016x}-{int(found.trace_flags):02x}"


def _remote(api: Any, parent: str | None) -> Any:
    """The context below a parent elsewhere; None for that which is current here."""
    found = _TRACEPARENT.fullmatch(parent.strip()) if parent else None
    if found is None:
        return None
    trace_id, span_id, flags = (int(part, 16) for part in found.groups())
    told = api.SpanContext(trace_id, span_id, is_remote=True, trace_flags=api.TraceFlags(flags))
    return api.set_span_in_context(api.NonRecordingSpan(told)) if told.is_valid else None
