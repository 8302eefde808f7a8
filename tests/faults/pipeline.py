"""Two processes of each stage between a Kafka cluster and a ClickHouse, and load that knows what was answered."""

import asyncio
import secrets
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.brokers import unique
from tests.clickhouse import ClickHouse
from tests.e2e.system import SITES
from tests.faults.cluster import Cluster
from tests.faults.hosts import LOCALHOST, Host
from tests.ports import free_port
from tests.processes import Program

STAGES = ("collector", "enricher", "sink")
PARTITIONS = 4
HITS_PER_S = 150
SESSION_MS = 3000
ANSWER_S = 3.0
_ROOT = Path(__file__).parents[2]


class Pipeline:
    """The processes, and what is stored."""

    def __init__(
        self,
        folder: Path,
        cluster: Cluster,
        clickhouse: ClickHouse,
        hosts: Mapping[tuple[str, int], Host] | None = None,
    ) -> None:
        self.folder = folder
        self.cluster = cluster
        self.clickhouse = clickhouse
        self.topics = {name: unique(f"hits.{name}") for name in ("raw", "enriched", "dead")}
        self.hosts = hosts or {(stage, number): LOCALHOST for stage in STAGES for number in range(2)}
        self.ports = [free_port(), free_port()]
        self.admin = {key: free_port() for key in self.hosts}
        self.programs: dict[tuple[str, int], Program] = {}
        self.code = dict.fromkeys(STAGES, _ROOT)
        """Folders with the packages of each stage's version."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "sites.toml").write_text(SITES.format(digest="0" * 64))

    async def start(self) -> None:
        await self.cluster.create_topics(list(self.topics.values()), PARTITIONS)
        for stage in STAGES:
            for number in range(2):
                self.launch(stage, number)

    def launch(self, stage: str, number: int) -> None:
        """Start one process, or start it again."""
        topics = {"collector": ("raw",), "enricher": ("raw", "enriched", "dead"), "sink": ("enriched", "dead")}[stage]
        own: dict[str, object] = {f"topic_{name}": self.topics[name] for name in topics}
        host = self.hosts[stage, number]
        own |= {"kafka": self.cluster.bootstrap, "log": "json"}
        own |= {"admin_host": host.address, "admin_port": self.admin[stage, number]}
        if stage == "collector":
            spool = self.folder / f"spool-{number}"
            own |= {"port": self.ports[number], "sites": self.folder / "sites.toml", "spool_dir": spool, "grace_s": 0}
            own |= {"host": host.address, "ack_timeout_s": 5}
        else:
            own |= {"group": f"{stage}.{self.topics['raw']}", "session_timeout_ms": SESSION_MS}
        if stage == "enricher":
            own |= {"delivery_timeout_ms": 10_000, "transaction_timeout_ms": 15_000}
        if stage == "sink":
            own |= {"clickhouse": self.clickhouse.url, "clickhouse_password": self.clickhouse.password}
        env = {f"PHAROS_{stage}_{name}".upper(): str(value) for name, value in own.items()}
        log = self.folder / f"{stage}-{number}.log"
        self.programs[stage, number] = Program(
            [*host.command, sys.executable, "-m", stage], log=log, env=env, cwd=self.code[stage]
        )

    def readiness(self, stage: str, number: int) -> int:
        """Return the status of `/readyz`; 0 if nothing answers within a second."""
        address = f"{self.hosts[stage, number].address}:{self.admin[stage, number]}"
        try:
            with urllib.request.urlopen(f"http://{address}/readyz", timeout=1) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def addresses(self) -> list[tuple[str, int]]:
        """Return where the collectors listen."""
        return [(self.hosts["collector", number].address, self.ports[number]) for number in range(2)]

    def shown(self) -> Counter[str]:
        """Return how often each hit is shown, by its client's id."""
        rows = self._ask("SELECT client_event_id, count() FROM pharos.events GROUP BY 1")
        return Counter({name: int(count) for name, count in rows})

    def stored_since(self, began: float) -> set[str]:
        """Return the hits received and stored after a moment of time.monotonic(); it is asked again and again."""
        since = time.time() - (time.monotonic() - began)
        table = "pharos.event_log WHERE received_at >= fromUnixTimestamp64Milli"
        return {name for (name,) in self._ask(f"SELECT client_event_id FROM {table}({round(since * 1000)})")}

    def _ask(self, sql: str) -> list[list[str]]:
        """Return the rows of a query; none before the first sink has made the table."""
        user = {"X-ClickHouse-User": "default", "X-ClickHouse-Key": self.clickhouse.password}
        request = urllib.request.Request(self.clickhouse.url, sql.encode(), user)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return [line.split("\t") for line in answer.read().decode().splitlines()]
        except urllib.error.HTTPError as error:
            if "UNKNOWN" in (text := error.read().decode()):
                return []
            raise AssertionError(text) from None

    def stop(self) -> dict[tuple[str, int], int]:
        """SIGTERM in the order of the way; return exit codes."""
        return {key: program.terminate(60) for key, program in self.programs.items()}

    def kill(self) -> None:
        for program in self.programs.values():
            program.kill()

    def output(self) -> str:
        return "\n".join(f"--- {name}\n{program.output()[-1500:]}" for name, program in self.programs.items())


class Load:
    """Hits at a steady rate to both collectors, each hit sent once; it remembers which were answered 200."""

    def __init__(self, addresses: Sequence[tuple[str, int]]) -> None:
        self._addresses = addresses
        self.going = True
        self.answered: dict[str, float] = {}
        """Hits by their client's id, with the time of the answer."""
        self._by: Counter[tuple[str, int]] = Counter()

    def answered_by(self, number: int) -> int:
        """Return how many hits a collector has answered."""
        return self._by[self._addresses[number]]

    async def run(self) -> None:
        workers = 6
        await asyncio.gather(*(self._work(self._addresses[n % 2], workers / HITS_PER_S) for n in range(workers)))

    async def _work(self, address: tuple[str, int], pause_s: float) -> None:
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while self.going:
            name = secrets.token_hex(8)
            began = time.monotonic()
            try:
                async with asyncio.timeout(ANSWER_S):
                    if streams is None:
                        streams = await asyncio.open_connection(*address)
                    reader, writer = streams
                    writer.write(f"GET /p.gif?s=demo&id={name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = int(head.lower().partition(b"content-length: ")[2].split()[0])
                    await reader.readexactly(length)
                if head.startswith(b"HTTP/1.1 200 "):
                    self.answered[name] = time.monotonic()
                    self._by[address] += 1
            except (OSError, EOFError, TimeoutError):
                if streams is not None:
                    streams[1].close()
                streams = None
            await asyncio.sleep(max(0.0, pause_s - (time.monotonic() - began)))
        if streams is not None:
            streams[1].close()
