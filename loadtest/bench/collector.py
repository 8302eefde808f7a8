"""A pixel hit's price: nginx's empty_gif with a buffered access log against the collector doing everything.

Server on one core, wrk and the broker on another. Everything: cookie, hit, spool with `interval` fsync, Kafka with lz4
and `acks=all`. CPU is the server's process tree's own, until the last hit is in Kafka.
"""

import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from loadtest.bench import native
from loadtest.bench.frame import Bench, Contestant, Figures, Options, Unavailable
from loadtest.check.processes import Program, answers, free_port, listening, pinned, rss_bytes, started, wait_until

_CONNECTIONS: Final = 64
_LUA: Final = Path(__file__).with_name("pixel.lua")
_NGINX: Final = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  keepalive_requests 1000000000; keepalive_timeout 75;
  access_log {folder}/access.log combined buffer=64k flush=1s;
  server {{ listen 127.0.0.1:{port}; location = /p.gif {{ empty_gif; }} }}
}}
"""
_SITES: Final = '[sites.bench]\nconsent = "assumed"\n'


class Wrk(msgspec.Struct, frozen=True):
    """What wrk tells at its end; latencies in microseconds."""

    hits: int
    failed: int
    us: int
    p50_us: int
    p99_us: int
    p99_9_us: int


def _program(name: str, package: str) -> str:
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin")
    if path is None:
        raise Unavailable(f"{name} is not installed (apt-get install {package})")
    return path


def _cores() -> tuple[list[int], list[int]]:
    """Return the server's core and the client's; the same one where there is only one."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[:1], cores[-1:]


def wrk(port: int, visitors: str, seconds: float, mean_pause_ms: int = 0) -> Wrk:
    """Run wrk once against a pixel on `port`.

    Raises:
        RuntimeError: it failed, or a request did.
    """
    argv = [_program("wrk", "wrk"), "-t1", f"-c{_CONNECTIONS}", f"-d{max(1, round(seconds))}s", "-s", str(_LUA)]
    argv += [f"http://127.0.0.1:{port}", "--", visitors, str(mean_pause_ms)]
    with pinned(_cores()[1]):
        told = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 60, check=False)
    found = re.search(r"^RESULT (.*)$", told.stdout, re.MULTILINE)
    if told.returncode or found is None:
        raise RuntimeError(f"wrk failed:\n{told.stdout}{told.stderr}")
    result = msgspec.json.decode(found[1], type=Wrk)
    if result.failed:
        raise RuntimeError(f"{result.failed} of {result.hits} requests failed")
    return result


def _round(
    server: Program, port: int, visitors: str, options: Options, pause_ms: int, settled: Callable[[], bool]
) -> Figures:
    os.sync()  # what others left to be written would be written now, on these two cores
    before = server.cpu_s()
    full = wrk(port, visitors, options.scaled(5, 1))
    wait_until(settled, "everything forwarded", 60)
    cpu_s = server.cpu_s() - before
    os.sync()
    half = wrk(port, visitors, options.scaled(4, 1), pause_ms)
    wait_until(settled, "everything forwarded", 60)
    return {
        "cpu_us_per_hit": cpu_s * 1e6 / full.hits,
        "hits_per_s": full.hits / full.us * 1e6,
        "p50_ms": full.p50_us / 1000,
        "p99_ms": full.p99_us / 1000,
        "p99_9_ms": full.p99_9_us / 1000,
        "half_hits_per_s": half.hits / half.us * 1e6,
        "half_p50_ms": half.p50_us / 1000,
        "half_p99_ms": half.p99_us / 1000,
        "half_p99_9_ms": half.p99_9_us / 1000,
        "rss_mb": rss_bytes(_worker(server.pid)) / 1e6,
    }


