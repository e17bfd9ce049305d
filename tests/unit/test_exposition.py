"""The text for Prometheus: series with the name of their process, several texts as one."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from o.metrics.exposition import named, only, text_of, together


def _text(place: str) -> str:
    registry = CollectorRegistry()
    Counter("turns", "Turns.", ["outcome"], registry=registry).labels('a "b" {c} d').inc(2)
    Gauge("memory_bytes", "Bytes.", registry=registry).set(1e9)
    Histogram("wait_seconds", "Waits.", registry=registry, buckets=(0.1, 1)).observe(0.5)
    return named(text_of(registry), place)


def test_each_series_has_the_name_of_its_process_whatever_its_labels_hold() -> None:
    families = {one.name: one for one in text_string_to_metric_families(_text("api-1"))}
    assert families.keys() == {"turns", "memory_bytes", "wait_seconds"}
    assert all(
        sample.labels["process"] == "api-1" for one in families.values() for sample in one.samples
    )
    assert families["turns"].samples[0].labels["outcome"] == 'a "b" {c} d'
    assert families["memory_bytes"].samples[0].value == 1e9


def test_several_texts_have_one_head_a_family_and_lose_no_series() -> None:
    text = together([_text("api-1"), _text("worker-1"), "", _text("worker-2")])
    heads = [line for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(heads) == len(set(heads)) == 3
    families = {one.name: one for one in text_string_to_metric_families(text)}
    processes = [sample.labels["process"] for sample in families["turns"].samples]
    assert sorted(processes) == ["api-1", "worker-1", "worker-2"]
    assert len(families["wait_seconds"].samples) == 3 * 5


def test_of_what_others_show_only_what_is_wanted_is_passed_on() -> None:
    text = only(_text("api-1"), ["wait_seconds"])
    assert {one.name for one in text_string_to_metric_families(text)} == {"wait_seconds"}
    assert only("", ["wait_seconds"]) == ""
