"""`python -m loadtest demo`: tell a running system a month of a plausible shop, then show what attribution makes of it.

The story (story.py) goes through the collector's own HTTP surface, backdated: the collector must take events of the
last 31 days (PHAROS_COLLECTOR_MAX_EVENT_AGE_H; `make run` sets it). Sent again, on the same day or another, each event
counts once. A link takes no time from outside: the month's clicks happen when they are sent, and those that an earlier
demo made are left out. Exit codes: 0 shown; 1 not all that was accepted became visible, or the collector judged
otherwise than the story means; 2 no system there.

Long: one story from its first hit to its table.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
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
from urllib3.exceptions import HTTPError

from loadtest.check import local_system
from loadtest.check.processes import NotReady
from loadtest.report import attribution
from loadtest.traffic import story
from loadtest.traffic.story_requests import ID_PREFIX, StoryRequest
from stage import version

SERVER: Final = "/v1/events"
CONNECTIONS: Final = 16
SETTLE_S: Final = 60.0
LINKS_S: Final = 3.0
"""The collector reads a changed file within a second."""
MONTH_H: Final = 24 * (story.DAYS + 2)


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """What the collector answered to the whole story."""

    accepted: int
    clicks: int
    """Of the accepted."""
    refused: Counter[str]
    """By reason."""
    unexpected: list[str]
    """Requests that were judged otherwise than the story means them, for people."""


async def tell(sendings: Sequence[StoryRequest], url: str, token: str, progress: Progress) -> Answers:
    """Send everything, in the order of time; raises aiohttp.ClientError when the collector is away."""
    ordered = sorted(sendings, key=lambda sending: sending.at)
    task = progress.add_task("events", total=len(ordered))
    accepted, clicks, refused, unexpected = 0, 0, Counter[str](), list[str]()
    queue = iter(ordered)

    async def sender(session: aiohttp.ClientSession) -> None:
        nonlocal accepted, clicks
        for sending in queue:
            taken, reasons = await _send(session, url, token, sending)
            accepted += taken
            clicks += taken if sending.leads_to else 0
            refused.update(reasons)
            if bool(reasons) != sending.refused:
                unexpected.append(f"{sending.method} {sending.target}: {', '.join(reasons) or 'accepted'}")
            progress.advance(task)

    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session, asyncio.TaskGroup() as senders:
        for _ in range(CONNECTIONS):
            senders.create_task(sender(session))
    return Answers(accepted=accepted, clicks=clicks, refused=refused, unexpected=unexpected)


async def _send(session: aiohttp.ClientSession, url: str, token: str, sending: StoryRequest) -> tuple[int, list[str]]:
    headers = {"User-Agent": sending.user_agent, "Content-Type": "application/json"}
    if sending.target == SERVER:
        headers["Authorization"] = f"Bearer {token}"
    if sending.visitor:
        headers["Cookie"] = f"_pid={sending.visitor}"
    body = sending.body.encode() or None
    target = url + sending.target
    async with session.request(sending.method, target, data=body, headers=headers, allow_redirects=False) as answer:
        if sending.method == "GET":
            said = answer.headers.get("X-Pharos", "no X-Pharos header")
            return (1, []) if said == "accepted" else (0, [said.removeprefix("refused; ")])
        told = await answer.json(content_type=None)
        return int(told["accepted"]), [str(each["reason"]) for each in told["refused"]]


def visible(client: Any, site: str, ids: Set[str]) -> int:
    """Return how many of these ids ClickHouse shows, and not those of another demo."""
    sql = (
        "SELECT DISTINCT client_event_id FROM pharos.event_log "
        "WHERE site = {site:String} AND startsWith(client_event_id, {prefix:String})"
    )
    rows = client.query(sql, parameters={"site": site, "prefix": ID_PREFIX}).result_rows
    return len(ids & {row[0] for row in rows})


def arrived(client: Any, site: str, ids: Set[str], expected: int, progress: Progress, settle_s: float) -> int:
    """Wait until ClickHouse shows `expected` of the story's ids, or no more come for `settle_s`; return how many."""
    task = progress.add_task("rows in ClickHouse", total=expected)
    seen, last_news = 0, time.monotonic()
    while seen < expected and time.monotonic() - last_news < settle_s:
        found = visible(client, site, ids)
        if found > seen:
            seen, last_news = found, time.monotonic()
        progress.update(task, completed=min(seen, expected))
        time.sleep(0.25)
    return seen


@contextmanager
def _system(given: argparse.Namespace, until: datetime, console: Console) -> Iterator[local_system.System]:
    if given.url:
        yield local_system.System(url=given.url, clickhouse=given.clickhouse, admins=(), token=given.token)
        return
    found = local_system.running()
    if found is not None:
        token = given.token or (found.token if given.site == "demo" else "")
        yield msgspec.structs.replace(found, token=token)
        return
    console.print("No `make run` is running here: starting a system of its own; its data goes with it at the end.")
    environ = {**os.environ, "PHAROS_COLLECTOR_MAX_EVENT_AGE_H": str(MONTH_H)}
    with tempfile.TemporaryDirectory() as folder:
        links = Path(folder) / "links.toml"
        links.write_text(story.links(until, site=given.site))
        with local_system.own(Path(folder), links=links, environ=environ) as (system, _):
            yield system


def _without(sendings: Sequence[StoryRequest], left_out: Callable[[StoryRequest], bool]) -> list[StoryRequest]:
    return [sending for sending in sendings if not left_out(sending)]


