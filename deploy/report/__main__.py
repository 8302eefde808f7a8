"""`python -m deploy.report`: save the report of a site as one HTML file, for mail and cron."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError

from deploy.report import saved
from stage import version

PASSWORD = "PHAROS_REPORT_PASSWORD"  # noqa: S105  the variable's name
MODELS = ("last_non_direct", "last", "first", "linear", "position", "time_decay", "shapley")


def parser() -> argparse.ArgumentParser:
    """Return the command line's form."""
    made = argparse.ArgumentParser(
        prog="python -m deploy.report",
        description="Save the report of a site as one HTML file with its answers inside.",
        epilog=f"The password comes from {PASSWORD}, or from the file that {PASSWORD}_FILE names.",
    )
    version.add_option(made)
    made.add_argument("--site", required=True, help="key of the site")
    made.add_argument("--html", required=True, type=Path, metavar="FILE", help="file to write")
    made.add_argument("--days", type=_days, default=30, help="days up to and with today (default %(default)s)")
    goals = "an event, 'pageview /thanks*' or 'purchase[plan=pro]'"
    made.add_argument("--conversion", default="", help=f"goal that is a sale: {goals} (default: a usual event)")
    made.add_argument("--model", choices=MODELS, default=MODELS[0], help="rule that credits (default %(default)s)")
    made.add_argument("--tz", type=_zone, help="time zone of the days (default: the site's)")
    made.add_argument("--clickhouse", default="http://localhost:8123", metavar="URL", help="default %(default)s")
    made.add_argument("--user", default="analyst", help="user who may read (default %(default)s)")
    return made


def _days(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 731:
        raise argparse.ArgumentTypeError("a number of days, 1 to 731")
    return int(text)


def _zone(text: str) -> str:
    try:
        return ZoneInfo(text).key
    except (ValueError, OSError, KeyError):
        raise argparse.ArgumentTypeError(f"no time zone {text!r}; an example: Europe/Vienna") from None


def main(argv: Sequence[str], environ: Mapping[str, str], now: datetime) -> int:
    """Write the file and return the exit code: 0 written, 1 ClickHouse refused or is away, 2 a site without events."""
    given = parser().parse_args(argv)
    file = environ.get(f"{PASSWORD}_FILE")
    try:
        password = Path(file).read_text().rstrip("\n") if file else environ.get(PASSWORD, "")
        client = clickhouse_connect.get_client(
            dsn=given.clickhouse, username=given.user, password=password, autogenerate_session_id=False
        )
        events = saved.events(client, given.site)
        tz = given.tz or saved.zone(client, given.site)
        asked = {"site": given.site, "tz": tz, "model": given.model, "conversion": given.conversion}
        chosen = saved.values(events, asked, given.days, now)
        html = saved.page(chosen, saved.answers(client, chosen), now)
        client.close()
        given.html.write_text(html, encoding="utf-8")
    except saved.UnknownSite as problem:
        print(problem, file=sys.stderr)
        return 2
    except (ClickHouseError, OSError) as problem:
        print(f"report: {problem}", file=sys.stderr)
        return 1
    print(f"{given.html}: {chosen['site']}, {chosen['from']} to {chosen['to']}, {len(html.encode()):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ, datetime.now(UTC)))
