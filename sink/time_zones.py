"""Each site's time zone, from the collector's `sites.toml` into `pharos.sites`: there views and the report find it."""

import asyncio
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from clickhouse_connect.driver.exceptions import ClickHouseError

from sink.clickhouse import Connection, Retry, Stop, each_shard
from sink.settings import Settings
from stage.log import line

LOOK_EVERY_S: Final = 10.0
"""Pause between two looks at the file."""
UNKNOWN: Final = """
SELECT arrayFilter(zone -> zone NOT IN (SELECT time_zone FROM system.time_zones), {zones:Array(String)})
"""
STORED: Final = "SELECT site, time_zone FROM pharos.sites FINAL"
STORE: Final = """
INSERT INTO pharos.sites (site, time_zone)
SELECT one.1, one.2 FROM (SELECT arrayJoin(arrayZip({sites:Array(String)}, {zones:Array(String)})) AS one)
"""


def read(text: str) -> dict[str, str]:
    """Return the zone of each site of a `sites.toml`, "UTC" where it names none.

    Raises:
        ValueError: it is not TOML, or not as the collector takes it.
    """
    sites = tomllib.loads(text).get("sites", {})
    if not isinstance(sites, dict) or not all(isinstance(site, dict) for site in sites.values()):
        raise ValueError("sites: must be tables")
    found = {key: site.get("time_zone", "UTC") for key, site in sites.items()}
    if wrong := [key for key, zone in found.items() if not isinstance(zone, str)]:
        raise ValueError(f"sites.{wrong[0]}: time_zone: must be a text")
    return found


async def store(connection: Connection, zones: Mapping[str, str]) -> int:
    """Write the zones that differ from what ClickHouse has; return their number.

    Raises:
        ValueError: ClickHouse does not know a zone; the others are written.
        ClickHouseError: ClickHouse does not answer, or refuses.
    """
    unknown = (await connection.query(UNKNOWN, {"zones": list(zones.values())})).result_rows[0][0]
    stored = dict((await connection.query(STORED)).result_rows)
    new = {site: zone for site, zone in zones.items() if stored.get(site) != zone and zone not in unknown}
    if new:
        await connection.command(STORE, {"sites": list(new), "zones": list(new.values())})
    if unknown:
        raise ValueError(f"ClickHouse does not know the time zone {unknown[0]!r}")
    return len(new)


async def keep(settings: Settings) -> None:
    """Store the zones of the file now, and whenever it changes; never returns, unless there is no file to read."""
    path, done, reported = settings.sites, "", ""
    while path:
        try:
            text = await asyncio.to_thread(Path(path).read_text, "utf-8")
            if text != done:
                async with each_shard(settings) as connections:
                    number = max([await store(connection, read(text)) for connection in connections])
                if number:
                    line("info", "time zones of sites stored", sites=number)
                done, reported = text, ""
        except (ClickHouseError, OSError, Retry, Stop, TimeoutError, ValueError) as error:
            if (why := str(error)[:300]) != reported:
                line("warning", "time zones of sites are not stored: tried again", path=path, why=why)
                reported = why
        await asyncio.sleep(LOOK_EVERY_S)
