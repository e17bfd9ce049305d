"""What `o status` says of a server that is well, of one without its parts, and of none."""

import json
import subprocess
import sys
import time

from prometheus_client.parser import text_string_to_metric_families
from temporalio.client import Client

from api.measures import Measures
from o.settings.all import Settings
from o.storage.database import Database
from o.temporal.namespace import is_prepared
from server.status import Sample, lines, look, status_of
from server.up.ports import free_port
from tests.support.refusing import UNAVAILABLE, refusing_temporal

WELL = """\
# TYPE o_process_up gauge
o_process_up{process="api-1"} 1
o_process_up{process="worker-1"} 1
# TYPE o_build_info gauge
o_build_info{version="0.1.0"} 1
# TYPE o_database_answers gauge
o_database_answers 1
# TYPE o_temporal_answers gauge
o_temporal_answers 1
# TYPE o_open_turns gauge
o_open_turns{status="waiting"} 3
o_open_turns{status="running"} 2
# TYPE o_oldest_waiting_turn_seconds gauge
o_oldest_waiting_turn_seconds 75
# TYPE o_pending_approvals gauge
o_pending_approvals 1
# TYPE o_oldest_approval_seconds gauge
o_oldest_approval_seconds 7200
# TYPE o_turns counter
o_turns_total{process="api-1",outcome="cancelled"} 1
o_turns_total{process="worker-1",outcome="end_turn"} 1200
o_turns_total{process="worker-2",outcome="end_turn"} 34
# TYPE o_turn_part_seconds summary
o_turn_part_seconds_sum{process="worker-1",part="model"} 6
o_turn_part_seconds_count{process="worker-1",part="model"} 4
"""


def test_a_server_at_work_is_told_in_a_few_lines() -> None:
    found = status_of("http://o", _samples(WELL))
    assert found.is_well
    said = "\n".join(lines(found))
    assert "3 waiting, 2 running; the first has waited 75 s" in said
    assert "1 pending, the first for 2 h" in said
    assert "1,234 end_turn" in said
    assert "model 1.500 s" in said


def test_a_worker_of_another_machine_is_a_worker_and_none_is_told() -> None:
    alone = WELL.replace('o_process_up{process="worker-1"} 1\n', "")
    assert not status_of("http://o", _samples(alone)).is_well
    elsewhere = status_of("http://o", _samples(f"{alone}# TYPE o_workers gauge\no_workers 2\n"))
    assert elsewhere.is_well
    assert "2 polled within the last minute" in "\n".join(lines(elsewhere))
    nowhere = status_of("http://o", _samples(f"{alone}# TYPE o_workers gauge\no_workers 0\n"))
    assert not nowhere.is_well
    assert "NONE: turns wait" in "\n".join(lines(nowhere))


async def test_the_parts_that_are_away_are_named_and_keep_nobody_waiting() -> None:
    database = Database(f"postgresql://nobody@127.0.0.1:{free_port()}/o", pool_size=1)
    temporal = await Client.connect(f"127.0.0.1:{free_port()}", lazy=True)
    measures = Measures(database, temporal, "o")
    began = time.monotonic()
    text = await measures.text()
    assert time.monotonic() - began < 30
    found = status_of("http://o", _samples(text))
    assert not found.is_well
    said = "\n".join(lines(found))
    assert "AWAY: requests get 503" in said
    assert "AWAY: messages are kept" in said
    assert "not known while the database is away" in said
    assert list(found.processes) == ["api-1"]
    await database.close()


async def test_a_temporal_that_lists_no_executions_is_asked_once_whether_it_is_prepared() -> None:
    asked: list[str] = []
    with refusing_temporal(UNAVAILABLE, asked) as address:
        assert await is_prepared(await Client.connect(address)) is None
    assert asked.count("CountWorkflowExecutions") == 1


async def test_an_address_where_nobody_or_somebody_else_answers_is_a_status_as_well() -> None:
    found = await look(Settings(), f"http://127.0.0.1:{free_port()}")
    assert "does not answer" in found.problem
    assert not found.is_well
    assert "no server of O" in status_of("http://o", _samples("# TYPE x gauge\nx 1\n")).problem


def test_the_command_ends_with_1_and_json_that_says_why() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "server.cli",
            "status",
            "--json",
            "--url",
            f"http://127.0.0.1:{free_port()}",
        ],
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    said = json.loads(done.stdout)
    assert said["is_well"] is False
    assert "does not answer" in said["problem"]


def _samples(text: str) -> list[Sample]:
    families = text_string_to_metric_families(text)
    return [(s.name, s.labels, s.value) for one in families for s in one.samples]
