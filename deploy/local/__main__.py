"""`make run`: everything on this machine, with one command; docs/local.md is its manual.

The order: check settings, folder and ports; start broker and ClickHouse; start the three programs; print where things
are; watch; on Ctrl-C or SIGTERM drain from the collector down. Exit codes: 0 drained, 2 something to set right first.
"""

import argparse
import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import aiohttp
import uvloop
from aiohttp import web
from rich.console import Console
from rich.live import Live
from rich.text import Text

from deploy.local import first_start, live_routes, page, ports, programs, report_page, settings
from deploy.local.programs import Place
from deploy.local.runner import NotReady, Runner, Unusable
from deploy.local.terminal import foreground
from stage import version

LOOK_S: Final = 1.0
PLAIN_LOOK_S: Final = 10.0
"""Between status lines where there is no terminal."""
TWICE_S: Final = 1.0
"""A signal so soon after another is the same one."""


def prepare(chosen: settings.Settings) -> Place:
    """Make the data folder, lock it for this process, find every port.

    Raises:
        Unusable: a folder or port that cannot be used.
    """
    folder = Path(chosen.dir).resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Unusable(f"{folder}: another `make run` uses this folder ({settings.variable('dir')})") from None
    except OSError as error:
        raise Unusable(f"{folder}: {error.strerror} ({settings.variable('dir')} chooses another folder)") from None
    found: dict[str, int] = {}
    for name, port in chosen.ports().items():
        host = chosen.host if name in ("collector_port", "page_port") else programs.HOST
        if port and not ports.is_free(host, port):
            raise Unusable(f"port {port} on {host} is taken ({settings.variable(name)} chooses another)")
        if port in found.values():
            raise Unusable(f"port {port} is given twice ({settings.variable(name)})")
        found[name] = port or ports.find(host, found.values())
    place = Place(chosen, folder, found)
    first_start.make_key(folder)
    if not chosen.sites:
        first_start.make_files(folder, place.url("page_port"))
    return place


def _banner(place: Place) -> str:
    metrics = place.metrics()
    return "\n".join(
        [
            "",
            f"  Report      {place.url('page_port')}/report",
            f"  Demo page   {place.url('page_port')}/",
            f"  Tag         {page.snippet(place)}",
            f"  Pixel       {place.url('collector_port')}/p.gif?s=demo",
            *((f"  Link        {link}",) if (link := page.link_url(place)) else ()),
            f"  Try         {page.pixel_curl(place)}",
            f"  Then        {page.sql_curl(place)}",
            f"  Metrics     {'  '.join(metrics.values())}",
            f"  Sites       {place.sites}",
            f"  Data, logs  {place.folder}",
            "",
        ]
    )


async def _serve_page(place: Place, http: aiohttp.ClientSession) -> web.AppRunner:
    application = web.Application()
    application.add_routes([*page.routes(place), *report_page.routes(place, http), *live_routes.routes(place, http)])
    # A question whose page was closed is cancelled, up to ClickHouse.
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, place.settings.host, place.ports["page_port"]).start()
    return runner


async def run(place: Place, environ: Mapping[str, str], console: Console) -> int:
    """Start, watch, drain; return the exit code."""
    signals = _Signals()
    runner = Runner(place, environ, lambda text: console.print(text, highlight=False, markup=False, soft_wrap=True))
    async with aiohttp.ClientSession() as http:
        starting = asyncio.create_task(runner.start(http))
        await signals.or_done(starting)
        if not starting.done():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            await runner.stop(http, gently=False)
            return 0
        if (error := starting.exception()) is not None:
            await runner.stop(http, gently=False)
            if isinstance(error, (Unusable, NotReady)):
                print(error, file=sys.stderr)
                return 2 if isinstance(error, Unusable) else 1
            raise error
        shown = await _serve_page(place, http)
        console.print(_banner(place), highlight=False, markup=False, soft_wrap=True)
        with _status(console) as (show, pause_s):
            watching_task = asyncio.create_task(runner.watch(http, show, pause_s))
            await signals.or_done(watching_task)
            watching_task.cancel()
            await asyncio.gather(watching_task, return_exceptions=True)
        console.print("draining: collector, enricher, sink (once more to stop at once)", highlight=False)
        signals.again()
        stopping = asyncio.create_task(runner.stop(http, gently=True))
        await signals.or_done(stopping)
        if not stopping.done():
            stopping.cancel()
            await asyncio.gather(stopping, return_exceptions=True)
            await runner.stop(http, gently=False)
            return 1
        await shown.cleanup()
        return 0 if stopping.result() else 1


class _Signals:
    """SIGINT and SIGTERM, as something to wait for."""

    def __init__(self) -> None:
        self._come = asyncio.Event()
        self._last_at = -TWICE_S
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._receive)

    def _receive(self) -> None:
        """Count a signal to the whole process group once: make receives it too, and forwards SIGTERM."""
        now = asyncio.get_running_loop().time()
        if now - self._last_at >= TWICE_S:
            self._come.set()
            self._last_at = now

    def again(self) -> None:
        """Forget what came."""
        self._come.clear()

    async def or_done(self, task: "asyncio.Task[object]") -> None:
        """Return when a signal has come or `task` is done."""
        come = asyncio.create_task(self._come.wait())
        await asyncio.wait([come, task], return_when=asyncio.FIRST_COMPLETED)
        come.cancel()


@contextlib.contextmanager
def _status(console: Console) -> Iterator[tuple[Callable[[str], None], float]]:
    """Give what shows the status line, and how often: one live line on a terminal, else a line now and then."""
    if not console.is_terminal:
        yield lambda text: console.print(text, highlight=False, soft_wrap=True), PLAIN_LOOK_S
        return
    with Live("", console=console, auto_refresh=False, transient=True) as live:
        yield lambda text: live.update(Text(text, overflow="ellipsis", no_wrap=True), refresh=True), LOOK_S


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run until Ctrl-C or SIGTERM; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.local",
        description="Start a broker, ClickHouse, the collector, the enricher and the sink on this machine.",
        epilog="Settings are environment variables, PHAROS_LOCAL_*: docs/settings.md lists them.",
    )
    version.add_option(parser)
    parser.parse_args(arguments)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it reports every look at a broker that is not up yet
    try:
        place = prepare(settings.read(environ))
    except (ValueError, Unusable) as problem:
        print(problem, file=sys.stderr)
        return 2
    with foreground():
        return uvloop.run(run(place, environ, Console()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
