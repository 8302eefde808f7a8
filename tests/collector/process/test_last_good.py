"""Broken files do not take the collector down: new workers and new starts begin with the last good contents."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from collector.process import last_good
from collector.process.last_good import Handover, LastGood
from collector.process.site_files import BadFile, SiteFiles
from collector.settings import Settings
from tests.collector.running import Running
from tests.waiting import until

GOOD = "[sites.shop]\nconsent = 'assumed'\n"
LINK = "[links.a]\nsite = 'shop'\nto = 'https://shop.example/'\n"


def copy_of(folder: Path, sites: str = GOOD) -> LastGood:
    return LastGood(sites_path=str(folder / "sites.toml"), links_path="", sites=sites, links="")


def test_a_copy_is_read_back_for_the_same_paths_only(tmp_path: Path) -> None:
    kept = copy_of(tmp_path)
    last_good.save(tmp_path, kept)
    assert last_good.load(tmp_path, kept.sites_path, "") == kept
    assert last_good.load(tmp_path, "/another/sites.toml", "") is None
    assert last_good.load(tmp_path, kept.sites_path, "/links.toml") is None
    assert [path.name for path in tmp_path.iterdir()] == [last_good.NAME], "no draft is left"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"sites":"x"}', b'{"sites_path":1}'])
def test_a_damaged_copy_is_no_copy(tmp_path: Path, content: bytes) -> None:
    (tmp_path / last_good.NAME).write_bytes(content)
    assert last_good.load(tmp_path, "a", "") is None


def test_a_handover_survives_its_file_in_memory(tmp_path: Path) -> None:
    handed = Handover(settings=Settings(sites="s.toml", link_key="k" * 16), last_good=copy_of(tmp_path))
    assert last_good.take_over(last_good.hand_over(handed)) == handed


def test_a_broken_file_gives_the_last_good_contents_and_the_fault(tmp_path: Path) -> None:
    (tmp_path / "sites.toml").write_text(GOOD)
    (tmp_path / "links.toml").write_text(LINK)
    files = SiteFiles(tmp_path / "sites.toml", tmp_path / "links.toml")
    assert files.read_or_last_good()[1] is None
    for broken in ("[sites", "[sites.other]\n"):  # the second is good by itself, but the link's site is gone
        (tmp_path / "sites.toml").write_text(broken)
        rules, problem = files.read_or_last_good()
        assert (list(rules.sites), list(rules.links)) == (["shop"], ["a"])
        assert isinstance(problem, BadFile)
        assert not files.changed(), "the fault is reported once"
    (tmp_path / "sites.toml").write_text(GOOD + "[sites.blog]\n")
    assert files.changed()
    rules, problem = files.read_or_last_good()
    assert (list(rules.sites), problem) == (["shop", "blog"], None)


def test_contents_that_this_version_cannot_read_are_not_used(tmp_path: Path) -> None:
    (tmp_path / "sites.toml").write_text("broken")
    files = SiteFiles(tmp_path / "sites.toml", None, copy_of(tmp_path, "[sites.shop]\nlater = 1\n"))
    with pytest.raises(BadFile, match="not TOML"):
        files.read_or_last_good()


async def answers(running: Running, count: int) -> list[str]:
    """Return the verdicts of requests on a connection each; one without an answer in time fails."""
    verdicts = []
    for _ in range(count):
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session,
            session.get(f"{running.url}/p.gif?s=demo") as answer,
        ):
            verdicts.append(answer.headers["X-Pharos"])
    return verdicts


async def test_with_a_broken_file_a_dead_worker_is_replaced_and_a_restart_serves(
    collector: Callable[..., Running],
) -> None:
    running = collector(kafka="127.0.0.1:1", drain_s=0, workers=2)
    path = running.folder / "sites.toml"
    good = path.read_text()
    await running.start()
    path.write_text("[sites.demo\n")
    before = running.worker_pids()
    os.kill(before[0], signal.SIGKILL)
    await until(lambda: before[0] not in running.worker_pids() and len(running.worker_pids()) == 2, "a new worker")
    assert await answers(running, 20) == ["accepted"] * 20
    assert (await running.metrics())["files_stale"] == 1

    assert running.program.terminate() == 0
    await running.start()
    (said,) = running.lines("sites.toml or links.toml is broken: starting with the last good copy")
    assert (said["level"], said["copy"]) == ("error", str(running.spool / last_good.NAME))
    assert "sites.toml" in said["problem"]
    assert await answers(running, 20) == ["accepted"] * 20
    assert (await running.metrics())["files_stale"] == 1

    path.write_text(good + "[sites.later]\n")

    async def fixed() -> bool:
        return (await running.metrics())["files_stale"] == 0

    await until(fixed, "the fixed file is in use")
    copy = running.spool / last_good.NAME
    await until(lambda: "sites.later" in copy.read_text(), "the copy follows")


async def test_a_secret_or_a_certificate_that_is_gone_does_not_stop_a_new_worker(
    collector: Callable[..., Running], tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text("secret")
    token = tmp_path / "token"
    token.write_text("t")
    running = collector(
        kafka="127.0.0.1:1",
        drain_s=0,
        kafka_security="SASL_PLAINTEXT",
        kafka_mechanism="OAUTHBEARER",
        kafka_user="u",
        kafka_password_file=password,
        kafka_token_path=token,
    )
    await running.start()
    (worker,) = running.worker_pids()
    password.unlink()
    token.unlink()
    os.kill(worker, signal.SIGKILL)
    await until(lambda: running.worker_pids() not in ([], [worker]), "a new worker")
    assert await answers(running, 5) == ["accepted"] * 5
    await until(lambda: any("there is no file" in line["detail"] for line in running.said("waiting for Kafka")), "why")


async def test_a_first_start_with_a_broken_file_is_refused(collector: Callable[..., Running]) -> None:
    running = collector(kafka="127.0.0.1:1")
    (running.folder / "sites.toml").write_text("[sites.demo\n")
    starting = asyncio.create_task(running.start())
    await asyncio.wait([starting])
    with pytest.raises(AssertionError, match="PHAROS_COLLECTOR_SITES"):
        await starting
    assert not (running.spool / last_good.NAME).exists()
