"""The promise, from the outside: components die under load, and nothing that was answered is missing or doubled.

Small: each stage is killed once; on Apache Kafka enricher and sink only, whose promise there is the stricter one: not
even the storage holds a repeat; and Apache Kafka itself once. `PHAROS_TEST_SCALE=full`: the standard disaster of
`make chaos`, on Apache Kafka but for the broker, and Apache Kafka itself killed three times, stopped once.
"""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from loadtest import arguments, run
from loadtest.check import faults, local_system
from loadtest.check.stored_hits import ClickHouse
from loadtest.drive import driver
from loadtest.report import progress, result
from loadtest.traffic import profiles, schedule
from tests.brokers import ApacheKafka
from tests.clickhouse import copy_schema

FULL = os.environ.get("PHAROS_TEST_SCALE") == "full"


def script(kafka: bool) -> faults.FaultSchedule:
    """Return the standard disaster; small: the first kill of each stage, one second apart."""
    standard = faults.load(arguments.CHAOS)
    chosen = [fault for fault in standard.fault if fault.what != "broker" or not kafka]
    if not FULL:
        stages = ("enricher", "sink") if kafka else ("enricher", "sink", "collector")
        kills = {fault.what: fault for fault in reversed(chosen) if fault.do == "kill"}
        chosen = [msgspec.structs.replace(kills[stage], at_s=1.0 + n) for n, stage in enumerate(stages)]
    return msgspec.structs.replace(standard, fault=tuple(chosen))


class BrokerFaults(faults.FaultInjector):
    """Faults of a broker that the runner did not start: a broker killed or stopped is started again."""

    def __init__(self, script: faults.FaultSchedule, root: int, broker: ApacheKafka) -> None:
        super().__init__(script, root)
        self._broker = broker

    def _inject(self, fault: faults.Fault) -> None:
        if fault.do == "kill":
            self._broker.kill()
        else:
            self._broker.stop()
        self._broker.start()


def disaster(
    folder: Path,
    kafka: str,
    player_of: Callable[[int], faults.FaultInjector] | None = None,
    seconds: int = 75 if FULL else 6,
    rate: int = 300 if FULL else 100,
) -> result.Result:
    copy_schema(folder / "var/clickhouse")
    with local_system.own(folder, kafka=kafka) as (system, _):
        store = ClickHouse(system.clickhouse)
        target = driver.target_of(system.url, connections=32, timeout_s=15)
        settings = run.RunSettings(
            url=system.url,
            target=target,
            surface=profiles.Surface(host=f"{target.host}:{target.port}", token=system.token, link_code=system.link),
            schedule=schedule.Schedule(schedule.constant(rate, seconds), poisson=True),
            schedule_name="constant",
            profile="shop",
            admins=system.admins,
            pool=2_000,
            settle_s=60,
            limits=result.Thresholds(late_bound_ms=60_000),
        )
        player = player_of(system.pid) if player_of else faults.FaultInjector(script(kafka=bool(kafka)), system.pid)
        done = run.run(settings, store, progress.Observer(), player)
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


@pytest.mark.timeout(600 if FULL else 200)
def test_nothing_answered_is_lost_when_apache_kafka_itself_dies(tmp_path: Path) -> None:
    """Collectors go on answering, and keep; producers, transactions, group and intents all start again."""
    moments = [("kill", 8.0), ("kill", 24.0), ("stop", 40.0), ("kill", 56.0)] if FULL else [("kill", 2.0)]
    told = [{"at_s": at, "do": do, "what": "kafka"} for do, at in moments]
    script = msgspec.convert({"components": {"kafka": ""}, "fault": told}, faults.FaultSchedule)
    broker = ApacheKafka(tmp_path / "kafka")
    broker.start()
    try:
        done = disaster(tmp_path, broker.bootstrap, lambda pid: BrokerFaults(script, pid, broker))
    finally:
        broker.kill()
    judge(done)
    assert [text for _, text in done.faults] == [f"{do} kafka" for do, _ in moments]
    assert done.failed == 0, "who answers from its spool needs no Kafka"
