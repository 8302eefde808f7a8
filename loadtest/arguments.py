"""The command line of the load test, and what a run is to do according to it."""

import argparse
from pathlib import Path

from loadtest import limit
from loadtest import run as running
from loadtest.check import local_system
from loadtest.drive import driver
from loadtest.report import result
from loadtest.traffic import profiles, schedule
from stage import version
from stage.command_line import add_command

CHAOS = Path(__file__).parent / "chaos.toml"
LONGEST_S = 7 * 24 * 3600
MOST = 10_000_000_000


def _shared(shape: bool = True, rate: bool = True) -> argparse.ArgumentParser:
    """Return what the commands have in common; a new one for each, as each sets defaults of its own.

    Without `shape` the rate is constant, without `rate` the command chooses it.
    """
    shared = argparse.ArgumentParser(add_help=False)
    to = shared.add_argument_group("target")
    to.add_argument("--url", default="http://127.0.0.1:8080", help="the collector (default %(default)s)")
    to.add_argument("--here", action="store_true", help="use what `make run` started, or start it")
    to.add_argument(
        "--kafka",
        metavar="SERVERS",
        default="",
        help="with --here and chaos: use this broker instead of the embedded one",
    )
    to.add_argument("--i-own-this-target", metavar="HOST", default="", help="allow a host that is not this machine")
    to.add_argument(
        "--clickhouse", metavar="URL", help="ClickHouse to search for the hits; without it there is no audit"
    )
    to.add_argument(
        "--admin",
        action="append",
        metavar="URL",
        help="admin port of a stage; may be repeated (default: the local ones)",
    )
    to.add_argument("--site", default="", help="key of the site (default: load on `make run`, else demo)")
    to.add_argument("--page-origin", default="http://localhost:8088", help="origin of the pages (default %(default)s)")
    to.add_argument("--token", default="", help="the site's token for /v1/events; without it server hits are tag hits")
    to.add_argument("--link", default="", help="a code of the links file; without it clicks are page views")
    how = shared.add_argument_group("traffic")
    how.add_argument(
        "--profile", default="shop", choices=profiles.profiles(), help="kind of traffic (default %(default)s)"
    )
    if rate:
        told = "requests/s, all senders together (default %(default)g)"
        how.add_argument("--rate", type=float, default=1000, help=told)
    how.add_argument("--duration", type=float, default=30, help="seconds, of all together (default %(default)g)")
    if shape:
        how.add_argument(
            "--schedule", default="constant", choices=schedule.SHAPES, help="how the rate changes (default %(default)s)"
        )
    how.add_argument("--poisson", action="store_true", help="independent arrivals instead of evenly spaced ones")
    how.add_argument("--max-requests", type=int, default=MOST, help="stop after this many requests")
    how.add_argument("--senders", type=int, default=1, help="driver processes (default %(default)s)")
    how.add_argument("--connections", type=int, default=128, help="connections per sender (default %(default)s)")
    how.add_argument("--churn", type=float, default=0.01, help="share of answers after which a connection is closed")
    how.add_argument(
        "--timeout", type=float, default=10, help="seconds until a request counts as unanswered (default %(default)g)"
    )
    how.add_argument("--seed", type=int, default=1, help="another seed makes other traffic (default %(default)s)")
    how.add_argument(
        "--pid",
        type=int,
        help="process id of the runner: its descendants' memory is reported, and --faults may signal them",
    )
    must = shared.add_argument_group("demands (exit 1 when broken)")
    must.add_argument("--max-p99-ms", type=float, help="99th percentile of the latency")
    must.add_argument(
        "--max-failed-percent", type=float, help="share of hits that were not sent, not answered, or answered 5xx"
    )
    must.add_argument("--max-freshness-s", type=float, help="99th percentile of the time until a hit is in ClickHouse")
    must.add_argument(
        "--late-after-s",
        type=float,
        default=result.LATE_AFTER_S,
        help="a sampled hit is late after this time (default %(default)g)",
    )
    must.add_argument("--max-late-percent", type=float, help="share of the sampled hits that are late")
    must.add_argument(
        "--late-bound-ms",
        type=float,
        default=driver.LATE_BOUND_MS,
        help="the driver is the bottleneck above this lateness (default %(default)g)",
    )
    must.add_argument(
        "--settle",
        type=float,
        default=60,
        help="seconds without a new row until the rest counts as missing (default %(default)g)",
    )
    out = shared.add_argument_group("output")
    out.add_argument("--json", type=Path, metavar="FILE", help="write the report as JSON")
    out.add_argument("--html", type=Path, metavar="FILE", help="write the report as one page with plots")
    out.add_argument("--title", default="Load test", help="title of the page")
    return shared


