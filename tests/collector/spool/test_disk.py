"""A disk of its own that fills up and is freed, or is read-only: 503 with Retry-After, counted, and back by itself.

Nothing that was accepted is lost, and no worker dies of it.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from collector import contract
from collector.commands import spool as spool_command
from tests import needs
from tests.brokers import Broker, unique
from tests.collector.running import Running, hits_in
from tests.waiting import until


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0:
        needs.missing("a small file system can only be mounted by root")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "pharos-test", str(disk)], capture_output=True)
    if mounted.returncode:
        needs.missing(f"cannot mount a small file system: {mounted.stderr.decode().strip()}")
    yield disk
    unmount(disk)


async def statuses(running: Running, count: int, first: int) -> list[tuple[int, str]]:
    """Send hits one after the other; return each status with its Retry-After."""
    async with aiohttp.ClientSession() as session:
        seen = []
        for number in range(first, first + count):
            async with session.get(f"{running.url}/p.gif?s=demo&id={number}&t={'x' * 3000}") as answer:
                seen.append((answer.status, answer.headers.get("Retry-After", "")))
        return seen


def fill(ballast: Path) -> None:
    """Write a file until nothing more fits."""
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(4096)) == 4096:
            pass


async def test_full_then_freed(small_disk: Path, collector: Callable[..., Running]) -> None:
    spool = small_disk / "spool"
    running = collector(kafka="127.0.0.1:1", spool_dir=spool, spool_free_bytes=0, drain_s=0)
    await running.start()
    assert await statuses(running, 50, 0) == [(200, "")] * 50

    ballast = small_disk / "ballast"
    fill(ballast)
    refused = await statuses(running, 200, 100)
    assert refused[-1] == (503, "5")
    accepted = 50 + sum(status == 200 for status, _ in refused)
    metrics = await running.metrics()
    why = {name: value for name, value in metrics.items() if name.startswith("spool_refused_total")}
    assert sum(why.values()) == metrics['hits_total{result="spool",site="demo"}'] == 250 - accepted
    async with aiohttp.ClientSession() as session, session.get(f"{running.admin}/readyz") as answer:
        assert answer.status == 503
    ballast.unlink()
    assert await statuses(running, 50, 300) == [(200, "")] * 50

    running.program.kill()
    found: list[int] = []
    for folder in spool_command.folders(spool):
        for path in sorted(folder.glob("*.seg")):
            spool_command.read_segment(
                path,
                lambda payload, _: found.append(int(contract.decode(payload).query.split("id=")[1].split("&")[0])),
                spool_command.SegmentCounts(),
            )
    assert len(found) == accepted + 50
    assert set(range(50)) | set(range(300, 350)) <= set(found)


def mount(*options: str) -> None:
    subprocess.run(["mount", *options], check=True)


def unmount(folder: Path) -> None:
    subprocess.run(["umount", "-l", str(folder)], check=True)


async def says(running: Running, status: int, text: str) -> bool:
    """Tell whether `/readyz` says this."""
    async with aiohttp.ClientSession() as session, session.get(f"{running.admin}/readyz") as answer:
        return (answer.status, (await answer.text()).strip()) == (status, text)


async def test_a_spool_that_filled_up_is_ready_again_without_a_hit(
    apache_kafka: Broker, collector: Callable[..., Running]
) -> None:
    """Kubernetes sends nothing to a pod that is not ready: only time may heal it."""
    topic = unique("hits.raw")
    await apache_kafka.create_topics(topic)
    running = collector(kafka=apache_kafka.bootstrap, topic_raw=topic, spool_bytes=128 << 10, ack_timeout_s=1)
    await running.start()
    await running.ready()
    apache_kafka.pause()
    try:
        seen = await statuses(running, 200, 0)
        assert (503, "5") in seen
        await until(lambda: says(running, 503, "spool: full"), "not ready")
    finally:
        apache_kafka.resume()
    await running.ready()
    accepted = sum(status == 200 for status, _ in seen)

    async def all_there() -> bool:
        return len({hit.id for hit in await hits_in(apache_kafka.bootstrap, topic)}) == accepted

    await until(all_there, "the accepted hits are in Kafka")


async def test_read_only_for_a_while(small_disk: Path, tansu: Broker, collector: Callable[..., Running]) -> None:
    topic = unique("hits.raw")
    await tansu.create_topics(topic)
    spool = small_disk / "spool"
    running = collector(
        kafka=tansu.bootstrap, topic_raw=topic, spool_dir=spool, spool_free_bytes=0, segment_bytes=4096, drain_s=5
    )
    await running.start()
    await running.ready()
    assert await statuses(running, 3, 0) == [(200, "")] * 3
    workers = running.worker_pids()
    # A second view of the folder, read-only: what is open stays so, names can be neither made nor removed.
    mount("--bind", str(spool), str(spool))
    mount("-o", "remount,bind,ro", str(spool))
    try:
        refused = await statuses(running, 10, 10)
        assert refused[-1] == (503, "5")
        await until(lambda: says(running, 503, "spool: EROFS"), "not ready, by name")
        # Segments that Kafka has are to be removed meanwhile; the worker tries each second.
        tried = (await running.metrics())["cpu_seconds_total"]
        await until(lambda: metrics_after(running, tried), "the worker has told again")
    finally:
        unmount(spool)
    await running.ready()
    assert await statuses(running, 3, 20) == [(200, "")] * 3
    assert running.worker_pids() == workers
    assert (await running.metrics())["worker_deaths_total"] == 0
    assert running.program.terminate() == 0


async def metrics_after(running: Running, cpu_seconds: float) -> bool:
    return (await running.metrics())["cpu_seconds_total"] > cpu_seconds


async def test_a_start_on_a_read_only_disk_answers_503_and_comes_back(
    small_disk: Path, tansu: Broker, collector: Callable[..., Running]
) -> None:
    topic = unique("hits.raw")
    await tansu.create_topics(topic)
    spool = small_disk / "spool"
    running = collector(kafka="127.0.0.1:1", topic_raw=topic, spool_dir=spool, spool_free_bytes=0, drain_s=0)
    await running.start()
    assert await statuses(running, 5, 0) == [(200, "")] * 5
    workers = running.worker_pids()
    running.program.kill()
    # A worker of a killed supervisor ends by itself, soon; until then it has a file open for writing.
    await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "the worker has ended")
    mount("-o", "remount,ro", str(small_disk))
    await running.start(kafka=tansu.bootstrap)
    assert await statuses(running, 3, 10) == [(503, "5")] * 3
    async with aiohttp.ClientSession() as session, session.post(f"{running.url}/e", data=b"x" * 100_000) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert await says(running, 503, "spool: EROFS")
    mount("-o", "remount,rw", str(small_disk))
    await running.ready()
    assert await statuses(running, 5, 20) == [(200, "")] * 5
    assert (await running.metrics())["worker_deaths_total"] == 0

    async def all_there() -> bool:
        return len({hit.id for hit in await hits_in(tansu.bootstrap, topic)}) == 10

    await until(all_there, "the accepted hits are in Kafka")
