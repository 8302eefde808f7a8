"""A collector under test on the server's core, from given code, with everything on: spool, Kafka, cookies."""

import re
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from loadtest.bench import native
from loadtest.bench.wrk import cores
from loadtest.check.processes import Program, answers, free_port, started
from loadtest.traffic.visitors import Surface

TOKEN: Final = "load-test-token"  # noqa: S105 - it opens a collector of the benchmark's own on 127.0.0.1
SURFACE: Final = Surface(site="bench", token=TOKEN, link_code="bench", page_origin="https://shop.example")
"""What a collector of `collector` knows, for the traffic."""
_SITES: Final = """
[sites.bench]
consent = "assumed"
origins = ["https://shop.example"]
# SHA-256 of TOKEN.
tokens = ["ed594125dda8726f15a6ffb112b0a5ba10fbdd8baf1128932c4a3ee67e70b015"]
"""
_LINKS: Final = """
[links.bench]
site = "bench"
to = "https://shop.example/landing"
"""


class Collector(msgspec.Struct, frozen=True):
    """One that runs."""

    program: Program
    port: int
    admin: str
    """Base URL of its admin port."""

    def sample(self, name: str) -> float:
        """Return the sum of a metric's samples; `name` without the prefix, such as "spool_bytes"."""
        with urllib.request.urlopen(f"{self.admin}/metrics", timeout=10) as answer:  # noqa: S310 - our own admin port
            text = answer.read().decode()
        found = re.findall(rf"^pharos_collector_{name}(?:\{{.*\}})? (\S+)$", text, re.MULTILINE)
        return sum(map(float, found))

    def settled(self) -> bool:
        """Return whether Kafka has all that was accepted."""
        return self.sample("spool_bytes") == 0


def worker(pid: int) -> int:
    """Return the one child of a supervisor, or the process itself."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else pid


@contextmanager
def collector(folder: Path, code: Path, kafka: str, environ: Mapping[str, str] | None = None) -> Iterator[Collector]:
    """Run the collector whose packages are in `code`, its spool in `folder`; `environ` adds to its settings.

    Raises:
        RuntimeError: the worker runs interpreted code where `code` is compiled, or the other way round.
    """
    folder.mkdir(exist_ok=True)
    port, admin_port = free_port(), free_port()
    (folder / "sites.toml").write_text(_SITES)
    (folder / "links.toml").write_text(_LINKS)
    settings = {
        "PHAROS_COLLECTOR_SITES": str(folder / "sites.toml"),
        "PHAROS_COLLECTOR_LINKS": str(folder / "links.toml"),
        "PHAROS_COLLECTOR_SPOOL_DIR": str(folder / "spool"),
        "PHAROS_COLLECTOR_PORT": str(port),
        "PHAROS_COLLECTOR_ADMIN_PORT": str(admin_port),
        "PHAROS_COLLECTOR_KAFKA": kafka,
        "PHAROS_COLLECTOR_GRACE_S": "0",
        **(environ or {}),
    }
    ready = f"http://127.0.0.1:{admin_port}/readyz"
    argv = [sys.executable, "-m", "collector"]
    with started(
        argv, folder=folder, environ=settings, cores=cores()[0], cwd=code, ready=lambda: answers(ready)
    ) as program:
        native.check(worker(program.pid), code)
        yield Collector(program, port, f"http://127.0.0.1:{admin_port}")
