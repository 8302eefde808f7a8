"""`python -m sink`: hits.enriched into ClickHouse, and commands. The only module here that reads the environment."""

import argparse
import os
import sys
from collections.abc import Coroutine
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import uvloop

from sink import closed_days, migrations, run
from sink.clickhouse import Retry, Stop
from sink.commands import costs, erase, reconcile, reset_offsets, users
from sink.commands.cost_tables import SOURCES
from sink.forward import audience, window
from sink.forward import run as forward_run
from sink.protocol import UnknownMetadata
from sink.settings import Settings, read
from stage import log, version
from stage.command_line import add_command
from stage.kafka import access


def parser() -> argparse.ArgumentParser:
    """Return the command line's form."""
    made = argparse.ArgumentParser(
        prog="python -m sink",
        description="Store hits.enriched in ClickHouse, exactly once. Without a command: run the stage.",
        epilog="Settings are environment variables, PHAROS_SINK_*: docs/settings.md lists them.",
    )
    version.add_option(made)
    commands = made.add_subparsers(dest="command", metavar="COMMAND")
    migrate = add_command(commands, "migrate", "apply outstanding migrations and exit")
    migrate.add_argument("--dry-run", action="store_true", help="print the SQL and do not run it")
    rights = add_command(commands, "users", "make ClickHouse's users, roles and limits; needs an administrator")
    rights.add_argument(
        "--passwords",
        required=True,
        nargs="+",
        metavar="FOLDER",
        type=Path,
        help="folders with sink_password, migrator_password, analyst_password, eraser_password; no file, no user",
    )
    close = add_command(
        commands, "close", "make the sessions and touches of days that are over; exit code 1 if some wait"
    )
    close.add_argument("--site", default="", help="key of a site; without it of all")
    forget = add_command(commands, "erase", "delete the events of a person, or old events, and prove it")
    forget.add_argument("--site", required=True, help="key of the site")
    target = forget.add_mutually_exclusive_group(required=True)
    target.add_argument("--visitor", metavar="ID", help="every event of this visitor_id")
    target.add_argument("--user", metavar="ID", help="every event of this user_id")
    target.add_argument("--before", metavar="DATE", type=date.fromisoformat, help="every event before this day (UTC)")
    forget.add_argument(
        "--and-visitors",
        action="store_true",
        help="with --user: also every event of the visitor ids that the user was seen with",
    )
    compare = add_command(
        commands, "reconcile", "compare the consumed records with the stored rows; exit code 1 if they differ"
    )
    compare.add_argument(
        "--since",
        required=True,
        metavar="T",
        type=moment,
        help="compare records from this moment on: RFC 3339, UTC if it has no zone",
    )
    again = add_command(
        commands, "reset-offsets", "read hits.enriched again and store its rows again, after a deletion or a restore"
    )
    start = again.add_mutually_exclusive_group(required=True)
    start.add_argument("--since", metavar="T", type=moment, help="from this moment on: RFC 3339, UTC if it has no zone")
    start.add_argument("--earliest", action="store_true", help="from the first record that Kafka still has")
    again.add_argument("--dry-run", action="store_true", help="print the new offsets and commit nothing")
    forward = add_command(
        commands, "forward", "send conversions to ad platforms and webhooks, as destinations.toml says"
    )
    forward.add_argument(
        "--since", metavar="T", type=moment, help="send the events from this moment on once more, and exit"
    )
    forward.add_argument("--until", metavar="T", type=moment, help="with --since: up to, but without, this moment")
    forward.add_argument(
        "--destination",
        metavar="NAME",
        action="append",
        default=[],
        help="with --since: only this one; can be repeated",
    )
    forward.add_argument(
        "--dry-run",
        action="store_true",
        help="with --since: print what would be sent, one request a line; send nothing",
    )
    forward.add_argument(
        "--csv",
        choices=["conversions", "adjustments"],
        help="with --since: print a table for Google Ads' scheduled upload; send nothing",
    )
    load = add_command(
        commands, "costs", "load an ad manager's export into pharos.costs; a day that comes again replaces"
    )
    load.add_argument("path", metavar="FILE", type=Path, help="the CSV file; - reads standard input")
    load.add_argument("--site", required=True, help="key of the site")
    load.add_argument("--platform", required=True, choices=list(SOURCES), help="whose export it is")
    load.add_argument("--source", default="", help="source of the visits (default: the platform's, such as google)")
    load.add_argument("--medium", default="", help="medium of the visits (default: the platform's, such as cpc)")
    load.add_argument("--currency", default="", help="currency of a table that names none, such as EUR")
    load.add_argument(
        "--dates", default="auto", choices=["auto", "day-first", "month-first"], help="what 03/04/2026 means"
    )
    load.add_argument("--dry-run", action="store_true", help="read the table, say what it has, load nothing")
    listed = add_command(commands, "audience", "write who is new in an audience, and who is gone, for an ad platform")
    listed.add_argument("--site", required=True, help="key of the site")
    listed.add_argument("--definition", required=True, metavar="FILE", type=Path, help="a TOML file: docs/forward.md")
    listed.add_argument("--to", required=True, choices=["csv", "webhook"], help="files, or a signed POST")
    listed.add_argument(
        "--out", required=True, metavar="PATH", type=Path, help="begin of the names of the files, and of the state"
    )
    return made


