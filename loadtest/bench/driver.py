"""What the load driver itself can do: one core of it against one core of nginx's empty_gif, beside wrk in the same run.

Flat out, both keep 64 connections busy, so that both are closed loops: requests/s and the client's own CPU compare.
At 10,000/s the driver is what it is for, an open loop: its latency counts from the scheduled moment.
"""

import os
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

from loadtest.bench.frame import Bench, Contestant, Figures, Options, Unavailable
from loadtest.check.processes import free_port, listening, pinned, started
from loadtest.drive import driver
from loadtest.drive.plan import Plan
from loadtest.traffic import profiles, request_template, schedule

CONNECTIONS: Final = 64
OPEN_RATE: Final = 10_000
_NGINX: Final = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 75;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port}; location / {{ empty_gif; }} }}
}}
"""
_LUA: Final = """
local requests, at = {{}}, 0
for block in io.open("{requests}"):read("*a"):gmatch("(.-)%z") do requests[#requests + 1] = block end
function request() at = at % #requests + 1; return requests[at] end
function done(summary, latency)
  io.write(string.format("RESULT %d %d %d %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99)))
end
"""


def _program(name: str, package: str) -> str:
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin")
    if path is None:
        raise Unavailable(f"{name} is not installed (apt-get install {package})")
    return path


def _wrk(folder: Path, port: int, cores: Sequence[int], seconds: int) -> Figures:
    argv = [_program("wrk", "wrk"), "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(folder / "wrk.lua")]
    with pinned(cores):
        process = psutil.Popen([*argv, f"http://127.0.0.1:{port}/"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    before = psutil.Process().cpu_times()
    told = process.communicate(timeout=seconds + 60)[0].decode()
    after = psutil.Process().cpu_times()
    found = re.search(r"^RESULT (\d+) (\d+) (\d+) (\d+)$", told, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"wrk failed:\n{told}")
    requests, us, p50, p99 = map(int, found.groups())
    # wrk is this process's child and reaped by now: its time is what the children's time has grown by.
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return {
        "requests_per_s": requests / us * 1e6,
        "client_cpu_us_per_request": cpu_s * 1e6 / requests,
        "from_sending_p50_ms": p50 / 1000,
        "from_sending_p99_ms": p99 / 1000,
    }


def _drive(port: int, cores: Sequence[int], rate: float, seconds: float, at_most: int) -> driver.DriveResult:
    plan = Plan(
        target=driver.target_of(f"http://127.0.0.1:{port}", connections=CONNECTIONS, churn=0, timeout_s=30),
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
    cores = sorted(os.sched_getaffinity(0))
    nginx, port = _program("nginx", "nginx"), free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, port=port))
        (folder / "wrk.lua").write_text(_LUA.format(requests=folder / "requests"))
        pool = profiles.pool("pixel", 1, profiles.Surface(), 2_000)
        raw = [
            template.render([request_template.hit_id("0" * 8, 0, n).encode()], b"") for n, template in enumerate(pool)
        ]
        (folder / "requests").write_bytes(b"".join(one + b"\0" for one in raw))
        argv = [nginx, "-c", str(folder / "nginx.conf"), "-p", name, "-e", str(folder / "error.log")]
        with started(argv, folder=folder, cores=cores[:1], ready=lambda: listening(port)):
            seconds = options.scaled(5, 1)
            count = options.scaled(200_000, 5_000)
            yield Bench(
                title="Load driver, one core, against nginx empty_gif on another",
                contestants=(
                    Contestant("wrk -t1 -c64", lambda: _wrk(folder, port, cores[-1:], seconds)),
                    Contestant("driver, flat out", lambda: _flat_out(port, cores[-1:], count), floor="wrk -t1 -c64"),
                    Contestant(f"driver, open loop {OPEN_RATE}/s", lambda: _open(port, cores[-1:], seconds)),
                ),
                facts={
                    "requests": f"{len(raw)} different, {sum(map(len, raw)) // len(raw)} bytes each, no pipelining",
                    "cores": f"server on {cores[0]}, client on {cores[-1]}",
                },
            )
