"""Logs are cut while their processes live, and say what was asked of the API."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.up.logs import KEPT, rotate
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, FakeProvider, call, do, say

WRITER = """
import os, sys
log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
for number in range(int(sys.argv[2])):
    os.write(log, b"line %d of a log\\n" % number)
"""


def whole_lines(log: bytes) -> list[int]:
    """The numbers of its lines; a line that was being written at the cut may be there in part."""
    return [int(number) for number in re.findall(rb"^line (\d+) of a log$", log, re.MULTILINE)]


def test_a_log_is_cut_under_a_process_that_writes_to_it(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.touch()
    numbers: list[int] = []
    cuts = 0
    with subprocess.Popen([sys.executable, "-c", WRITER, str(log), "100000"]) as writer:
        while writer.poll() is None:
            if log.stat().st_size > 10_000:
                rotate(log)
                cuts += 1
                kept = (tmp_path / "x.log.1").read_bytes()
                assert b"\0" not in kept, "the file is not left with a hole"
                numbers += whole_lines(kept)
    numbers += whole_lines(log.read_bytes())
    assert numbers == sorted(set(numbers)), "no line twice"
    assert numbers[0] == 0
    gaps = sum(later != number + 1 for number, later in pairwise(numbers))
    assert gaps <= cuts, "what is written during a cut is lost, and nothing else"


def test_older_logs_are_kept_up_to_a_number(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    for number in range(6):
        log.write_text(str(number))
        rotate(log)
    assert log.read_text() == ""
    kept = [(tmp_path / f"x.log.{age}").read_text() for age in range(1, KEPT + 1)]
    assert kept == ["5", "4", "3"]
    assert len(list(tmp_path.iterdir())) == KEPT + 1
    assert (tmp_path / "x.log.1").stat().st_mode & 0o777 == 0o600


@pytest.fixture
def chatty(provider: FakeProvider, tmp_path: Path) -> Iterator[Product]:
    env = {
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": provider.url,
        "O_WORKERS": "1",
        "O_LOG_FORMAT": "json",
        "O_LOG_LIMIT_BYTES": "20000",
    }
    product = Product(tmp_path / "o", env)
    product.start()
    yield product
    product.stop()


def _whole(product: Product, process: str) -> str:
    """All that a process has logged, whatever was cut."""
    files = (product.data_dir / "logs").glob(f"{process}.log*")
    return "".join(file.read_text(errors="replace") for file in sorted(files, reverse=True))


def requests_of(product: Product) -> list[dict[str, Any]]:
    """What the API's log says of requests."""
    lines = (product.data_dir / "logs" / "api.log").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    return [one for one in found if one["message"] == "request answered"]


def test_each_request_is_a_line_without_content_and_the_log_stays_small(chatty: Product) -> None:
    http = httpx.Client(base_url=chatty.url, timeout=30)
    agent = http.post("/v1/agents/", json={"model": HANDLE}).json()["id"]
    path = f"/v1/agents/{agent}/messages"
    answer = http.post(path, json={"input": "a secret"}).json()
    run = answer["messages"][0]["run_id"]
    tells = do(call("memory_insert", label="human", new_string="a secret fact"), say("secret"))
    with http.stream("POST", f"{path}/stream", json={"input": tells}) as stream:
        stream.read()
    again = "/v1/conversations/default/stream"
    http.post(again, json={"run_id": run})
    http.get(f"/v1/runs/{run}?token=hidden")
    http.get("/v1/no%0Asuch%20page")
    http.get(f"/v1/agents/{agent}/core-memory/blocks/ready")
    http.head("/v1/health/")
    http.get("/latest/ready")

    def seen() -> list[dict[str, Any]] | None:
        found = requests_of(chatty)
        return found if any("blocks" in one["path"] for one in found) else None

    lines = eventually(seen, what="the last request's line")
    shown = [(one["method"], one["path"], one["status"]) for one in lines]
    assert shown[-7:] == [
        ("POST", "/v1/agents/", 200),
        ("POST", path, 200),
        ("POST", f"{path}/stream", 200),
        ("POST", again, 200),
        ("GET", f"/v1/runs/{run}", 200),
        ("GET", "/v1/no\nsuch page", 404),
        ("GET", f"/v1/agents/{agent}/core-memory/blocks/ready", 404),
    ]
    first, second, *others = [one.get("run_id") for one in lines[-6:-2]]
    assert [first, *others] == [run] * 3
    assert second.startswith("run-")
    assert all(one["ms"] >= 0 for one in lines)
    conversation = lines[-5]["conversation_id"]
    assert conversation.startswith("conv-")

    def of_worker() -> dict[str, list[dict[str, Any]]] | None:
        found: dict[str, list[dict[str, Any]]] = {}
        for line in _whole(chatty, "worker-1").splitlines():
            if line.startswith("{"):
                record = json.loads(line)
                found.setdefault(record["message"], []).append(record)
        is_told = len(found.get("model replied", ())) >= 3 and "tool returned" in found
        return found if is_told else None

    records = eventually(of_worker, what="what the worker did")
    for record in records["model replied"] + records["tool returned"]:
        assert record["conversation_id"] == conversation
        assert record["attempt"] == 1
    assert {record["run_id"] for record in records["model replied"]} == {run, second}
    assert {record["run_id"] for record in records["tool returned"]} == {second}
    for process in ("api", "worker-1", "temporal", "postgres", "migrate"):
        whole = _whole(chatty, process)
        for never in ("secret", "hidden", "sk-test"):
            assert never not in whole, process

    api = chatty.pid_of("api")
    rotated = chatty.data_dir / "logs" / "api.log.1"

    def asked_until_cut() -> bool:
        http.get("/v1/agents/")
        return rotated.exists()

    eventually(asked_until_cut, what="a new log")
    http.get("/v1/agents/after-the-cut")
    eventually(
        lambda: any("after-the-cut" in one["path"] for one in requests_of(chatty)),
        what="a line in the new log",
    )
    assert chatty.pid_of("api") == api
