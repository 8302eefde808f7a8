"""`python -m loadtest run|find-limit|soak|chaos|demo`: load a collector, audit every hit, say what the box can take.

Exit codes: 0 clean; 1 something accepted is missing or doubled, a verdict was wrong, or a threshold of the command line
is broken; 2 wrong arguments, or the target is not there; 3 the driver was the bottleneck; 130 Ctrl-C before there was
anything to report.
"""

import argparse
import importlib
import logging
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from rich.console import Console

from loadtest import arguments, limit, soak
from loadtest import run as running
from loadtest.check import local_system
from loadtest.check.faults import FaultInjector
from loadtest.check.faults import load as load_faults
from loadtest.check.stored_hits import ClickHouse, StoreUnavailable
from loadtest.report import html_page, overview, progress, result
from loadtest.report.conclusion import conclusion

ADMINS = ("http://127.0.0.1:9100", "http://127.0.0.1:9101", "http://127.0.0.1:9102")


def main(argv: Sequence[str]) -> int:
    """Run the command and return the exit code."""
    if argv[:1] == ["demo"]:
        # A program of its own; the others do without what it needs.
        return int(importlib.import_module("loadtest.demo").main(argv[1:]))
    given = arguments.parser().parse_args(argv)
    console = Console(stderr=True)
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)  # StoreUnavailable has its errors
    try:
        with _target(given, console) as system:
            results, page = _results(given, system, console)
    except KeyboardInterrupt:
        console.print("loadtest: stopped by hand before there was anything to report", style="red", highlight=False)
        return 130
    except (ValueError, OSError, StoreUnavailable, RuntimeError) as problem:
        console.print(f"loadtest: {problem}", style="red", highlight=False)
        return 2
    if given.json:
        given.json.write_bytes(msgspec.json.encode(results if given.command in ("soak", "find-limit") else results[0]))
    if given.html:
        given.html.write_text(page, encoding="utf-8")
        console.print(f"report: {given.html}", highlight=False)
    code = result.worst_exit_code(results)
    if system.folder and code == result.CLEAN:
        shutil.rmtree(system.folder)
    elif system.folder:
        console.print(f"data and logs of this run: {system.folder}", highlight=False)
    sentence, color = conclusion(results)
    console.print(sentence, style=f"bold {color}", highlight=False, markup=False)
    return code


@contextmanager
def _target(given: argparse.Namespace, console: Console) -> Iterator[local_system.System]:
    """Give the system to load: the one that the arguments name, the one of `make run`, or one started for this run."""
    chaos = given.command == "chaos"
    if not given.here and not chaos:
        admins = tuple(given.admin) if given.admin else ADMINS
        yield local_system.System(url=given.url, clickhouse=given.clickhouse or "", admins=admins, pid=given.pid or 0)
        return
    found = None if chaos or given.kafka else local_system.running()
    if found:
        console.print(f"loading what `make run` runs: {found.url}", highlight=False)
        yield msgspec.structs.replace(found, pid=given.pid or 0)
        return
    console.print("starting broker, ClickHouse, collector, enricher, sink ...", highlight=False)
    folder = Path(tempfile.mkdtemp(prefix="loadtest-"))
    console.print(f"its data and logs: {folder} (removed if the result is clean)", highlight=False)
    with local_system.own(folder, kafka=given.kafka) as (system, _):
        yield msgspec.structs.replace(system, folder=str(folder))
        console.print("draining ...", highlight=False)


def _results(
    given: argparse.Namespace, system: local_system.System, console: Console
) -> tuple[list[result.Result], str]:
    """Do what the command says; return the results and the report."""
    settings = arguments.settings_of(given, system)
    faults = _faults(given, system)
    store = ClickHouse(system.clickhouse) if system.clickhouse else None
    try:
        match given.command:
            case "find-limit":
                found = limit.find(
                    settings,
                    store,
                    console,
                    first=given.rate,
                    highest=given.to_rate,
                    step_s=given.step_seconds,
                    within_s=given.duration,
                )
                return found.steps, overview.of_search(settings.title, found)
            case "soak":
                windows = soak.run(settings, store, console, given.window)
                return windows, overview.of_windows(settings.title, windows)
            case _:
                done = running.watched(settings, store, console, faults)
                progress.show(done, console)
                return [done], html_page.page(done)
    finally:
        if store:
            store.close()


def _faults(given: argparse.Namespace, system: local_system.System) -> FaultInjector | None:
    if given.command not in ("run", "chaos") or not given.faults:
        return None
    if not system.pid:
        raise ValueError("--faults needs --pid: only that process's descendants are ever signalled")
    return FaultInjector(load_faults(given.faults), system.pid)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
