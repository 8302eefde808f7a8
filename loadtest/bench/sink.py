"""What the sink costs: a full topic into ClickHouse, against the same bytes inserted straight into the same ClickHouse.

The floor inserts prepared bodies of as many rows as the sink's batches have, with the sink's own settings and as many
inserts at once; the sink starts at the topic's begin with a group of its own. Rates count rows over wall time, the
sink's from readiness to the last row stored: what it waits at the topic's end for a batch that never fills is in it.
CPU is that of the processes, from the operating system. The other formats are inserted straight too, to show what the
choice of JSONCompactEachRow costs.
"""

import asyncio
import os
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import clickhouse_connect

from enricher.contract import COLUMNS, ROW_FORMAT
from loadtest.bench import broker
from loadtest.bench.enricher import enriching, fill, until_committed
from loadtest.bench.frame import Bench, Contestant, Figures, Options
from loadtest.check.processes import Program, answers, cpu_s, free_port, listening, started

BATCH_ROWS: Final = 50_000
AT_ONCE: Final = 1
"""Inserts in flight: the sink's default."""
_ROOT: Final = Path(__file__).parent.parent.parent
_SETTINGS: Final[dict[str, object]] = {
    "input_format_json_compact_allow_variable_number_of_columns": 1,
    "input_format_parallel_parsing": 0,
    "max_insert_threads": 1,
    "max_insert_block_size": 1_000_000_000,
    "min_insert_block_size_rows": 1_000_000_000,
    "min_insert_block_size_bytes": 1_000_000_000_000,
    "max_partitions_per_insert_block": 0,
    "async_insert": 0,
    "wait_end_of_query": 1,
    "insert_deduplicate": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
}


def rows(kafka: str, count: int, folder: Path) -> tuple[str, list[bytes]]:
    """Let an enricher make rows of the mix; return their topic, and the rows with their line ends."""
    raw = f"raw.{secrets.token_hex(4)}"
    asyncio.run(fill(kafka, raw, count))
    with enriching(kafka, raw, folder, "at_least_once") as one:
        asyncio.run(until_committed(kafka, one.group, raw, count, one.program))
    found = asyncio.run(broker.records(kafka, one.topic))
    if len(found) != count:
        raise RuntimeError(f"{len(found):,} rows of {count:,} hits")
    return one.topic, [row.rstrip(b"\n") + b"\n" for row in found]


class Storage:
    """The ClickHouse under test, with a fresh table whenever one is asked for."""

    def __init__(self, program: Program, url: str) -> None:
        self.program = program
        self.url = url

    def client(self) -> Any:
        """Return a client of its own."""
        return clickhouse_connect.get_client(dsn=self.url, autogenerate_session_id=False)

    def empty(self) -> None:
        """Drop all there is and make the tables again (and with them the memory of tokens)."""
        client = self.client()
        client.command("DROP DATABASE IF EXISTS pharos")
        client.close()
        environ = {**os.environ, "PHAROS_SINK_CLICKHOUSE": self.url}
        argv = [sys.executable, "-m", "sink", "migrate"]
        subprocess.run(argv, env=environ, cwd=_ROOT, check=True, stdout=subprocess.DEVNULL)

    def count(self) -> int:
        """Return the rows stored."""
        client = self.client()
        try:
            return int(client.query("SELECT count() FROM pharos.event_log").result_rows[0][0])
        finally:
            client.close()


def _straight(storage: Storage, bodies: list[tuple[int, bytes]], form: str = ROW_FORMAT) -> Figures:
    storage.empty()
    clients = [storage.client() for _ in range(AT_ONCE)]
    total = sum(count for count, _ in bodies)

    def insert(first: int) -> None:  # a client inserts one body at a time
        for number in range(first, len(bodies), AT_ONCE):
            settings = _SETTINGS | {"insert_deduplication_token": f"straight-{number}"}
            clients[first].raw_insert("pharos.event_rows", COLUMNS, bodies[number][1], settings, form)

    before, began = cpu_s(storage.program.pid), time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(insert, range(AT_ONCE)))
    seconds, spent = time.monotonic() - began, cpu_s(storage.program.pid) - before
    for client in clients:
        client.close()
    if (stored := storage.count()) != total:
        raise RuntimeError(f"{form}: {stored} of {total} rows are stored")
    return {"rows_per_s": total / seconds, "clickhouse_cpu_us_per_row": spent / total * 1e6}


