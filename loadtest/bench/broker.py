"""The broker of a benchmark: one that the environment names, or an embedded one of its own on the client's core."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from aiokafka import AIOKafkaConsumer

from loadtest.bench.wrk import cores
from loadtest.check.processes import free_port, listening, started

KAFKA: Final = "PHAROS_BENCH_KAFKA"
"""Environment variable: bootstrap servers of a broker to use instead of an embedded one."""


@contextmanager
def broker(folder: Path) -> Iterator[str]:
    """Give the bootstrap servers of a broker that has the three topics."""
    if given := os.environ.get(KAFKA):
        yield given
        return
    port = free_port()
    argv = [sys.executable, "-m", "deploy.local.broker", "--port", str(port)]

    def ready() -> bool:
        return listening(port) and any("topics hits.raw" in log.read_text(errors="replace") for log in logs())

    def logs() -> Iterator[Path]:
        return folder.glob("*.log")

    with started(argv, folder=folder, ready=ready, cores=cores()[1]):
        yield f"127.0.0.1:{port}"


def name() -> str:
    """Return what the broker is, for a report."""
    return "given" if KAFKA in os.environ else "Tansu (deploy.local.broker), on the client's core"


async def records(kafka: str, topic: str) -> list[bytes]:
    """Return the values of all records of a topic; it has ended when none has come for a second."""
    values: list[bytes] = []
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=kafka, auto_offset_reset="earliest", max_partition_fetch_bytes=4_194_304
    ) as consumer:
        last = time.monotonic()
        while time.monotonic() - last < 1:
            for found in (await consumer.getmany(timeout_ms=200)).values():
                values += [record.value for record in found]
                last = time.monotonic()
    return values
