"""The promise, from the outside: components die under load, and nothing that was answered is missing or doubled.

Small: each stage is killed once; on Apache Kafka enricher and sink only, whose promise there is the stricter one: not
even the storage holds a repeat. `PHAROS_TEST_SCALE=full`: the standard disaster of `make chaos`, on Apache Kafka but
for the broker itself.
"""

import os
from pathlib import Path

import msgspec
import pytest

from loadtest import __main__ as command
from loadtest import driver, faults, here, result, run, schedule, traffic
from loadtest.store import ClickHouse
from tests.brokers import ApacheKafka

FULL = os.environ.get("PHAROS_TEST_SCALE") == "full"


def script(kafka: bool) -> faults.Script:
    """Return the standard disaster; small: the first kill of each stage, one second apart."""
    standard = faults.load(command.CHAOS)
    chosen = [fault for fault in standard.fault if fault.what != "broker" or not kafka]
    if not FULL:
        stages = ("enricher", "sink") if kafka else ("enricher", "sink", "collector")
        kills = {fault.what: fault for fault in reversed(chosen) if fault.do == "kill"}
        chosen = [msgspec.structs.replace(kills[stage], at_s=1.0 + n) for n, stage in enumerate(stages)]
    return msgspec.structs.replace(standard, fault=tuple(chosen))


def disaster(folder: Path, kafka: str) -> result.Result:
    seconds, rate = (75, 300) if FULL else (6, 100)
    with here.own(folder, kafka=kafka) as (system, _):
        store = ClickHouse(system.clickhouse)
        target = driver.target_of(system.url, connections=32, timeout_s=15)
        order = run.Order(
            url=system.url,
            target=target,
            surface=traffic.Surface(host=f"{target.host}:{target.port}", token=system.token, link_code=system.link),
            schedule=schedule.Schedule(schedule.constant(rate, seconds), poisson=True),
            schedule_name="constant",
            profile="shop",
            admins=system.admins,
            pool=2_000,
            settle_s=60,
            limits=result.Thresholds(late_bound_ms=60_000),
        )
        player = faults.Faults(script(kafka=bool(kafka)), system.pid)
        done = run.run(order, store, run.News(), player)
        store.close()
    assert len(done.faults) == len(player.script.fault), player.failed
    return done


def judge(done: result.Result) -> None:
    assert done.audit
    assert done.broken == [], done.audit.examples
    assert done.audit.missing == done.audit.doubled == 0
    assert done.audit.accepted == done.audit.stored > 0


@pytest.mark.timeout(600 if FULL else 200)
def test_nothing_answered_is_lost_on_the_embedded_broker(tmp_path: Path) -> None:
    judge(disaster(tmp_path, kafka=""))


@pytest.mark.timeout(600 if FULL else 200)
def test_nothing_answered_is_lost_on_apache_kafka(tmp_path: Path, apache_kafka: ApacheKafka) -> None:
    done = disaster(tmp_path, kafka=apache_kafka.bootstrap)
    judge(done)
    if done.audit and not any("collector" in text for _, text in done.faults):
        assert done.audit.repeats == 0, "a transaction or an intent did not hold"
