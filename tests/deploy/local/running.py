"""A `make run` for tests: on free ports, in a folder of its own."""

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import aiohttp
import psutil

from deploy.local import settings
from tests.clickhouse import copy_schema
from tests.ports import free_port
from tests.processes import Program
from tests.waiting import until

COMMAND = [sys.executable, "-m", "deploy.local"]
ROOT = Path(__file__).parents[3]
START_S = 120


class Local:
    """A `make run` on ports of its own."""

    def __init__(self, folder: Path, start: Callable[..., Program], *, schema: bool = False) -> None:
        """`schema`: it begins with our tables; else with an empty folder."""
        if schema:
            copy_schema(folder / "clickhouse")
        names = [name for name in settings.Settings.__struct_fields__ if name.endswith("_port")]
        self.env = {settings.variable(name): str(free_port()) for name in names}
        self.env["PHAROS_LOCAL_DIR"] = str(folder)
        self._start = start
        self.collector = f"http://localhost:{self.env['PHAROS_LOCAL_COLLECTOR_PORT']}"
        self.clickhouse = f"http://localhost:{self.env['PHAROS_LOCAL_CLICKHOUSE_PORT']}"

    def launch(self, **env: str) -> Program:
        return self._start(COMMAND, env=self.env | env, cwd=ROOT)

    async def up(self, **env: str) -> Program:
        program = self.launch(**env)
        await until(lambda: "Data, logs" in program.output() or not program.running, "the banner", START_S)
        assert program.running, program.output()
        return program

    async def events(self, http: aiohttp.ClientSession) -> int:
        async with http.post(self.clickhouse, data="SELECT count() FROM pharos.events") as answer:
            assert answer.status == 200, await answer.text()
            return int(await answer.text())


def children(program: Program) -> dict[str, int]:
    """Return the pid of each process the runner started, by what it runs."""
    found = {}
    for child in psutil.Process(program.pid).children():
        with suppress(psutil.NoSuchProcess, IndexError):  # a zombie has no command line
            found[child.cmdline()[2].removeprefix("deploy.local.")] = child.pid
    return found


async def hit(http: aiohttp.ClientSession, collector: str, name: str) -> bool:
    """Send one hit with an id of its own; return whether it was accepted."""
    try:
        async with http.get(
            f"{collector}/p.gif", params={"s": "demo", "id": name, "u": "https://demo.example/"}
        ) as got:
            return got.headers.get("X-Pharos") == "accepted"
    except aiohttp.ClientError:
        return False
