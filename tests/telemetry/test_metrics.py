"""Metrics: named by their unit, explained, and one closed list."""

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from broker.telemetry.metrics import ClassifierMetrics, WorkerMetrics

GAUGE_UNITS = ("_records", "_calls", "_ids", "_state", "_bytes", "_seconds", "_tokens", "_tenants")
"""What a gauge of ours counts stands at its end; `_state` is explained in its help."""


@pytest.mark.parametrize(
    "made", [ClassifierMetrics(), WorkerMetrics()], ids=lambda m: type(m).__name__
)
def test_every_name_ends_in_its_unit_and_every_metric_is_explained(
    made: ClassifierMetrics | WorkerMetrics,
) -> None:
    ours = [family for family in made.registry.collect() if family.name.startswith("weighbridge_")]
    assert len(ours) > 10
    for family in ours:
        if family.type == "counter":
            # The client keeps the end of a counter's name for itself.
            assert not family.name.endswith("_total")
        elif family.type == "histogram":
            assert family.name.endswith(("_seconds", "_bytes", "_records")), family.name
        else:
            assert family.type == "gauge"
            assert family.name.endswith(GAUGE_UNITS), family.name
        assert family.documentation.strip().endswith(".") or family.name.endswith("_state")
        assert len(family.documentation) > 10


def test_what_prometheus_reads_is_what_was_counted() -> None:
    metrics = WorkerMetrics()
    metrics.calls.labels("ok", "200").inc(3)
    metrics.call_seconds.labels("light").observe(0.2)
    metrics.in_flight.labels("heavy").set(7)
    found = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(generate_latest(metrics.registry).decode())
        for sample in family.samples
    }
    assert found["weighbridge_calls_total", (("code", "200"), ("outcome", "ok"))] == 3
    assert found["weighbridge_call_seconds_count", (("lane", "light"),)] == 1
    assert found["weighbridge_in_flight_calls", (("lane", "heavy"),)] == 7
    assert found["process_resident_memory_bytes", ()] > 0


def test_two_processes_worth_of_metrics_do_not_meet() -> None:
    first, second = ClassifierMetrics(), ClassifierMetrics()
    first.rebalances.labels("assigned").inc()
    assert (
        second.registry.get_sample_value("weighbridge_rebalances_total", {"event": "assigned"})
        is None
    )
    assert isinstance(first.registry, CollectorRegistry)
