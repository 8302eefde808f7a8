"""What the load driver itself can do: one core of it against one core of nginx's empty_gif, and wrk in the same run.

Flat out, both keep 64 connections busy, so that both are closed loops: requests/s and the client's own CPU compare.
At 10,000/s the driver is what it is for, an open loop: its latency counts from the scheduled moment.
"""

import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from loadtest.bench import nginx, wrk
from loadtest.bench.frame import Bench, Contestant, Figures, Options
from loadtest.check.processes import pinned
from loadtest.drive import driver
from loadtest.drive.plan import Plan
from loadtest.traffic import profiles, request_template, schedule

OPEN_RATE: Final = 10_000


def _wrk(port: int, requests: Path, seconds: float, most: int) -> Figures:
    done = wrk.run(port, requests, seconds, most=most)
    return {
        "requests_per_s": done.hits / done.us * 1e6,
        "client_cpu_us_per_request": done.cpu_s * 1e6 / done.hits,
        "from_sending_p50_ms": done.p50_us / 1000,
        "from_sending_p99_ms": done.p99_us / 1000,
    }


def _drive(port: int, cores: Sequence[int], rate: float, seconds: float, at_most: int) -> driver.DriveResult:
    plan = Plan(
        target=driver.target_of(f"http://127.0.0.1:{port}", connections=wrk.CONNECTIONS, churn=0, timeout_s=30),
        surface=profiles.Surface(),
        schedule=schedule.Schedule(schedule.constant(rate, seconds), at_most=at_most),
        profile="pixel",
        run=secrets.token_hex(4),
        pool=2_000,
        drain_s=60,
    )
    with pinned(cores):
        return driver.drive(plan)


def _flat_out(port: int, cores: Sequence[int], count: int) -> Figures:
    """All requests are due at once; what is left is how fast 64 connections carry them."""
    drive = _drive(port, cores, rate=count * 100, seconds=0.01, at_most=count)
    took_s = drive.measured.latency.get_max_value() / 1e6
    service = drive.measured.service
    return {
        "requests_per_s": drive.requests() / took_s,
        "client_cpu_us_per_request": sum(totals.cpu_s for totals in drive.totals) * 1e6 / drive.requests(),
        "from_sending_p50_ms": service.get_value_at_percentile(50) / 1000,
        "from_sending_p99_ms": service.get_value_at_percentile(99) / 1000,
    }


def _open(port: int, cores: Sequence[int], seconds: float) -> Figures:
    drive = _drive(port, cores, rate=OPEN_RATE, seconds=seconds, at_most=10**9)
    measured = drive.measured
    return {
        "requests_per_s": drive.requests() / seconds,
        "client_cpu_us_per_request": sum(totals.cpu_s for totals in drive.totals) * 1e6 / drive.requests(),
        "from_sending_p50_ms": measured.service.get_value_at_percentile(50) / 1000,
        "from_sending_p99_ms": measured.service.get_value_at_percentile(99) / 1000,
        "from_schedule_p50_ms": measured.latency.get_value_at_percentile(50) / 1000,
        "from_schedule_p99_ms": measured.latency.get_value_at_percentile(99) / 1000,
        "driver_late_p99_ms": measured.late.get_value_at_percentile(99) / 1000,
    }


@contextmanager
def prepare(options: Options) -> Iterator[Bench]:
    """Start nginx on one core; the clients take turns on the other."""
    server_core, client_core = wrk.cores()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pool = profiles.pool("pixel", 1, profiles.Surface(), 2_000)
        raw = [
            template.render([request_template.hit_id("0" * 8, 0, number).encode()], b"")
            for number, template in enumerate(pool)
        ]
        wrk.write(raw, folder / "requests")
        with nginx.nginx(folder, "location / { empty_gif; }", logged=False) as (_, port):
            seconds = options.scaled(5, 0.1)
            count = options.scaled(200_000, 2_000)
            most = options.scaled(0, wrk.FEW)
            yield Bench(
                title="Load driver, one core, against nginx empty_gif on another",
                contestants=(
                    Contestant("wrk -t1 -c64", lambda: _wrk(port, folder / "requests", seconds, most)),
                    Contestant("driver, flat out", lambda: _flat_out(port, client_core, count), floor="wrk -t1 -c64"),
                    Contestant(f"driver, open loop {OPEN_RATE}/s", lambda: _open(port, client_core, seconds)),
                ),
                facts={
                    "requests": f"{len(raw)} different, {sum(map(len, raw)) // len(raw)} bytes each, no pipelining",
                    "cores": f"server on {server_core[0]}, client on {client_core[0]}",
                },
            )
