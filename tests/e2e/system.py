"""The three programs, as processes of their own between a broker and a ClickHouse endpoint, on free ports."""

import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from prometheus_client.parser import text_string_to_metric_families

from enricher.contract import DeadHit, decode_dead
from tests.brokers import Broker, Tansu, unique
from tests.clickhouse import ClickHouse
from tests.ports import free_port
from tests.processes import Program
from tests.waiting import until_now

STAGES: Final = ("collector", "enricher", "sink")
TOKEN: Final = "a-token-of-the-tests"
SITES: Final = """
[sites.demo]
identity = "cookie"
consent = "assumed"
tokens = ["{digest}"]
"""


class System:
    """Start it, send to `port`, ask `rows` and `dead_letters`."""

    def __init__(self, folder: Path, broker: Broker, clickhouse: ClickHouse, sites: str) -> None:
        self.broker = broker
        self.clickhouse = clickhouse
        self.folder = folder
        self.topics = {name: unique(f"hits.{name}") for name in ("raw", "enriched", "dead")}
        self.port = free_port()
        self.admin = {stage: free_port() for stage in STAGES}
        self.programs: dict[str, Program] = {}
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "sites.toml").write_text(sites)

    def environment(self, stage: str) -> dict[str, str]:
        """Return all settings of a stage, as variables."""
        topics = {"collector": ("raw",), "enricher": ("raw", "enriched", "dead"), "sink": ("enriched", "dead")}[stage]
        own: dict[str, object] = {f"topic_{name}": self.topics[name] for name in topics}
        own |= {"kafka": self.broker.bootstrap, "admin_port": self.admin[stage]}
        if stage == "collector":
            own |= {
                "port": self.port,
                "sites": self.folder / "sites.toml",
                "spool_dir": self.folder / "spool",
                "grace_s": 0,
            }
        else:
            # Tansu lets a group in after half its session timeout; elsewhere a busy machine must not look dead.
            session_ms = 3000 if isinstance(self.broker, Tansu) else 10_000
            own |= {"group": f"{stage}.{self.topics['raw']}", "session_timeout_ms": session_ms}
        if stage == "sink":
            own |= {"clickhouse": self.clickhouse.url}
        return {f"PHAROS_{stage}_{name}".upper(): str(value) for name, value in own.items()}

    async def start(self) -> None:
        """Make the topics, start the programs, and return when each is ready."""
        await self.broker.create_topics(*self.topics.values())
        for stage in STAGES:
            self.start_stage(stage)
        for stage in STAGES:
            until_now(lambda stage=stage: self.is_ready(stage), f"the {stage} is ready")  # type: ignore[misc]

    def start_stage(self, stage: str) -> None:
        """Start one program (again)."""
        self.programs[stage] = Program(
            [sys.executable, "-m", stage], log=self.folder / f"{stage}.log", env=self.environment(stage)
        )

    def is_ready(self, stage: str) -> bool:
        """Tell what /readyz says. Raises AssertionError if the program has ended."""
        assert self.programs[stage].running, f"the {stage} has ended:\n{self.programs[stage].output()[-3000:]}"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin[stage]}/readyz", timeout=5):
                return True
        except OSError:
            return False

    def metrics(self, stage: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Return (name, labels) -> value of every sample."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin[stage]}/metrics", timeout=5) as answer:
            families = text_string_to_metric_families(answer.read().decode())
            return {(each.name, frozenset(each.labels.items())): each.value for one in families for each in one.samples}

    def ask(self, sql: str) -> list[dict[str, Any]]:
        """Return the rows of a query. Raises AssertionError with ClickHouse's own words."""
        url = self.clickhouse.url + "/?" + urllib.parse.urlencode({"default_format": "JSONEachRow"})
        quoted = {"output_format_json_quote_decimals": "1"}
        try:
            with urllib.request.urlopen(f"{url}&{urllib.parse.urlencode(quoted)}", sql.encode(), timeout=60) as answer:
                return [json.loads(line) for line in answer.read().splitlines()]
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from None

    def count(self) -> int:
        """Return the number of events; 0 before the sink has made the table."""
        try:
            return int(self.ask("SELECT count() AS n FROM pharos.events")[0]["n"])
        except AssertionError as error:
            if "UNKNOWN_DATABASE" in str(error) or "UNKNOWN_TABLE" in str(error):
                return 0
            raise

    async def dead_letters(self) -> list[DeadHit]:
        """Return everything in the topic of the dead, in no order."""
        letters = []
        async with AIOKafkaConsumer(
            self.topics["dead"],
            bootstrap_servers=self.broker.bootstrap,
            auto_offset_reset="earliest",
            isolation_level="read_committed" if self.broker.transactions else "read_uncommitted",
        ) as consumer:
            ends = await consumer.end_offsets(consumer.assignment())
            while any([await consumer.position(partition) < end for partition, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    letters += [decode_dead(record.value) for record in records]
        return letters

    def output(self) -> str:
        """Return the last lines of each program, for a failure's report."""
        return "\n".join(f"--- {stage}\n{program.output()[-2000:]}" for stage, program in self.programs.items())

    def stop(self) -> dict[str, int]:
        """SIGTERM in the order of the way; return exit codes."""
        return {stage: self.programs[stage].terminate(60) for stage in STAGES if stage in self.programs}

    def kill(self) -> None:
        """Leave nothing running."""
        for program in self.programs.values():
            program.kill()
