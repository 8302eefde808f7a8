"""A power cut at any system call: what was synced is there, what is read was written, and the spool goes on.

Every call that Spool and its Mark make is recorded. For each moment a disk is made up as it may be found afterwards:
what was synced is kept, what was not is lost, kept, torn, or kept without what came before it, and names not yet synced
may be missing. Then the spool is opened on it.
"""

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from collector.spool import acknowledged as mark_module
from collector.spool import disk as disk_module
from collector.spool import spool as spool_module
from collector.spool import writer as writer_module
from collector.spool.inventory import Limits
from collector.spool.spool import Spool
from tests.collector import scale
from tests.collector.spool.test_spool import everything, hits

LIMITS = Limits(most_bytes=1 << 20, segment_bytes=4096)


class Call(NamedTuple):
    """One system call: `write` at an offset, `sync` of a file, `names` synced, `make`, `cut`, `unlink`."""

    what: str
    name: str
    offset: int = 0
    data: bytes = b""


class Recorder:
    """Replaces `os` in the spool's modules."""

    def __init__(self, calls: list[Call]) -> None:
        self._calls = calls
        self._names: dict[int, str] = {}

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        fresh = bool(flags & os.O_CREAT) and not Path(path).exists()
        fd = os.open(path, flags, mode)
        self._names[fd] = Path(path).name
        if fresh:
            self._calls.append(Call("make", Path(path).name))
        return fd

    def write(self, fd: int, data: bytes) -> int:
        self._calls.append(Call("write", self._names[fd], os.fstat(fd).st_size, bytes(data)))
        return os.write(fd, data)

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        self._calls.append(Call("write", self._names[fd], offset, bytes(data)))
        return os.pwrite(fd, data, offset)

    def fdatasync(self, fd: int) -> None:
        os.fdatasync(fd)
        self._calls.append(Call("sync", self._names[fd]))

    def fsync(self, fd: int) -> None:
        os.fsync(fd)
        self._calls.append(Call("names", ""))


class Moment(NamedTuple):
    """What the test knew when the power went."""

    calls: int
    synced: int
    """Hits 0..synced are on the disk, by promise."""
    written: int
    acknowledged: int


def live(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Call], list[Moment]]:
    """Use a spool for a while; return its calls and what was promised after each step."""
    calls: list[Call] = []
    recorder = Recorder(calls)
    monkeypatch.setattr(spool_module, "os", recorder)
    monkeypatch.setattr(writer_module, "os", recorder)
    monkeypatch.setattr(disk_module, "os", recorder)
    monkeypatch.setattr(mark_module, "os", recorder)
    real_unlink = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        calls.append(Call("unlink", path.name))
        real_unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    spool = Spool(folder, LIMITS)
    moments = [Moment(len(calls), 0, 0, 0)]
    chance = random.Random(11)
    written = synced = acknowledged = 0
    ends = {0: spool.end}
    for _ in range(60):
        count = chance.randrange(1, 12)
        end = spool.append(hits(count, written))[-1].end
        written += count
        ends[written] = end
        moments.append(Moment(len(calls), synced, written, acknowledged))
        if chance.random() < 0.4:
            spool.sync()
            synced = written
            moments.append(Moment(len(calls), synced, written, acknowledged))
        if chance.random() < 0.2:
            acknowledged = chance.choice([n for n in ends if n >= acknowledged])
            spool.acknowledge(ends[acknowledged])
            spool.sweep()
            moments.append(Moment(len(calls), synced, written, acknowledged))
    monkeypatch.undo()
    spool.close()
    return calls, moments


def disks(calls: list[Call], chance: random.Random) -> Iterator[dict[str, bytes]]:
    """Yield disks, name to content, as they may be found after these calls."""
    for how in ("all", "none", "torn", "holes", "mixed"):
        content: dict[str, bytearray] = {}
        pending: dict[str, list[Call]] = {}
        named: set[str] = set()
        for call in calls:
            match call.what:
                case "make":
                    content[call.name], pending[call.name] = bytearray(), []
                case "write":
                    pending.setdefault(call.name, []).append(call)
                    content.setdefault(call.name, bytearray())
                case "sync":
                    for write in pending.get(call.name, []):
                        put(content[call.name], write.offset, write.data)
                    pending[call.name] = []
                case "names":
                    named |= content.keys()
                case "unlink":
                    if how in ("all", "torn") or (how == "mixed" and chance.random() < 0.5):
                        content.pop(call.name, None)
                        pending.pop(call.name, None)
        for name, writes in pending.items():
            for number, write in enumerate(writes):
                if how == "all" or (how == "torn" and number + 1 < len(writes)):
                    put(content[name], write.offset, write.data)
                elif how == "torn":
                    put(content[name], write.offset, write.data[: chance.randrange(len(write.data) + 1)])
                elif how == "holes" and number + 1 == len(writes):
                    put(content[name], write.offset, write.data)  # the last, but none before it
                elif how == "mixed" and chance.random() < 0.5:
                    put(content[name], write.offset, write.data[: chance.choice([len(write.data), 7])])
        yield {
            name: bytes(text)
            for name, text in content.items()
            if name in named or how in ("all", "torn", "holes") or chance.random() < 0.5
        }


def put(text: bytearray, offset: int, data: bytes) -> None:
    if len(text) < offset:
        text.extend(bytes(offset - len(text)))
    text[offset : offset + len(data)] = data


def test_no_power_cut_loses_what_was_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, moments = live(tmp_path / "live", monkeypatch)
    assert {call.what for call in calls} >= {"make", "write", "sync", "names", "unlink"}
    known = {payload: number for number, payload in enumerate(hits(2000))}
    chance = random.Random(5)
    tried = 0
    for at in range(len(calls) + 1):
        before = max((m for m in moments if m.calls <= at), key=lambda m: m.calls, default=Moment(0, 0, 0, 0))
        after = min((m for m in moments if m.calls >= at), key=lambda m: m.calls, default=moments[-1])
        for disk in (d for _ in range(scale.of(small=1, full=20)) for d in disks(calls[:at], chance)):
            folder = tmp_path / "found"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for name, text in disk.items():
                (folder / name).write_bytes(text)
            spool = Spool(folder, LIMITS)
            found = [known[payload] for payload in everything(spool)]
            assert found == sorted(found), "order"
            promised = range(after.acknowledged, before.synced)
            assert set(promised) <= set(found), f"after call {at} {calls[at - 1] if at else None}"
            assert all(number < after.written for number in found)
            spool.append([b"after"])
            assert everything(spool)[-1] == b"after"
            spool.close()
            tried += 1
    assert tried > 500
