"""A disk of its own that fills up and is freed: 503 with Retry-After, counted, and back by itself, nothing lost."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from collector import contract, spool_command
from tests import needs
from tests.collector.running import Running


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
    subprocess.run(["umount", "-l", str(disk)], check=True)


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
                spool_command.Read(),
            )
    assert len(found) == accepted + 50
    assert set(range(50)) | set(range(300, 350)) <= set(found)
