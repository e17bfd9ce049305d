"""Traces of OpenTelemetry: one from the request to the model call, and nothing said in it."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, FakeProvider, call, do, say

TRACE = "0af7651916cd43dd8448eb211c80319c"
CLIENT = "b7ad6b7169203331"


class Collector:
    """Takes traces on loopback, and hangs while it is told to."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.hangs = threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                while collector.hangs.is_set():
                    time.sleep(0.1)
                collector.bodies.append(body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def spans(self) -> list[Span]:
        found: list[Span] = []
        for body in list(self.bodies):
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    found += scope.spans
        return found


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.hangs.clear()
    collector.server.shutdown()


@pytest.fixture(scope="module")
def traced(
    provider: FakeProvider, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Product]:
    env = {
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": provider.url,
        "O_WORKERS": "1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    product = Product(tmp_path_factory.mktemp("traced") / "o", env)
    product.start()
    yield product
    product.stop()


def test_a_turn_is_one_trace_from_the_request_to_the_model_call(
    traced: Product, collector: Collector
) -> None:
    http = httpx.Client(base_url=traced.url, timeout=60)
    agent = http.post("/v1/agents/", json={"model": HANDLE}).json()["id"]
    path = f"/v1/agents/{agent}/messages"
    assert http.post(path, json={"input": "a secret of before"}).status_code == 200
    said = do(call("memory_insert", label="human", new_string="a secret"), say("secret"))
    header = {"traceparent": f"00-{TRACE}-{CLIENT}-01"}
    assert http.post(path, json={"input": said}, headers=header).status_code == 200

    def whole() -> list[Span] | None:
        found = [span for span in collector.spans() if span.trace_id.hex() == TRACE]
        names = [span.name for span in found]
        is_whole = names.count("model call") >= 2 and names.count("activity take_step") >= 2
        return found if is_whole and any(name.startswith("POST") for name in names) else None

    spans = eventually(whole, within_s=90, what="the trace")
    by_name: dict[str, list[Span]] = {}
    for span in spans:
        by_name.setdefault(span.name, []).append(span)
    (request,) = by_name["POST /agents/{agent_id}/messages"]
    assert request.parent_span_id.hex() == CLIENT
    steps, tools = by_name["activity take_step"], by_name["activity run_tool"]
    assert {span.parent_span_id for span in [*steps, *tools]} == {request.span_id}
    calls = {span.parent_span_id for span in by_name["model call"]}
    assert calls == {span.span_id for span in steps}
    runs = {
        fact.value.string_value
        for span in [*steps, *tools]
        for fact in span.attributes
        if fact.key == "run_id"
    }
    assert len(runs) == 1, "the turn before is another trace"
    assert b"secret" not in b"".join(collector.bodies)
    assert b"sk-test" not in b"".join(collector.bodies)


def test_a_collector_that_hangs_or_is_away_costs_nothing(
    traced: Product, collector: Collector
) -> None:
    http = httpx.Client(base_url=traced.url, timeout=60)
    agent = http.post("/v1/agents/", json={"model": HANDLE}).json()["id"]
    collector.hangs.set()
    for _ in range(3):
        answer = http.post(f"/v1/agents/{agent}/messages", json={"input": "hello"})
        assert answer.status_code == 200
    worker = traced.pid_of("worker-1")
    began = time.monotonic()
    os.kill(worker, signal.SIGTERM)
    eventually(lambda: traced.pid_of("worker-1") != worker, what="another worker")
    assert time.monotonic() - began < 60, "it does not wait for the collector"
    collector.server.shutdown()
    collector.server.server_close()
    answer = http.post(f"/v1/agents/{agent}/messages", json={"input": "hello"})
    assert answer.status_code == 200