def parser() -> argparse.ArgumentParser:
    """Return the command line's grammar."""
    top = argparse.ArgumentParser(
        prog="python -m loadtest", description="Send traffic to a collector, audit every hit, report the result."
    )
    version.add_option(top)
    commands = top.add_subparsers(dest="command", required=True)
    one = add_command(commands, "run", "one run, with an audit", [_shared()])
    one.add_argument("--faults", type=Path, metavar="FILE", help="schedule of faults to inject; needs --pid")
    without = _shared(shape=False, rate=False)
    find = add_command(commands, "find-limit", "raise the rate until the latency or the losses are too high", [without])
    find.add_argument("--from", dest="rate", type=float, default=500, help="first rate (default %(default)g)")
    find.add_argument(
        "--to", dest="to_rate", type=float, default=limit.HIGHEST, help="highest rate (default: no bound)"
    )
    find.add_argument("--step-seconds", type=float, default=8, help="length of a step in seconds (default %(default)g)")
    find.set_defaults(schedule="constant", duration=900)
    long = add_command(commands, "soak", "one run after another, each with an audit", [_shared(shape=False)])
    long.add_argument("--window", type=float, default=600, help="length of one run in seconds (default %(default)g)")
    long.set_defaults(schedule="constant", duration=3600)
    disaster = add_command(commands, "chaos", "start everything, kill every program under load, audit", [_shared()])
    disaster.add_argument(
        "--faults", type=Path, metavar="FILE", default=CHAOS, help="schedule of faults (default: loadtest/chaos.toml)"
    )
    disaster.set_defaults(rate=300, duration=75, late_bound_ms=60_000, title="Chaos", settle=45)
    commands.add_parser(
        "demo", help="send a month of example shop traffic, then compare the attribution models", add_help=False
    )
    return top


def settings_of(given: argparse.Namespace, system: local_system.System) -> running.RunSettings:
    """Return what the arguments ask for.

    Raises:
        ValueError: an argument is out of range, or the target is not ours (ForeignTarget).
        OSError: the host does not resolve.
    """
    if not 0 < given.duration <= LONGEST_S:
        raise ValueError(f"--duration must be more than 0 and at most {LONGEST_S} seconds")
    if not 0 < given.rate <= 10_000_000 or not 1 <= given.senders <= 256 or not 1 <= given.connections <= 20_000:
        raise ValueError("--rate, --senders or --connections is out of range")
    if not 0 <= given.churn <= 1 or not 0 < given.timeout <= 300 or not 1 <= given.max_requests <= MOST:
        raise ValueError("--churn, --timeout or --max-requests is out of range")
    if given.late_after_s <= 0:
        raise ValueError("--late-after-s must be more than 0")
    if given.command == "find-limit" and not (given.rate <= given.to_rate and 0 < given.step_seconds <= given.duration):
        raise ValueError(
            "--to must not be below --from, nor --duration below --step-seconds, which must be more than 0"
        )
    if given.command == "soak" and not 0.5 < given.window <= LONGEST_S:
        raise ValueError(f"--window must be more than 0.5 and at most {LONGEST_S} seconds")
    target = driver.target_of(
        system.url,
        owned=given.i_own_this_target,
        connections=given.connections,
        churn=given.churn,
        timeout_s=given.timeout,
    )
    stretches = schedule.SHAPES[given.schedule](given.rate, given.duration)
    poisson = " Poisson" if given.poisson else ""
    return running.RunSettings(
        title=given.title,
        url=system.url,
        target=target,
        surface=profiles.Surface(
            site=given.site or system.site or "demo",
            host=f"{target.host}:{target.port}",
            page_origin=given.page_origin,
            token=given.token or system.token,
            link_code=given.link or system.link,
        ),
        schedule=schedule.Schedule(stretches, poisson=given.poisson, at_most=given.max_requests),
        schedule_name=f"{given.schedule}{poisson} {given.rate:g}/s for {given.duration:g} s",
        profile=given.profile,
        seed=given.seed,
        senders=given.senders,
        limits=result.Thresholds(
            max_p99_ms=given.max_p99_ms,
            max_failed_percent=given.max_failed_percent,
            max_freshness_s=given.max_freshness_s,
            late_after_s=given.late_after_s,
            max_late_percent=given.max_late_percent,
            late_bound_ms=given.late_bound_ms,
        ),
        admins=system.admins,
        pid=system.pid,
        settle_s=given.settle,
    )
