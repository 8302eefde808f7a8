"""What the sink shows before anything has happened, so that an alert sees the first time."""

import asyncio
from types import SimpleNamespace

import aiokafka.errors
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from sink import assignment, metrics


def series_values() -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(generate_latest(metrics.REGISTRY).decode())
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def test_closed_lists_are_shown_from_the_start() -> None:
    found = series_values()
    for result in ("stored", "retry", "refused"):
        assert ("pharos_sink_inserts_total", result) in found
    assert ("pharos_sink_dead_total", "refused_by_clickhouse") in found
    for why in metrics.KAFKA_FAULTS:
        assert why == "other" or hasattr(aiokafka.errors, why) or hasattr(assignment, why), why
        assert ("pharos_sink_kafka_errors_total", why) in found


def test_an_unforeseen_fault_makes_no_new_series() -> None:
    before = series_values()
    metrics.kafka_error(aiokafka.errors.CorruptRecordException())
    metrics.kafka_error(assignment.Stalled())
    after = series_values()
    assert after.keys() == before.keys()
    for why in ("other", "Stalled"):
        series = ("pharos_sink_kafka_errors_total", why)
        assert after[series] == before[series] + 1


def test_a_revoked_partition_loses_its_lag_series() -> None:
    """Otherwise the last age of the partition's oldest record would remain, and keep the lag alert firing."""
    metrics.LAG.labels("7").set(3)
    metrics.LAG_SECONDS.labels("7").set(90)
    slots = SimpleNamespace(release_all=lambda: None)
    left = SimpleNamespace(_opening=None, _tasks={}, workers={}, slots=slots)
    asyncio.run(assignment.Assignment._end(left, 0.0))  # type: ignore[arg-type]
    assert not [series for series in series_values() if series[0].startswith("pharos_sink_lag")]
