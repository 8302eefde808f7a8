"""`python -m loadtest demo`: tell a running system a month of a plausible shop, then show what attribution makes of it.

The story (story.py) goes through the collector's own HTTP surface, backdated: the collector must take events of the
last 31 days (PHAROS_COLLECTOR_MAX_EVENT_AGE_H; `make run` sets it). Told again, it counts once. Exit codes: 0 shown;
1 not all that was accepted became visible, or the collector judged otherwise than the story means; 2 no system there.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
import clickhouse_connect
import msgspec
from clickhouse_connect.driver.exceptions import ClickHouseError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from urllib3.exceptions import HTTPError

from loadtest import here, story
from loadtest.processes import NotReady

MODELS: Final = ("first", "last", "last_non_direct", "linear", "position", "time_decay")
COLUMNS: Final = (*MODELS, "markov", "shapley")
CHARTED: Final = ("first", "last", "markov")
CONNECTIONS: Final = 16
SETTLE_S: Final = 60.0
MONTH_H: Final = 24 * (story.DAYS + 2)

_STYLES: Final = {"first": "cyan", "last": "magenta", "markov": "green"}
_SHORT: Final = {"last_non_direct": "known", "position": "pos.", "time_decay": "decay"}
_BAR: Final = 44
_WIDE: Final = 110
"""Columns from which a terminal shows cents."""


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """What the collector said to the whole story."""

    accepted: int
    refused: Counter[str]
    """By reason."""
    unexpected: list[str]
    """Requests that were judged otherwise than the story means them, for people."""


async def tell(sendings: Sequence[story.Sending], url: str, progress: Progress) -> Answers:
    """Send everything, in the order of time; raises aiohttp.ClientError when the collector is away."""
    ordered = sorted(sendings, key=lambda sending: sending.at)
    task = progress.add_task("events", total=len(ordered))
    accepted, refused, unexpected = 0, Counter[str](), list[str]()
    queue = iter(ordered)

    async def lane(session: aiohttp.ClientSession) -> None:
        nonlocal accepted
        for sending in queue:
            taken, reasons = await _send(session, url, sending)
            accepted += taken
            refused.update(reasons)
            if bool(reasons) != sending.refused:
                unexpected.append(f"{sending.method} {sending.target}: {', '.join(reasons) or 'accepted'}")
            progress.advance(task)

    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session, asyncio.TaskGroup() as lanes:
        for _ in range(CONNECTIONS):
            lanes.create_task(lane(session))
    return Answers(accepted=accepted, refused=refused, unexpected=unexpected)


async def _send(session: aiohttp.ClientSession, url: str, sending: story.Sending) -> tuple[int, list[str]]:
    headers = {"User-Agent": sending.user_agent, "Content-Type": "application/json"}
    if sending.visitor:
        headers["Cookie"] = f"_pid={sending.visitor}"
    body = sending.body.encode() or None
    async with session.request(sending.method, url + sending.target, data=body, headers=headers) as answer:
        if sending.method == "GET":
            said = answer.headers.get("X-Pharos", "no X-Pharos header")
            return (1, []) if said == "accepted" else (0, [said.removeprefix("refused; ")])
        told = await answer.json(content_type=None)
        return int(told["accepted"]), [str(each["reason"]) for each in told["refused"]]


def arrived(client: Any, site: str, expected: int, progress: Progress, settle_s: float) -> int:
    """Wait until ClickHouse shows `expected` events of the story, or no more come for `settle_s`; return how many."""
    task = progress.add_task("rows in ClickHouse", total=expected)
    seen, last_news = 0, time.monotonic()
    while seen < expected and time.monotonic() - last_news < settle_s:
        sql = (
            "SELECT uniqExact(event_id) FROM pharos.event_log "
            "WHERE site = {site:String} AND startsWith(client_event_id, {prefix:String})"
        )
        found = int(client.query(sql, parameters={"site": site, "prefix": story.ID_PREFIX}).result_rows[0][0])
        if found > seen:
            seen, last_news = found, time.monotonic()
        progress.update(task, completed=min(seen, expected))
        time.sleep(0.25)
    return seen


def attribution(client: Any, site: str, since: datetime, until: datetime) -> dict[str, dict[str, float]]:
    """Return the value in EUR by channel and model, asked of the views as an analyst would."""
    given = (
        "site = {site:String}, conversion = 'purchase', lookback_days = 30, "
        "since = {since:String}, until = {until:String}"
    )
    parameters = {"site": site, "since": f"{since:%Y-%m-%d %H:%M:%S}", "until": f"{until:%Y-%m-%d %H:%M:%S}"}
    views = {model: f"attribution({given}, model = '{model}')" for model in MODELS}
    views |= {"markov": f"attribution_markov({given})", "shapley": f"attribution_shapley({given})"}
    found: dict[str, dict[str, float]] = {}
    for model, view in views.items():
        sql = f"SELECT channel, sum(value) FROM pharos.{view} WHERE currency = 'EUR' GROUP BY channel"  # noqa: S608
        for channel, value in client.query(sql, parameters=parameters).result_rows:
            found.setdefault(channel, {})[model] = value
    return found


def show(found: dict[str, dict[str, float]], console: Console) -> None:
    """Print the models side by side, and a chart of three of them."""
    if not found:
        console.print("No conversions with a value in EUR.")
        return
    channels = sorted(found, key=lambda channel: -found[channel].get("markov", 0))
    table = Table(
        title="Which channel brought the purchases (EUR, last 30 days)",
        title_justify="left",
        box=None,
        padding=(0, 0, 0, 1),  # eight models and a channel's name fit into 80 columns
    )
    table.add_column("channel", no_wrap=True)
    for model in COLUMNS:
        table.add_column(_SHORT.get(model, model), justify="right", no_wrap=True)
    digits = 2 if console.width >= _WIDE else 0
    for channel in channels:
        table.add_row(channel, *(f"{found[channel].get(model, 0):,.{digits}f}" for model in COLUMNS))
    table.add_section()
    table.add_row("all", *(f"{sum(row.get(model, 0) for row in found.values()):,.{digits}f}" for model in COLUMNS))
    console.print(table)
    greatest = max(value for row in found.values() for value in row.values()) or 1
    width = max(len(channel) for channel in channels)
    console.print("  ".join(f"[{_STYLES[model]}]█[/] {model}" for model in CHARTED))
    for channel in channels:
        for place, model in enumerate(CHARTED):
            value = found[channel].get(model, 0)
            bar = "█" * round(value / greatest * _BAR)
            name = channel if place == 0 else ""
            console.print(f"{name:{width}} [{_STYLES[model]}]{bar}[/] {value:,.0f}", highlight=False)


@contextmanager
def _system(given: argparse.Namespace, console: Console) -> Iterator[here.System]:
    if given.url:
        yield here.System(url=given.url, clickhouse=given.clickhouse, admins=())
        return
    found = here.running()
    if found is not None:
        yield found
        return
    console.print("No `make run` is running here: starting a system of its own for the demo.")
    environ = {**os.environ, "PHAROS_COLLECTOR_MAX_EVENT_AGE_H": str(MONTH_H)}
    with tempfile.TemporaryDirectory() as folder, here.own(Path(folder), environ=environ) as (system, _):
        yield system


def main(argv: Sequence[str]) -> int:
    """Run the command and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m loadtest demo", description=__doc__.partition("\n")[0])
    parser.add_argument("--url", default="", help="a collector; without it that of `make run`, or one of its own")
    parser.add_argument("--clickhouse", default="http://127.0.0.1:8123", help="with --url (default %(default)s)")
    parser.add_argument("--site", default="demo")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--visitors", type=int, default=1500)
    given = parser.parse_args(argv)
    console = Console()
    until = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    sendings = list(story.month(given.seed, until, site=given.site, visitors=given.visitors))
    bars = (TextColumn("{task.description:18}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with _system(given, console) as system:
            with Progress(*bars, console=console) as progress:
                answers = asyncio.run(tell(sendings, system.url, progress))
                client = clickhouse_connect.get_client(dsn=system.clickhouse, autogenerate_session_id=False)
                seen = arrived(client, given.site, answers.accepted, progress, SETTLE_S)
            reasons = ", ".join(f"{count} {reason}" for reason, count in answers.refused.most_common())
            console.print(f"accepted {answers.accepted:,}, refused {sum(answers.refused.values())} ({reasons})")
            for line in answers.unexpected[:5]:
                console.print(f"not as meant: {line}", style="red", highlight=False)
            show(attribution(client, given.site, until - timedelta(days=story.DAYS), until), console)
            client.close()
    except (aiohttp.ClientError, ClickHouseError, HTTPError, NotReady, OSError) as problem:
        console.print(f"demo: {problem}", style="red", highlight=False)
        return 2
    if seen < answers.accepted:
        console.print(f"demo: only {seen} of {answers.accepted} events became visible", style="red")
    return 0 if seen >= answers.accepted and not answers.unexpected else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