async def _has_links(url: str, sendings: Sequence[StoryRequest]) -> bool:
    """Ask for the story's links with HEAD, which is led on and not counted; one just added needs a second."""
    missing = {sending.target for sending in sendings if sending.leads_to}
    deadline = time.monotonic() + LINKS_S
    async with aiohttp.ClientSession() as session:
        while missing:
            for target in sorted(missing):
                async with session.head(url + target, allow_redirects=False) as answer:
                    if answer.status == 302:
                        missing.remove(target)
            if missing and time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.1 if missing else 0)
    return True


def add_links(folder: Path, links: str) -> None:
    """Add those of the story's links that a folder of `make run` lacks, as its user would."""
    files = ("--links", str(folder / "links.toml"), "--sites", str(folder / "sites.toml"))
    known = tomllib.loads((folder / "links.toml").read_text()).get("links", {})
    for code, link in tomllib.loads(links)["links"].items():
        if code not in known:
            named = [part for name in ("site", "source", "medium", "campaign") for part in (f"--{name}", link[name])]
            command = [sys.executable, "-m", "collector", "link", "add", code, link["to"], *named, *files]
            subprocess.run(command, check=True, capture_output=True, timeout=60)


def clicked(client: Any, site: str) -> Counter[tuple[str, str]]:
    """Return how often each visitor has followed each link."""
    sql = (
        "SELECT visitor_id, link_code, uniqExact(event_id) FROM pharos.event_log "
        "WHERE site = {site:String} AND kind = 'click' GROUP BY visitor_id, link_code"
    )
    rows = client.query(sql, parameters={"site": site}).result_rows
    return Counter({(visitor, code): times for visitor, code, times in rows})


def fitting(
    sendings: Sequence[StoryRequest],
    site: str,
    system: local_system.System,
    client: Any,
    console: Console,
) -> list[StoryRequest]:
    """Return the story without what this system does not take, and say what that is."""
    if not system.token:
        console.print("Without the copies of the shop's server: that needs a token of the site (--token).")
        sendings = _without(sendings, lambda sending: sending.target == SERVER)
    before, made = clicked(client, site), list[StoryRequest]()
    for sending in sendings:
        click = (sending.visitor, sending.target.rpartition("/")[2])
        if sending.leads_to and before[click]:
            before[click] -= 1
            made.append(sending)
    if made:
        console.print(f"Without {len(made)} clicks: an earlier telling made them, and a link would count them again.")
        sendings = _without(sendings, set(made).__contains__)
    if not asyncio.run(_has_links(system.url, sendings)):
        console.print("Without clicks: the collector has not the story's links (--print-links prints the file).")
        sendings = _without(sendings, lambda sending: bool(sending.leads_to))
    return list(sendings)


def main(argv: Sequence[str]) -> int:
    """Run the command and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtest demo",
        description="Send a month of example shop traffic to a running system, then compare the attribution models.",
    )
    version.add_option(parser)
    parser.add_argument("--url", default="", help="the collector (default: the one of `make run`, or a new one)")
    parser.add_argument(
        "--clickhouse", default="http://127.0.0.1:8123", help="ClickHouse, if --url is given (default %(default)s)"
    )
    parser.add_argument("--token", default="", help="a token of the site, to send the events of the shop's server too")
    parser.add_argument("--print-links", action="store_true", help="only print the links.toml that the traffic needs")
    parser.add_argument("--site", default="demo", help="key of the site (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="another seed makes another month (default %(default)s)")
    parser.add_argument("--visitors", type=int, default=1500, help="visitors in the month (default %(default)s)")
    given = parser.parse_args(argv)
    console = Console()
    until = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    sendings = list(story.month(given.seed, until, site=given.site, visitors=given.visitors))
    if given.print_links:
        print(story.links(until, site=given.site))
        return 0
    bars = (TextColumn("{task.description:18}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with _system(given, until, console) as system:
            if system.files and given.site == "demo":
                add_links(Path(system.files), story.links(until, site=given.site))
            client = clickhouse_connect.get_client(dsn=system.clickhouse, autogenerate_session_id=False)
            sendings = fitting(sendings, given.site, system, client, console)
            events = Counter(event for sending in sendings for event in sending.events)
            copies = events.total() - len(events)
            with Progress(*bars, console=console) as progress:
                answers = asyncio.run(tell(sendings, system.url, system.token, progress))
                expected = answers.accepted - answers.clicks - copies
                ids = {own_id for _, own_id in events}
                seen = arrived(client, given.site, ids, expected, progress, SETTLE_S)
            reasons = ", ".join(f"{count} {reason}" for reason, count in answers.refused.most_common())
            said = f"accepted {answers.accepted:,}, of which {answers.clicks} clicks and {copies} second copies"
            console.print(f"{said}; refused {sum(answers.refused.values())} ({reasons})")
            for line in answers.unexpected[:5]:
                console.print(f"not as meant: {line}", style="red", highlight=False)
            attribution.show(
                attribution.by_channel(client, given.site, until - timedelta(days=story.DAYS), until), console
            )
            client.close()
    except (aiohttp.ClientError, ClickHouseError, HTTPError, NotReady, OSError) as problem:
        console.print(f"demo: {problem}", style="red", highlight=False)
        return 2
    if seen < expected:
        console.print(f"demo: only {seen} of {expected} events became visible", style="red")
    return 0 if seen >= expected and not answers.unexpected else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
