"""Dashboard and alerts name what is there, and the page says what each measure is."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from o.metrics.measures import REGISTRY
from server.worker.temporal_measures import SHOWN
from tests.support.product import REPOSITORY

ALERTS = REPOSITORY / "deploy/prometheus/alerts.yaml"
DASHBOARD = REPOSITORY / "deploy/grafana/o.json"
PAGE = REPOSITORY / "docs/operations.md"

# Counted in the database when Prometheus asks, and measured by the library and Temporal's client.
OTHERS = {
    "o_open_turns",
    "o_oldest_waiting_turn_seconds",
    "o_pending_approvals",
    "o_oldest_approval_seconds",
    "o_database_answers",
    "o_temporal_answers",
    "o_temporal_prepared",
    "o_oldest_task_seconds",
    "o_workers",
    "o_process_up",
    "o_build_info",
    "process_resident_memory_bytes",
    "process_virtual_memory_bytes",
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_max_fds",
    "process_start_time_seconds",
    *SHOWN,
}
_NAME = re.compile(r"\b((?:o|process|temporal)_[a-z_]+)\b")
_SUFFIX = re.compile("_(?:bucket|count|sum)$")


def exported() -> set[str]:
    """Every name that /metrics has, spelled as its family is."""
    ours = {
        f"{one.name}_total" if one.type == "counter" else one.name
        for one in REGISTRY.collect()
        if one.name.startswith("o_")
    }
    return ours | OTHERS


def expressions() -> list[str]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    of_alerts = [rule["expr"] for group in groups for rule in group["rules"]]
    panels: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return of_alerts + [target["expr"] for panel in panels for target in panel["targets"]]


@pytest.mark.parametrize("expression", expressions())
def test_what_is_drawn_or_watched_is_exported(expression: str) -> None:
    said = re.sub(r'"[^"]*"', '""', expression)
    names = {_SUFFIX.sub("", name) for name in _NAME.findall(said)}
    assert names or "up{" in expression
    assert not sorted(names - exported())
    assert expression.count("(") == expression.count(")")


def test_the_page_has_a_line_for_each_measure() -> None:
    section = PAGE.read_text().split("## Watching it", 1)[1].split("\n## ", 1)[0]
    written = set(re.findall(r"`((?:o|process|temporal)_[a-z_]+)`", section))
    assert sorted(exported() - written) == []
    assert sorted(written - exported()) == []


def test_each_alert_says_what_is_wrong_and_how_bad_that_is() -> None:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"]
        assert rule["alert"] in Path(PAGE).read_text(), "and the page what to do"
