"""What the sink shows before anything has happened, so that an alert sees the first time."""

import asyncio
from types import SimpleNamespace

import aiokafka.errors
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from sink import assignment, metrics


def told() -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(generate_latest(metrics.REGISTRY).decode())
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def test_closed_lists_are_shown_from_the_start() -> None:
    found = told()
    for result in ("stored", "retry", "refused"):
        assert ("pharos_sink_inserts_total", result) in found
    assert ("pharos_sink_dead_total", "refused_by_clickhouse") in found
    for why in metrics.KAFKA_FAULTS:
        assert why == "other" or hasattr(aiokafka.errors, why) or hasattr(assignment, why), why
        assert ("pharos_sink_kafka_errors_total", why) in found


def test_an_unforeseen_fault_makes_no_new_series() -> None:
    before = told()
    metrics.kafka_error(aiokafka.errors.CorruptRecordException())
    metrics.kafka_error(assignment.Stalled())
    after = told()
    assert after.keys() == before.keys()
    for why in ("other", "Stalled"):
        series = ("pharos_sink_kafka_errors_total", why)
        assert after[series] == before[series] + 1


def test_what_another_sink_has_now_is_not_told_of_for_ever() -> None:
    """The age of a partition's oldest record would stay, and the lag alert with it."""
    metrics.LAG.labels("7").set(3)
    metrics.LAG_SECONDS.labels("7").set(90)
    turns = SimpleNamespace(all_back=lambda: None)
    left = SimpleNamespace(_opening=None, _tasks={}, workers={}, turns=turns)
    asyncio.run(assignment.Stream._end(left, 0.0))  # type: ignore[arg-type]
    assert not [series for series in told() if series[0].startswith("pharos_sink_lag")]