def _worker(pid: int) -> int:
    """Return the one child of a supervisor, or the process itself."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else pid


def _sample(admin: str, name: str) -> float:
    with urllib.request.urlopen(f"{admin}/metrics", timeout=10) as answer:  # noqa: S310 (our own admin port)
        text = answer.read().decode()
    return sum(
        float(value) for value in re.findall(rf"^pharos_collector_{name}(?:\{{.*\}})? (\S+)$", text, re.MULTILINE)
    )


class _Collector(msgspec.Struct, frozen=True):
    """One that runs."""

    program: Program
    port: int
    admin: str

    def settled(self) -> bool:
        return _sample(self.admin, "spool_bytes") == 0


@contextmanager
def _collector(folder: Path, code: Path, broker: str) -> Iterator[_Collector]:
    """Run the collector whose packages are in `code`; what the worker has mapped must show that they are compiled.

    Raises:
        RuntimeError: they are not, or are and should not be.
    """
    folder.mkdir()
    port, admin_port = free_port(), free_port()
    (folder / "sites.toml").write_text(_SITES)
    environ = {
        "PHAROS_COLLECTOR_SITES": str(folder / "sites.toml"),
        "PHAROS_COLLECTOR_SPOOL_DIR": str(folder / "spool"),
        "PHAROS_COLLECTOR_PORT": str(port),
        "PHAROS_COLLECTOR_ADMIN_PORT": str(admin_port),
        "PHAROS_COLLECTOR_KAFKA": broker,
        "PHAROS_COLLECTOR_GRACE_S": "0",
    }
    ready = f"http://127.0.0.1:{admin_port}/readyz"
    argv = [sys.executable, "-m", "collector"]
    with started(
        argv, folder=folder, environ=environ, cores=_cores()[0], cwd=code, ready=lambda: answers(ready)
    ) as program:
        native.check(_worker(program.pid), code)
        yield _Collector(program, port, f"http://127.0.0.1:{admin_port}")


@contextmanager
def _with_broker(folder: Path, code: Path) -> Iterator[_Collector]:
    """Run a fresh broker and the collector whose packages are in `code`, warmed up.

    FollowedHit, since this broker keeps all in memory: with a gigabyte in it, it alone makes every p99 on its core five
    times as long, nginx's too.
    """
    folder.mkdir()
    port = free_port()
    argv = [sys.executable, "-m", "deploy.local.broker", "--port", str(port)]
    with (
        started(argv, folder=folder, cores=_cores()[1], ready=lambda: _says_ready(folder, "topics hits.raw")),
        _collector(folder / "collector", code, f"127.0.0.1:{port}") as collector,
    ):
        wrk(collector.port, "returning", 1)
        wait_until(collector.settled, "everything forwarded", 60)
        yield collector


@contextmanager
def prepare(options: Options) -> Iterator[Bench]:
    """Start nginx, find half of the collector's capacity; each round of a collector has a broker of its own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        nginx_port = free_port()
        (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, port=nginx_port))
        nginx_path = _program("nginx", "nginx")
        nginx = stack.enter_context(
            started(
                [nginx_path, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")],
                folder=folder,
                cores=_cores()[0],
                ready=lambda: listening(nginx_port),
            )
        )
        compiled = native.compiled(folder / "native")
        numbers = itertools.count()

        def asked(code: Path, visitors: str) -> Figures:
            with _with_broker(folder / f"round-{next(numbers)}", code) as one:
                return _round(one.program, one.port, visitors, options, pause_ms, one.settled)

        # Half of the collector's capacity, as pauses between the requests of each connection, the same for all.
        with _with_broker(folder / "capacity", compiled) as one:
            capacity = wrk(one.port, "returning", options.scaled(3, 1))
        pause_ms = max(1, round(_CONNECTIONS / (capacity.hits / capacity.us * 1e6 / 2) * 1000))
        version = subprocess.run([nginx_path, "-v"], capture_output=True, text=True, check=True).stderr
        floor = "nginx"
        yield Bench(
            title="A pixel hit: nginx empty_gif with its log, and the collector doing everything",
            contestants=(
                Contestant(floor, lambda: _round(nginx, nginx_port, "returning", options, pause_ms, lambda: True)),
                Contestant("collector", lambda: asked(compiled, "returning"), floor=floor),
                Contestant("collector, new visitors", lambda: asked(compiled, "new"), floor="collector"),
                Contestant("collector, interpreted", lambda: asked(native.ROOT, "returning"), floor=floor),
            ),
            facts={
                "nginx": version.strip().rpartition("/")[2],
                "client": f"wrk, {_CONNECTIONS} connections; half load: a pause of {pause_ms} ms between requests",
                "broker": "Tansu (deploy.local.broker), on the client's core, a fresh one each round",
                "collector": "compiled (deploy.native), 1 worker, fsync interval 100 ms, lz4, acks=all",
            },
        )


def _says_ready(folder: Path, words: str) -> bool:
    return any(words in path.read_text(errors="replace") for path in folder.glob("*.log"))