def _metric(url: str, name: str) -> float:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  our own address
        text = answer.read().decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith((name + " ", name + "{")))


def _sink(storage: Storage, kafka: str, topic: str, count: int, folder: Path) -> Figures:
    storage.empty()
    port = free_port()
    environ = {
        "PHAROS_SINK_KAFKA": kafka,
        "PHAROS_SINK_CLICKHOUSE": storage.url,
        "PHAROS_SINK_GROUP": f"sink.{secrets.token_hex(4)}",
        "PHAROS_SINK_TOPIC_ENRICHED": topic,
        "PHAROS_SINK_ADMIN_PORT": str(port),
    }
    url = f"http://127.0.0.1:{port}/metrics"
    argv = [sys.executable, "-m", "sink"]
    ready = f"http://127.0.0.1:{port}/readyz"
    with started(argv, folder=folder, ready=lambda: answers(ready), environ=environ) as program:
        cpu_before, clickhouse_before, began = program.cpu_s(), cpu_s(storage.program.pid), time.monotonic()
        while _metric(url, "pharos_sink_rows_total") < count:
            if program.process.poll() is not None:
                raise RuntimeError(f"the sink ended early:\n{program.last_lines()}")
            time.sleep(0.05)
        seconds = time.monotonic() - began
        figures = {
            "rows_per_s": count / seconds,
            "clickhouse_cpu_us_per_row": (cpu_s(storage.program.pid) - clickhouse_before) / count * 1e6,
            "sink_cpu_us_per_row": (program.cpu_s() - cpu_before) / count * 1e6,
            "sink_rss_peak_mb": program.rss_peak_bytes() / 1e6,
            "rows_per_insert": count / _metric(url, "pharos_sink_inserts_total"),
        }
    if (stored := storage.count()) != count:
        raise RuntimeError(f"sink: {stored} of {count} rows are stored")
    return figures


def _in(storage: Storage, form: str, prepared: list[bytes]) -> list[tuple[int, bytes]]:
    """Return bodies of the same rows in another format, as ClickHouse itself writes them."""
    storage.empty()
    client = storage.client()
    bodies = []
    for start in range(0, len(prepared), BATCH_ROWS):
        part = prepared[start : start + BATCH_ROWS]
        client.command("TRUNCATE TABLE pharos.event_log")
        client.raw_insert("pharos.event_rows", COLUMNS, b"".join(part), _SETTINGS, ROW_FORMAT)
        names = ", ".join(COLUMNS)
        bodies.append((len(part), client.raw_query(f"SELECT {names} FROM pharos.event_log", fmt=form)))  # noqa: S608
    client.close()
    return bodies


@contextmanager
def prepare(options: Options) -> Iterator[Bench]:
    """Start a broker and a ClickHouse, fill the topic, and yield the contestants."""
    count = options.scaled(1_000_000, 2_000)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kafka = stack.enter_context(broker.broker(folder))
        port = free_port()
        argv = [
            sys.executable,
            "-m",
            "deploy.local.clickhouse",
            "--port",
            str(port),
            "--path",
            str(folder / "data"),
        ]
        program = stack.enter_context(started(argv, folder=folder, ready=lambda: listening(port)))
        storage = Storage(program, f"http://127.0.0.1:{port}")
        topic, prepared = rows(kafka, count, folder)
        bodies = [
            (len(part), b"".join(part))
            for part in (prepared[start : start + BATCH_ROWS] for start in range(0, count, BATCH_ROWS))
        ]
        contestants = [
            Contestant("straight", lambda: _straight(storage, bodies)),
            Contestant("sink", lambda: _sink(storage, kafka, topic, count, folder), floor="straight"),
        ]
        if not options.miniature:
            some = prepared[: BATCH_ROWS * 2]
            for form in ("JSONEachRow", "TabSeparated", "RowBinary", "Native"):
                others = _in(storage, form, some)
                contestants.append(Contestant(form, _straight_in(storage, others, form), floor="straight"))
        yield Bench(
            title="A full topic into ClickHouse, against straight inserts of the same bytes",
            contestants=contestants,
            facts={
                "rows": f"the mix, enriched: {count:,} of {sum(map(len, prepared)) // count} bytes",
                "broker": broker.name(),
                "straight inserts": f"{BATCH_ROWS:,} rows each, {AT_ONCE} at once",
            },
        )


def _straight_in(storage: Storage, bodies: list[tuple[int, bytes]], form: str) -> Callable[[], Figures]:
    return lambda: _straight(storage, bodies, form)
