"""The enricher's program: `python -m enricher` runs the stage; `explain` and `replay` are its tools."""

import argparse
import asyncio
import gc
import os
import signal
import sys
from typing import Final

import uvloop
from aiohttp import web

from enricher.commands import explain, measure, replay
from enricher.metrics import Metrics
from enricher.mmdb import MmdbFile
from enricher.row.enrich import Enricher
from enricher.rules.sent_fields import milliseconds
from enricher.settings import Settings, read
from enricher.sites_file import SitesFile
from enricher.stream.dead_route import DeadRoute
from enricher.stream.explain_route import ExplainRoute
from enricher.stream.loop import TooManyDead
from enricher.stream.loop import run as run_stream
from enricher.tables import load_enricher, open_mmdb, open_sites
from stage import log, version
from stage.admin import Health, serve
from stage.command_line import add_command
from stage.kafka import access
from stage.settings import SettingError

GC_ALLOCATIONS: Final = 50_000
"""Allocations between two collections of the youngest generation; Python's default of 700 costs 4 % more CPU."""


async def _run(settings: Settings, enricher: Enricher, mmdb: MmdbFile | None, sites: SitesFile | None) -> int:
    metrics, health, stopping = Metrics(), Health(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)

    async def exposition() -> bytes:
        for name, cache in enricher.caches.items():
            metrics.remembered(name, cache.held, cache.misses)
        return metrics.exposition()

    try:
        routes = [
            web.get("/explain", ExplainRoute(settings, enricher).answer),
            web.get("/dead", DeadRoute(settings).answer),
        ]
        admin = await serve(settings, lambda: health.not_ready, exposition, routes)
    except SettingError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    health.not_ready = f"waiting for Kafka at {settings.kafka}"
    watching = asyncio.create_task(_watch_files(settings, enricher, mmdb, sites))
    try:
        drained = await run_stream(settings, enricher, metrics, health, stopping)
    except TooManyDead as error:
        log.line("error", f"stopped: {error}")
        return 1
    finally:
        watching.cancel()
        await admin.close()
    log.line("info", "drained" if drained else "stopped")
    return 0


async def _watch_files(settings: Settings, enricher: Enricher, mmdb: MmdbFile | None, sites: SitesFile | None) -> None:
    """Open the MMDB file and sites.toml again when they have changed."""
    while True:
        await asyncio.sleep(settings.geo_check_s)
        try:
            if sites is not None and sites.reload():
                enricher.own_hosts = sites.own_hosts
                log.line("info", "sites.toml changed, read again", path=settings.sites)
        except (OSError, ValueError) as error:
            log.line(
                "warning",
                "sites.toml cannot be read, the old hosts stay in use",
                path=settings.sites,
                error=repr(error),
            )
        try:
            if mmdb is not None and mmdb.reload():
                enricher.forget_places()
                log.line("info", "MMDB file changed, opened again", path=settings.geo_mmdb)
        except (OSError, ValueError) as error:
            log.line(
                "warning",
                "MMDB file cannot be opened, the old one stays in use",
                path=settings.geo_mmdb,
                error=repr(error),
            )


def _moment(text: str) -> int:
    moment = milliseconds(text)
    if moment is None:
        raise argparse.ArgumentTypeError(f"neither RFC 3339 with a zone nor epoch milliseconds: {text}")
    return moment


def main() -> int:
    """Return the exit code: 0 drained, 2 wrong settings, 1 anything else."""
    parser = argparse.ArgumentParser(
        prog="python -m enricher",
        description="Read hits.raw, write rows to hits.enriched. Without a command: run the stage.",
        epilog="Settings are environment variables, PHAROS_ENRICHER_*: docs/settings.md lists them.",
    )
    version.add_option(parser)
    commands = parser.add_subparsers(dest="command")
    add_command(commands, "explain", "read hits as JSON lines, print the events that they become")
    add_command(commands, "measure", "read records of hits.raw as JSON lines, print the cost of each step")
    again = add_command(
        commands, "replay", "enrich hits again with today's rules; rows of newer rules replace older ones"
    )
    again.add_argument("--from", dest="origin", choices=("hits.raw", "hits.dead"), required=True, help="topic to read")
    again.add_argument(
        "--since", type=_moment, required=True, help="first moment: RFC 3339 with a zone, or epoch milliseconds"
    )
    again.add_argument("--until", type=_moment, required=True, help="end, which is not included; in the same form")
    again.add_argument("--site", default="", help="only hits of this site")
    again.add_argument("--dry-run", action="store_true", help="only count; write nothing")
    arguments = parser.parse_args()
    try:
        settings = read(os.environ)
        access(settings)
        log.start("enricher", settings.log)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        sites = open_sites(settings.sites)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"PHAROS_ENRICHER_SITES: {settings.sites}: {error}\n")
        return 2
    try:
        mmdb = open_mmdb(settings.geo_mmdb)
        enricher = load_enricher(mmdb, sites.own_hosts if sites is not None else None)
    except (OSError, ValueError, RuntimeError) as error:
        sys.stderr.write(f"PHAROS_ENRICHER_GEO_MMDB: {settings.geo_mmdb}: {error}\n")
        return 2
    # The tables stay in memory and records make no cycles: collect rarely, and never scan the tables.
    gc.freeze()
    gc.set_threshold(GC_ALLOCATIONS, 20, 50)
    if arguments.command == "explain":
        return explain.main(enricher.enrich)
    if arguments.command == "measure":
        return measure.main(enricher)
    if arguments.command == "replay":
        topic = settings.topic_dead if arguments.origin == "hits.dead" else settings.topic_raw
        wanted = replay.Wanted(topic, arguments.since, arguments.until, arguments.site, arguments.dry_run)
        return replay.run(settings, wanted, enricher.enrich)
    log.take_over_libraries()
    try:
        return uvloop.run(_run(settings, enricher, mmdb, sites))
    finally:
        log.settle()


if __name__ == "__main__":
    sys.exit(main())
