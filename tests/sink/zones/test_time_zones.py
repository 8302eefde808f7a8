"""The sites' time zones of `sites.toml` in `pharos.sites`: stored at once, again after a change, never half read."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from sink import clickhouse, time_zones
from sink.settings import read
from tests.clickhouse import ClickHouse
from tests.sink.rows import NOVEMBER_MS, row
from tests.waiting import until


def test_a_site_without_a_zone_has_utc() -> None:
    text = '[sites.shop]\ntime_zone = "Asia/Tokyo"\nip = "none"\n\n[sites."b.c"]\n'
    assert time_zones.read(text) == {"shop": "Asia/Tokyo", "b.c": "UTC"}


@pytest.mark.parametrize("text", ["[sites", "sites = 3", "[sites]\nshop = 3", "[sites.shop]\ntime_zone = 3"])
def test_a_broken_file_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  of tomllib, or ours
        time_zones.read(text)


async def test_the_file_is_stored_and_stored_again_when_it_changes(
    storage: ClickHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(time_zones, "LOOK_EVERY_S", 0.02)
    path = tmp_path / "sites.toml"
    settings = read({"PHAROS_SINK_CLICKHOUSE": storage.url, "PHAROS_SINK_SITES": str(path)})
    connection = await clickhouse.connect(settings)
    keeping = asyncio.create_task(time_zones.keep(settings))

    async def has(expected: dict[str, str]) -> bool:
        return dict((await connection.query(time_zones.STORED)).result_rows) == expected

    def said(text: str) -> bool:
        out = capsys.readouterr()
        seen.append(out.out + out.err)
        return text in "".join(seen)

    seen: list[str] = []
    try:
        await until(lambda: said("No such file"), "the warning that there is no file")
        path.write_text('[sites.shop]\ntime_zone = "Europe/Berlin"\n[sites.blog]\n')
        await until(lambda: has({"shop": "Europe/Berlin", "blog": "UTC"}), "the file's zones")
        path.write_text('[sites.shop]\ntime_zone = "Mars/Base"\n[sites.blog]\ntime_zone = "Asia/Tokyo"\n')
        await until(lambda: said("does not know the time zone 'Mars/Base'"), "the warning about a zone")
        assert await has({"shop": "Europe/Berlin", "blog": "Asia/Tokyo"}), "the others are stored"
        path.write_text("[sites")
        await until(lambda: said("tried again"), "the warning about the file")
        path.write_text("[sites.shop]\n")
        await until(lambda: has({"shop": "UTC", "blog": "Asia/Tokyo"}), "the site without a zone")
        # 22:30 UTC on the 22nd of November is the 23rd in Tokyo.
        for number, site in enumerate(("shop", "blog")):
            await clickhouse.insert(connection, row(number, site=site, at_ms=NOVEMBER_MS + 52_200_000), None)
        own = "(SELECT time_zone FROM pharos.sites FINAL WHERE site = {site:String})"
        window = f"since = '2026-11-23', until = '2026-11-24', tz = {own}"
        day = f"SELECT count() FROM pharos.top_pages(site = {{site:String}}, {window})"
        for site, expected in (("shop", 0), ("blog", 1)):
            assert (await connection.query(day, {"site": site})).result_rows[0][0] == expected, site
    finally:
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping
        await connection.close()
