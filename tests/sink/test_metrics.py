"""What the sink shows before anything has happened, so that an alert sees the first time."""

import aiokafka.errors
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from sink import metrics, stream


def told() -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(generate_latest(metrics.REGISTRY).decode())
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def test_closed_lists_are_shown_from_the_start() -> None:
    found = told()
    for result in ("stored", "retry", "refused"):
        assert ("pharos_sink_inserts_total", result) in found
    assert ("pharos_sink_dead_total", "refused_by_clickhouse") in found
    for why in metrics.KAFKA_FAULTS:
        assert why == "other" or hasattr(aiokafka.errors, why) or hasattr(stream, why), why
        assert ("pharos_sink_kafka_errors_total", why) in found


def test_an_unforeseen_fault_makes_no_new_series() -> None:
    before = told()
    metrics.kafka_error(aiokafka.errors.CorruptRecordException())
    metrics.kafka_error(stream.Stalled())
    after = told()
    assert after.keys() == before.keys()
    for why in ("other", "Stalled"):
        series = ("pharos_sink_kafka_errors_total", why)
        assert after[series] == before[series] + 1
