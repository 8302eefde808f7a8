"""The supervisor where a worker cannot be started: what passes is waited for, what does not ends it with an error."""

import asyncio
import errno
import os
from pathlib import Path

import pytest

from collector.process import claims, supervisor
from collector.process.site_files import SiteFiles
from collector.process.supervisor import Supervisor
from collector.settings import Settings
from tests.collector.spool.test_spool import open_files


def settings(folder: Path) -> Settings:
    (folder / "sites.toml").write_text("[sites.demo]\n")
    return Settings(
        sites=str(folder / "sites.toml"), spool_dir=str(folder / "spool"), port=0, admin_port=0, grace_s=0, drain_s=0
    )


@pytest.mark.system
async def test_a_process_that_cannot_be_made_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = asyncio.Queue[int]()

    async def spawn(*_: object, **__: object) -> None:
        tries.put_nowait(1)
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(asyncio, "create_subprocess_exec", spawn)
    listeners = claims.listen("127.0.0.1", 0, 1)
    files = SiteFiles(tmp_path / "sites.toml", None)
    made = settings(tmp_path)
    files.read()
    kept = Supervisor(made, listeners, files)
    keeping = asyncio.create_task(kept.keep())
    open_before = None
    for _ in range(3):
        async with asyncio.timeout(60):
            await tries.get()
        open_now = open_files()
        assert open_before in (None, open_now)
        open_before = open_now
    assert not keeping.done()
    assert not kept.draining
    kept.drain()
    async with asyncio.timeout(60):
        await keeping
    assert not kept.failed.is_set()


@pytest.mark.system
async def test_a_fault_of_our_own_shows_in_the_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def spawn(*_: object, **__: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", spawn)
    async with asyncio.timeout(60):
        assert await supervisor.run(settings(tmp_path)) == 1
