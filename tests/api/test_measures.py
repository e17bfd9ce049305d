"""What /metrics shows of a server that is at work, and to whom."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import httpx
import pytest
from letta_client import Letta
from letta_client.types import AgentState
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr, ValidationError

from api.app import create_app
from o.domain.keys import SECRET_PREFIX
from o.errors import Conflict
from o.metrics.own import OwnMeasures
from o.settings.all import Settings
from o.settings.providers import ProviderSettings
from server.up.ports import free_port
from server.worker.measures import worker_measures
from tests.deploy.test_watching import OTHERS
from tests.support.product import Product, eventually
from tests.support.provider import call, do, say

Sample = tuple[str, Mapping[str, str], float]


def scrape(server: Product) -> list[Sample]:
    answer = httpx.get(f"{server.url}/metrics", timeout=60)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = text_string_to_metric_families(answer.text)
    return [(s.name, s.labels, s.value) for one in families for s in one.samples]


def total(samples: Iterable[Sample], name: str, **labels: str) -> float:
    """The sum over all processes; labels that are not named may be anything."""
    return sum(
        value
        for found, said, value in samples
        if found == name and all(said.get(key) == one for key, one in labels.items())
    )


def test_a_turn_is_counted_in_all_its_parts(
    server: Product, client: Letta, agent: AgentState
) -> None:
    before = scrape(server)
    said = do(call("memory_insert", label="human", new_string="Ada"), say("done"))
    client.agents.messages.create(agent.id, input=said)
    asked = {"input": do(say("hi")), "stream_tokens": True}
    answer = httpx.post(
        f"{server.url}/v1/agents/{agent.id}/messages/stream", json=asked, timeout=60
    )
    assert answer.status_code == 200, answer.text
    after = eventually(lambda: _ended(server, before, 2), within_s=60, what="two turns")

    def grew(name: str, **labels: str) -> float:
        return total(after, name, **labels) - total(before, name, **labels)

    assert grew("o_turns_total", outcome="end_turn") >= 2
    assert grew("o_turn_seconds_count") >= 2
    for part in ("begin", "model", "commit"):
        assert grew("o_turn_part_seconds_count", part=part) >= 3
    assert grew("o_turn_part_seconds_count", part="wait") >= 2
    assert grew("o_turn_part_seconds_count", part="tool") >= 1
    assert grew("o_model_calls_total", outcome="ok") >= 3
    assert grew("o_tool_calls_total", kind="built_in", status="success") >= 1
    assert grew("o_first_token_seconds_count") >= 1
    assert grew("o_tokens_total", direction="input") > 0
    assert grew("o_tokens_total", direction="output") > 0
    route = "/agents/{agent_id}/messages"
    assert grew("o_requests_total", method="POST", route=route, status="200") >= 1
    assert grew("o_request_seconds_count", method="POST", route=f"{route}/stream") >= 1
    assert grew("temporal_activity_schedule_to_start_latency_count") >= 1
    assert grew("temporal_workflow_task_schedule_to_start_latency_count") >= 1


def _ended(server: Product, before: list[Sample], many: int) -> list[Sample] | None:
    now = scrape(server)
    grown = total(now, "o_turns_total") - total(before, "o_turns_total")
    written = total(now, "o_turn_part_seconds_count", part="commit") - total(
        before, "o_turn_part_seconds_count", part="commit"
    )
    return now if grown >= many and written > many else None


def test_every_process_of_the_server_is_shown_with_its_own_measures(server: Product) -> None:
    def all_there() -> list[Sample] | None:
        now = scrape(server)
        names = {said["process"] for name, said, _ in now if name == "o_process_up"}
        return now if {"api-1", "worker-1", "worker-2"} <= names else None

    samples = eventually(all_there, within_s=60, what="all processes")
    for process in ("api-1", "worker-1", "worker-2"):
        assert total(samples, "process_resident_memory_bytes", process=process) > 10e6
        assert total(samples, "process_open_fds", process=process) > 3
        assert total(samples, "o_database_connections_max", process=process) > 0
    assert total(samples, "temporal_worker_task_slots_available", process="worker-1") > 0
    assert total(samples, "o_build_info") == 1
    assert total(samples, "o_workers") == 2
    families = {re.sub("_(?:bucket|count|sum)$", "", name) for name, _, _ in samples}
    only_on_failure = {name for name in OTHERS if "fail" in name}
    assert not sorted(OTHERS - families - only_on_failure)
    assert total(samples, "o_database_answers") == total(samples, "o_temporal_answers") == 1


def test_what_waits_is_counted(server: Product, client: Letta, agent: AgentState) -> None:
    tool = client.tools.upsert(source_code="def wait_for_me():\n    '''Waits.'''\n    return 'x'\n")
    client.agents.tools.attach(tool.id, agent_id=agent.id)
    client.agents.tools.update_approval(
        tool.name or "", agent_id=agent.id, body_requires_approval=True
    )
    client.agents.messages.create(agent.id, input=do(call(tool.name or "")))

    def shown() -> bool:
        samples = scrape(server)
        is_there = total(samples, "o_pending_approvals") >= 1
        return is_there and total(samples, "o_oldest_approval_seconds") > 0

    eventually(shown, within_s=60, what="the request")
    client.agents.delete(agent.id)
    client.tools.delete(tool.id)


def test_no_address_and_no_id_becomes_a_label(
    server: Product, client: Letta, agent: AgentState
) -> None:
    client.agents.retrieve(agent.id)
    for path in (
        "/v1/agents/nobody",
        "/v1/nothing/of/mine",
        "/wp-login.php",
        f"/v1/runs/{agent.id}",
    ):
        httpx.get(f"{server.url}{path}")
    httpx.request("PROPFIND", f"{server.url}/v1/agents/{agent.id}")
    samples = scrape(server)
    values = {value for _, said, _ in samples for value in said.values()}
    assert not [
        value for value in values if re.search(r"[0-9a-f]{8}-[0-9a-f]{4}|nobody|mine|wp-", value)
    ]
    assert total(samples, "o_requests_total", method="other") >= 1
    assert "PROPFIND" not in values
    assert total(samples, "o_requests_total", route="none", status="404") >= 2
    assert len(samples) < 20_000


@pytest.mark.parametrize(
    ("header", "is_let_in"),
    [
        ({}, False),
        ({"Authorization": "Bearer wrong"}, False),
        ({"Authorization": f"Bearer {SECRET_PREFIX}of-an-organization"}, False),
        ({"Authorization": "Bearer open sesame"}, True),
        ({"Authorization": "Bearer only for metrics"}, True),
    ],
)
async def test_the_servers_token_and_that_of_metrics_open_it(
    header: dict[str, str], is_let_in: bool
) -> None:
    settings = Settings(
        api_token=SecretStr("open sesame"), metrics_token=SecretStr("only for metrics")
    )
    app = create_app(settings, ProviderSettings())
    app.state.parts = _Parts(settings)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        answer = await http.get("/metrics", headers=header)
        assert answer.status_code == (200 if is_let_in else 401)
        said = "keys of organizations do not open /metrics.*O_METRICS_TOKEN or O_API_TOKEN"
        assert is_let_in or re.search(said, answer.json()["detail"])
        other = await http.get("/v1/agents/", headers={"Authorization": "Bearer only for metrics"})
        assert other.status_code == 401, "it opens nothing else"


async def test_a_token_of_metrics_counts_where_the_server_has_none() -> None:
    settings = Settings(metrics_token=SecretStr("only for metrics"))
    app = create_app(settings, ProviderSettings())
    app.state.parts = _Parts(settings)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        assert (await http.get("/metrics")).status_code == 401


def test_a_port_that_others_reach_needs_a_token() -> None:
    with pytest.raises(ValidationError, match="O_METRICS_TOKEN"):
        Settings(metrics_port=9_464, metrics_host="0.0.0.0")
    Settings(metrics_port=9_464, metrics_host="0.0.0.0", metrics_token=SecretStr("x"))
    Settings(metrics_port=9_464)


class _Parts:
    """As much of the application's parts as the route looks at."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.measures = self

    async def text(self) -> str:
        return ""


async def test_a_worker_shows_its_measures_on_a_port_of_its_own(tmp_path: Path) -> None:
    port = free_port()
    settings = Settings(
        metrics_port=port, metrics_token=SecretStr("only for metrics"), data_dir=tmp_path
    )
    place = f"http://127.0.0.1:{port}"
    async with (
        worker_measures(settings, OwnMeasures(lambda: (1, 2, 10))),
        httpx.AsyncClient(base_url=place, timeout=60) as http,
    ):
        assert (await http.get("/health")).json() == {"status": "ok"}
        assert (await http.get("/metrics")).status_code == 401
        assert (await http.get("/metrics", headers={b"Authorization": b"\xe4"})).status_code == 401
        header = {"Authorization": "Bearer only for metrics"}
        answer = await http.get("/metrics", headers=header)
        with pytest.raises(Conflict, match=rf"port {port} \(.*O_METRICS_PORT\): Address already"):
            await worker_measures(settings, OwnMeasures(lambda: (1, 2, 10))).__aenter__()
    assert 'o_database_connections{process="worker-1",state="idle"} 2.0' in answer.text