def moment(text: str) -> datetime:
    """Read a point in time; without a zone it is UTC."""
    read = datetime.fromisoformat(text)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def work(arguments: argparse.Namespace, settings: Settings) -> Coroutine[Any, Any, int]:
    """Return the coroutine of the chosen command."""
    match arguments.command:
        case "migrate":
            return migrations.command(settings, dry_run=arguments.dry_run)
        case "users":
            return users.command(settings, arguments.passwords)
        case "close":
            return closed_days.command(settings, arguments.site)
        case "erase":
            target = erase.Target(
                arguments.site, arguments.visitor or "", arguments.user or "", arguments.before, arguments.and_visitors
            )
            return erase.command(settings, target)
        case "reconcile":
            return reconcile.command(settings, arguments.since)
        case "reset-offsets":
            return reset_offsets.command(settings, arguments.since, dry_run=arguments.dry_run)
        case "audience":
            return audience.command(settings, arguments.site, arguments.definition, arguments.to, arguments.out)
        case "costs":
            table = costs.Table(
                path=arguments.path,
                site=arguments.site,
                platform=arguments.platform,
                source=arguments.source,
                medium=arguments.medium,
                currency=arguments.currency,
                dates=arguments.dates,
            )
            return costs.command(settings, table, dry_run=arguments.dry_run)
        case "forward" if arguments.since:
            return window.command(
                settings,
                arguments.destination,
                arguments.since,
                arguments.until,
                dry_run=arguments.dry_run,
                csv=arguments.csv,
            )
        case "forward":
            return forward_run.serve(settings)
        case _:
            return run.serve(settings)


def main() -> int:
    """Run the sink or one of its commands; return the exit code: 0 drained, 2 wrong settings, 1 anything else."""
    made = parser()
    arguments = made.parse_args()
    if arguments.command == "forward" and not arguments.since:
        for option in ("until", "destination", "dry_run", "csv"):
            if getattr(arguments, option):
                made.error(f"--{option.replace('_', '-')} needs --since")
    log.take_over_libraries()
    try:
        settings = read(os.environ)
        log.start("sink", settings.log)
        access(settings)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        return uvloop.run(work(arguments, settings))
    except (Stop, UnknownMetadata, Retry) as error:  # a command does not wait for ClickHouse: it reports
        log.line("error", f"stopped: {error}")
        return 1
    finally:
        log.settle()


if __name__ == "__main__":
    sys.exit(main())
