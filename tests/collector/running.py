"""The collector as its own process, for tests: started, asked, stopped."""

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition

from collector import contract
from collector.contract import Hit
from tests.processes import Program
from tests.waiting import until

SITES = """
[sites.demo]
consent = "assumed"
[sites.shop]
[sites.quiet]
identity = "none"
consent = "off"
ip = "none"
[sites.strict]
without_consent = "drop"
[sites.hash]
identity = "cookieless"
consent = "off"
"""
"""One site for each way a policy can go."""


class Running:
    """One collector, its folder kept between starts."""

    def __init__(self, folder: Path, start: Callable[..., Program], python: str, **settings: object) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.spool = folder / "spool"
        (folder / "sites.toml").write_text(SITES)
        self._start = start
        self._python = python
        self._env = {
            "PHAROS_COLLECTOR_SITES": str(folder / "sites.toml"),
            "PHAROS_COLLECTOR_SPOOL_DIR": str(self.spool),
            "PHAROS_COLLECTOR_PORT": "0",
            "PHAROS_COLLECTOR_ADMIN_PORT": "0",
            "PHAROS_COLLECTOR_GRACE_S": "0",
            **{f"PHAROS_COLLECTOR_{name.upper()}": str(value) for name, value in settings.items()},
        }
        self.program: Program
        self.url = self.admin = ""
        self.port = 0

    async def start(self, **settings: object) -> None:
        """Start it, on the same port as before, and return when it listens."""
        if self.port:
            settings = {"port": self.port, **settings}
        extra = {f"PHAROS_COLLECTOR_{name.upper()}": str(value) for name, value in settings.items()}
        self.program = self._start([self._python, "-m", "collector"], env={**self._env, **extra})
        said = await until(lambda: self.said("listening"), "the collector listens")
        self.port = said[-1]["port"]
        self.url = f"http://127.0.0.1:{self.port}"
        self.admin = f"http://127.0.0.1:{said[-1]['admin_port']}"

    def said(self, msg: str) -> list[dict[str, Any]]:
        """Return the log lines with this message, of the present process."""
        if not self.program.running:
            raise AssertionError(f"the collector has ended:\n{self.program.output()[-4000:]}")
        return self.lines(msg)

    def lines(self, msg: str) -> list[dict[str, Any]]:
        """Return the log lines with this message."""
        found = [json.loads(line) for line in self.program.output().splitlines() if line.startswith("{")]
        return [line for line in found if line["msg"] == msg]

    async def ready(self) -> None:
        """Wait until `/readyz` says 200."""
        async with aiohttp.ClientSession() as session:

            async def look() -> bool:
                async with session.get(f"{self.admin}/readyz") as answer:
                    return answer.status == 200

            await until(look, "the collector is ready")

    async def metrics(self) -> Mapping[str, float]:
        """Return the samples of `/metrics`, as 'name{labels}' without the prefix."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.admin}/metrics") as answer:
            text = await answer.text()
        samples = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
        return {name.removeprefix("pharos_collector_"): float(value) for name, _, value in samples}

    def worker_pids(self) -> list[int]:
        """Return the pids of the running workers."""
        children = Path(f"/proc/{self.program.pid}/task/{self.program.pid}/children").read_text()
        return [int(pid) for pid in children.split()]


def id_given(hit: Hit) -> str:
    """Return the `id` that the sender gave, by pixel or by post."""
    return str(json.loads(hit.body)["id"]) if hit.body else hit.query.rpartition("id=")[2]


async def hits_in(bootstrap: str, topic: str) -> list[Hit]:
    """Return every hit of a topic, as it is now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, p) for p in await _partitions(consumer, topic)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        begins = await consumer.beginning_offsets(partitions)
        left = {tp for tp in partitions if ends[tp] > begins[tp]}
        found: list[Hit] = []
        while left:
            for tp, records in (await consumer.getmany(timeout_ms=500)).items():
                found.extend(contract.decode(record.value) for record in records)
                if records[-1].offset + 1 >= ends[tp]:
                    left.discard(tp)
        return found
    finally:
        async with asyncio.timeout(60):
            await consumer.stop()


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> set[int]:
    async def look() -> set[int]:
        await consumer._client.force_metadata_update()
        return set(consumer._client.cluster.partitions_for_topic(topic) or ())

    consumer._client.add_topic(topic)
    return await until(look, f"partitions of {topic}")
