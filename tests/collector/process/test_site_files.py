"""Files that change under a running collector: a good one is taken, a broken one changes nothing."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from collector.policy import link_file, sites
from collector.process.site_files import BadFile, Rules, SiteFiles, watch
from tests.collector.running import Running
from tests.waiting import until

DEPLOY = Path(__file__).parents[3] / "deploy"
SHOP = "[sites.shop]\nconsent = 'assumed'\n"
LINK = "[links.a]\nsite = 'shop'\nto = 'https://shop.example/'\n"


def files(folder: Path) -> SiteFiles:
    (folder / "sites.toml").write_text(SHOP)
    (folder / "links.toml").write_text(LINK)
    return SiteFiles(folder / "sites.toml", folder / "links.toml")


def test_both_files_are_read(tmp_path: Path) -> None:
    rules = files(tmp_path).read()
    assert (list(rules.sites), list(rules.links)) == (["shop"], ["a"])
    assert SiteFiles(tmp_path / "sites.toml", None).read().links == {}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("sites", "[sites.shop]\n\nip = 'x'\n", r"PHAROS_COLLECTOR_SITES: .*sites.toml: line 3: site 'shop'"),
        ("sites", None, "PHAROS_COLLECTOR_SITES: .*No such file"),
        ("sites", "[sites.blog]\n", "PHAROS_COLLECTOR_LINKS: .*links.toml: line 1: link 'a': site 'shop' is not in"),
        ("links", "[links.a]\n", "PHAROS_COLLECTOR_LINKS: .*line 1"),
        ("links", None, "PHAROS_COLLECTOR_LINKS: .*No such file"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, name: str, text: str | None, said: str) -> None:
    reader = files(tmp_path)
    path = tmp_path / f"{name}.toml"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(BadFile, match=said):
        reader.read()


def test_a_change_is_seen_once_good_or_broken(tmp_path: Path) -> None:
    reader = files(tmp_path)
    assert reader.changed(), "never read yet"
    reader.read()
    assert not reader.changed()
    (tmp_path / "links.toml").write_text("broken")
    assert reader.changed()
    with pytest.raises(BadFile):
        reader.read()
    assert not reader.changed(), "the log is told once"
    (tmp_path / "links.toml").unlink()
    assert reader.changed()


async def test_the_watch_adopts_complains_and_heeds_a_hangup(tmp_path: Path) -> None:
    reader = files(tmp_path)
    reader.read()
    said: asyncio.Queue[Rules | BadFile] = asyncio.Queue()
    hangup = asyncio.Event()
    task = asyncio.create_task(watch(reader, hangup, said.put_nowait, said.put_nowait, look_s=0.01))
    try:
        (tmp_path / "sites.toml").write_text(SHOP + "[sites.blog]\n")
        told = await said.get()
        assert isinstance(told, Rules)
        assert set(told.sites) == {"shop", "blog"}
        (tmp_path / "sites.toml").write_text("[sites")
        assert isinstance(await said.get(), BadFile)
        (tmp_path / "sites.toml").write_text(SHOP)
        assert isinstance(await said.get(), Rules)
        hangup.set()
        assert isinstance(await said.get(), Rules), "read again, though nothing has changed"
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_running_collector_takes_a_new_site_and_keeps_the_old_ones_when_it_is_broken(
    collector: Callable[..., Running],
) -> None:
    running = collector(kafka="127.0.0.1:1", drain_s=0.1, workers=2)
    path = running.folder / "sites.toml"
    await running.start()

    def replace(text: str) -> None:
        """Put a whole new file there at once, as editors and deployments do."""
        path.with_suffix(".new").write_text(text)
        path.with_suffix(".new").replace(path)

    async def verdict(site: str) -> str:
        async with aiohttp.ClientSession() as session, session.get(f"{running.url}/p.gif?s={site}") as answer:
            return answer.headers["X-Pharos"]

    async def everywhere(site: str) -> bool:
        return {await verdict(site) for _ in range(8)} == {"accepted"}

    assert await verdict("later") == "refused; unknown_site"
    replace(path.read_text() + "\n[sites.later]\n")
    running.program.signal(signal.SIGHUP)
    await until(lambda: everywhere("later"), "both workers know the new site")
    replace("[sites.later]\nip = 'some'\n")
    complaint = "the last good sites and links stay in use"
    await until(lambda: len(running.said(complaint)) == 2, "both workers complain")
    assert "line 2: site 'later': Invalid enum value 'some'" in running.said(complaint)[0]["problem"]
    assert (await running.metrics())["files_stale"] == 1
    assert await everywhere("later")
    replace("[sites.other]\n")
    await until(lambda: everywhere("other"), "the mended file is taken")
    assert await verdict("later") == "refused; unknown_site"
    assert (await running.metrics())["files_stale"] == 0


def test_the_examples_are_good_and_show_the_defaults() -> None:
    known = sites.parse((DEPLOY / "sites.example.toml").read_bytes())
    shown = known["shop"]
    for name in ("identity", "consent", "gpc", "dnt", "without_consent", "ip", "unlisted_origins"):
        assert getattr(shown, name) == getattr(sites.Site(), name), name
    text = (DEPLOY / "sites.example.toml").read_text()
    assert all(f"\n{name} = " in text for name in sites.Site.__struct_fields__)
    found = link_file.parse((DEPLOY / "links.example.toml").read_bytes(), known)
    assert len(found["yt-launch"].utm) == 5
