"""What figures depend on: version, processor, cores, memory, kernel, versions of packages."""

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Final

import psutil

from stage.version import VERSION

VERSIONS_OF: Final = (
    "uvloop",
    "aiohttp",
    "aiokafka",
    "msgspec",
    "chdb",
    "clickhouse-connect",
    "ua-parser-rs",
)


def facts() -> dict[str, str]:
    """Return what the figures depend on: our version, processor, cores, memory, kernel, versions. No host name."""
    cpu = platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        cpu = models[0] if models else cpu
    found = {
        "pharos": VERSION,
        "cpu": cpu,
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }
    for package in VERSIONS_OF:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
