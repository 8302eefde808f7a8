"""Hosts that cannot reach each other: nothing is lost, nothing is doubled, and all is back within a minute."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import needs
from tests.brokers import kafka_jars
from tests.clickhouse import copy_schema
from tests.processes import Program

_ROOT = Path(__file__).parents[2]
FULL = ["--all"] if os.environ.get("PHAROS_TEST_SCALE") == "full" else []


@pytest.mark.timeout(900)
def test_cuts_between_hosts_lose_and_double_nothing(start: Callable[..., Program], tmp_path: Path) -> None:
    unshare = needs.program("unshare", "util-linux")
    needs.program("ip", "iproute2")
    copy_schema(tmp_path / "hosts/data")
    kafka_jars()  # the hosts have no way out to fetch them: where this test was the first to need them, it failed
    command = [
        unshare,
        "--net",
        "--mount",
        sys.executable,
        "-m",
        "tests.faults.partitions",
        str(tmp_path / "hosts"),
        *FULL,
    ]
    program = start(command, cwd=_ROOT)
    assert program.wait(850) == 0, program.output()[-8000:]
    print(program.output())
