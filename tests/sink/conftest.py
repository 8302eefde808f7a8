"""The sink's own fixtures: a ClickHouse with our schema or without, and the program with its topics."""

import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.brokers import Broker, unique
from tests.clickhouse import ClickHouse
from tests.ports import free_port
from tests.processes import Program

ROOT = Path(__file__).parent.parent.parent


class Bench:
    """A broker's topics, a ClickHouse, and sinks between them."""

    def __init__(self, broker: Broker, storage: ClickHouse, start: Callable[..., Program]) -> None:
        self.broker = broker
        self.storage = storage
        self.enriched = unique("hits.enriched")
        self.dead = unique("hits.dead")
        self.group = unique("pharos-sink")
        self.ports: dict[int, int] = {}
        self.start = start

    def env(self, **settings: object) -> dict[str, str]:
        """Return a sink's environment; `settings` by their names, as batch_rows=10."""
        chosen = {
            "kafka": self.broker.bootstrap,
            "clickhouse": self.storage.url,
            "topic_enriched": self.enriched,
            "topic_dead": self.dead,
            "group": self.group,
            "session_timeout_ms": 2000,
            **settings,
        }
        return {f"PHAROS_SINK_{name.upper()}": str(value) for name, value in chosen.items()}

    def sink(self, *arguments: str, **settings: object) -> Program:
        """Start a sink."""
        port = free_port()
        program = self.start(
            [sys.executable, "-m", "sink", *arguments], env=self.env(admin_port=port, **settings), cwd=ROOT
        )
        self.ports[program.pid] = port
        return program

    def get(self, url: str) -> tuple[int, str]:
        """Return status and text; 0 if the port is closed."""
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def lag(self, program: Program) -> float:
        """Return the records that the sink says it has not stored; -1 while it does not say."""
        text = self.get(f"http://127.0.0.1:{self.ports[program.pid]}/metrics")[1].splitlines()
        found = [float(line.split()[-1]) for line in text if line.startswith("pharos_sink_lag_records{")]
        return sum(found) if found else -1

    def count(self, table: str = "event_log") -> tuple[int, int]:
        """Return rows stored, and different events among them."""
        client = self.storage.client()
        try:
            rows = client.query(f"SELECT count(), uniqExact(site, event_id) FROM pharos.{table}").result_rows
        except Exception as error:
            if "UNKNOWN" in str(error):
                return 0, 0
            raise
        finally:
            client.close()
        return int(rows[0][0]), int(rows[0][1])


@pytest.fixture(scope="module")
def storage_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    clickhouse = ClickHouse(tmp_path_factory.mktemp("clickhouse"), schema=True)
    yield clickhouse
    clickhouse.kill()


@pytest.fixture
def storage(storage_process: ClickHouse) -> ClickHouse:
    """A ClickHouse of this module's, running, with our schema and no rows."""
    storage_process.start()
    storage_process.empty()
    return storage_process


@pytest.fixture(scope="module")
def bare_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    clickhouse = ClickHouse(tmp_path_factory.mktemp("bare"))
    yield clickhouse
    clickhouse.kill()


@pytest.fixture
def bare_storage(bare_process: ClickHouse) -> ClickHouse:
    """A ClickHouse of this module's, running, without the database `pharos`."""
    bare_process.start()
    client = bare_process.client()
    client.command("DROP DATABASE IF EXISTS pharos")
    client.close()
    return bare_process


@pytest.fixture
async def bench(broker: Broker, storage: ClickHouse, start: Callable[..., Program]) -> Bench:
    """A bench on each of the two brokers."""
    made = Bench(broker, storage, start)
    await broker.create_topics(made.enriched, made.dead)
    return made


@pytest.fixture
async def kafka_bench(apache_kafka: Broker, storage: ClickHouse, start: Callable[..., Program]) -> Bench:
    """A bench on Apache Kafka, for what only intents can promise."""
    made = Bench(apache_kafka, storage, start)
    await apache_kafka.create_topics(made.enriched, made.dead)
    return made
