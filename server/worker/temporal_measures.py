"""What Temporal's own client measures in a worker, as it shows it to Prometheus."""

import asyncio
import contextlib
import logging

from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

from o.metrics.exposition import only
from server.up.ports import free_port

_log = logging.getLogger(__name__)
_TRIES = 5
_PATIENCE_S = 1.0
_MOST_BYTES = 8 * 1024 * 1024

SHOWN = (
    "temporal_workflow_task_schedule_to_start_latency",
    "temporal_activity_schedule_to_start_latency",
    "temporal_workflow_task_execution_failed",
    "temporal_activity_execution_failed",
    "temporal_request_failure",
    "temporal_sticky_cache_size",
    "temporal_worker_task_slots_available",
    "temporal_worker_task_slots_used",
)
"""Those that say how a worker stands; it has many more."""


class TemporalMeasures:
    """The runtime of a worker's client, which counts, and shows its counts on loopback.

    Counting is done by the client's own threads, past Python. The port is taken when this is made.
    """

    def __init__(self) -> None:
        self.runtime: Runtime | None = None
        for _ in range(_TRIES):
            self._port = free_port()
            shown = PrometheusConfig(f"127.0.0.1:{self._port}", durations_as_seconds=True)
            try:
                self.runtime = Runtime(telemetry=TelemetryConfig(metrics=shown))
            except ValueError:  # somebody was faster to take the port
                continue
            return
        _log.warning("what Temporal's client measures is not shown: no port is free")

    async def text(self) -> str:
        """Its text now; empty where it does not answer."""
        if self.runtime is None:
            return ""
        with contextlib.suppress(OSError, TimeoutError, ValueError):
            async with asyncio.timeout(_PATIENCE_S):
                return only(await self._ask(), SHOWN)
        return ""

    async def _ask(self) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(b"GET /metrics HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
            answer = await reader.read(_MOST_BYTES)
            while piece := await reader.read(_MOST_BYTES):
                answer += piece
        finally:
            writer.close()
        return answer.partition(b"\r\n\r\n")[2].decode()
