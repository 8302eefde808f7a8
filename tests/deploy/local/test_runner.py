"""`make run` as a person has it: one command, a hit, a row; a kill -9 here and there; an end that leaves nothing."""

import asyncio
import fcntl
import os
import pty
import re
import shlex
import signal
import socket
import sys
import termios
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import aiohttp
import psutil
import pytest

from deploy.local import page, settings
from deploy.local.programs import Place
from tests.brokers import ApacheKafka
from tests.clickhouse import ClickHouse
from tests.deploy.local.running import COMMAND, START_S, Local, children, hit
from tests.processes import Program
from tests.waiting import until, until_now

TRAFFIC_S = 60 if os.environ.get("PHAROS_TEST_SCALE") == "full" else 6


@pytest.fixture
def local(tmp_path: Path, start: Callable[..., Program]) -> Local:
    return Local(tmp_path / "var", start, schema=True)


async def kill(program: Program, name: str) -> None:
    """kill -9 one of the runner's processes, and wait until there is another."""
    before = children(program)[name]
    os.kill(before, signal.SIGKILL)
    await until(lambda: children(program).get(name, before) != before, f"a new {name}")


def family(program: Program) -> list[psutil.Process]:
    return psutil.Process(program.pid).children(recursive=True)


def shell_line(output: str, name: str) -> list[str]:
    """Return the banner's line as the shell would take it apart."""
    line = re.search(rf"^  {name} +(.*)$", output, re.MULTILINE)
    assert line is not None, output
    return shlex.split(line.group(1))


async def test_a_hit_becomes_a_row_whatever_dies(local: Local) -> None:
    """The banner's lines work; each program, killed under load, comes back; nothing that was accepted is missing."""
    program = await local.up()
    *_, pixel = shell_line(program.output(), "Try")
    _, clickhouse, _, sql = shell_line(program.output(), "Then")
    async with aiohttp.ClientSession() as http:
        async with http.get(pixel) as answer:
            assert (answer.status, answer.headers["X-Pharos"]) == (200, "accepted")

        async def row() -> str:
            async with http.post(clickhouse, data=sql) as found:
                text = await found.text()
                return text if "Organic Video" in text else ""

        await until(row, "the row of the curl line")
        async with http.get(local.env["PHAROS_LOCAL_PAGE_PORT"].join(["http://localhost:", "/"])) as shown:
            assert page.SNIPPET.split("$collector")[1].split('"')[0] in await shown.text()

        sent = asyncio.create_task(_traffic(http, local.collector, seconds=TRAFFIC_S))
        for name in ("collector", "enricher", "sink"):
            await kill(program, name)
        accepted = await sent
        assert accepted > TRAFFIC_S * 40

        async def all_there() -> bool:
            return await local.events(http) >= accepted + 1

        await until(all_there, f"{accepted + 1} events", 90)
        assert await local.events(http) == accepted + 1

        # Hits that are on their way when the end comes are stored before it.
        late = [await hit(http, local.collector, f"late-{number}") for number in range(50)]
        members = family(program)
        assert await asyncio.to_thread(program.terminate, 60) == 0, program.output()
        assert not [one for one in members if one.is_running()]

        # The embedded broker keeps all in memory: killed, it comes back empty, and what it had is sent again.
        again = await local.up()
        before = await local.events(http)
        assert before == accepted + 1 + sum(late)
        first = [await hit(http, local.collector, f"before-{number}") for number in range(20)]
        await kill(again, "broker")
        after = [await hit(http, local.collector, f"after-{number}") for number in range(20)]
        assert all(first + after)

        async def none_lost() -> bool:
            return await local.events(http) == before + 40

        await until(none_lost, "40 more events", 90)
        members = family(again)
        again.signal(signal.SIGKILL)
        await until(
            lambda: not [one for one in members if one.is_running()], "the end of all that a killed runner started"
        )


async def _traffic(http: aiohttp.ClientSession, collector: str, seconds: float) -> int:
    """Send some 200 hits/s; return how many were accepted. What got no answer was perhaps taken, and is sent again."""
    clock = asyncio.get_running_loop().time
    begun, number, accepted = clock(), 0, 0
    while clock() - begun < seconds:
        due = int((clock() - begun) * 200)
        while number < due:
            if await hit(http, collector, f"load-{number}"):
                accepted += 1
                number += 1
            else:
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.01)
    return accepted


async def test_real_parts_take_the_place_of_embedded_ones(
    local: Local, apache_kafka: ApacheKafka, clickhouse: ClickHouse
) -> None:
    """With a Kafka and a ClickHouse of one's own the runner makes the topics there and starts the stages alone."""
    env = {"PHAROS_LOCAL_KAFKA": apache_kafka.bootstrap, "PHAROS_LOCAL_CLICKHOUSE": clickhouse.url}
    program = await local.up(**env)
    assert set(children(program)) == {"collector", "enricher", "sink"}
    _, _, _, sql = shell_line(program.output(), "Then")
    async with aiohttp.ClientSession() as http:
        page = f"https://demo.example/{program.pid}"
        async with http.get(f"{local.collector}/p.gif", params={"s": "demo", "u": page}) as answer:
            assert answer.headers["X-Pharos"] == "accepted"

        async def row() -> bool:
            async with http.post(clickhouse.url, data=sql) as found:
                return page in await found.text()

        await until(row, "the row")
    assert await asyncio.to_thread(program.terminate, 60) == 0, program.output()


PARENT = """
import signal, subprocess, sys
def interrupted(*_): print("the parent was interrupted")
signal.signal(signal.SIGINT, interrupted)
print("code", subprocess.call(sys.argv[1:]))
"""


async def test_ctrl_c_on_a_terminal_is_the_runners_alone(local: Local) -> None:
    """`make` before us would turn it into exit code 130."""
    control, terminal = pty.openpty()
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, *COMMAND,
        env=os.environ | local.env, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(terminal)
    said = bytearray()

    def listen() -> None:
        with suppress(OSError):  # the terminal's last owner has gone
            said.extend(os.read(control, 65536))

    loop = asyncio.get_running_loop()
    loop.add_reader(control, listen)
    try:
        await until(lambda: b"hits/s" in said, "the status line", START_S)
        os.write(control, b"\x03")
        async with asyncio.timeout(START_S):
            assert await child.wait() == 0
        listen()
    finally:
        loop.remove_reader(control)
        os.close(control)
    assert b"draining" in said
    assert b"code 0" in said
    assert b"interrupted" not in said


class TestRefusals:
    """One line that names what is wrong, and exit code 2."""

    def refused(self, program: Program) -> str:
        assert program.wait(START_S) == 2
        (line,) = program.output().splitlines()
        return line

    def test_a_busy_port(self, local: Local) -> None:
        with socket.create_server(("127.0.0.1", 0)) as busy:
            port = busy.getsockname()[1]
            said = self.refused(local.launch(PHAROS_LOCAL_SINK_ADMIN_PORT=str(port)))
        assert said == f"port {port} on 127.0.0.1 is taken (PHAROS_LOCAL_SINK_ADMIN_PORT chooses another)"

    def test_a_folder_that_cannot_be(self, local: Local, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        said = self.refused(local.launch(PHAROS_LOCAL_DIR=str(tmp_path / "file/var")))
        assert said == f"{tmp_path}/file/var: Not a directory (PHAROS_LOCAL_DIR chooses another folder)"

    def test_a_second_runner_on_one_folder(self, local: Local, tmp_path: Path, start: Callable[..., Program]) -> None:
        first = local.launch()
        until_now(lambda: children(first) or not first.running, "the first runner's children: then it has the lock")
        assert first.running, first.output()
        said = self.refused(Local(tmp_path / "var", start).launch())
        assert said == f"{tmp_path}/var: another `make run` uses this folder (PHAROS_LOCAL_DIR)"

    def test_a_stage_that_refuses_its_settings(self, local: Local) -> None:
        assert "PHAROS_ENRICHER_NOPE" in self.refused(local.launch(PHAROS_ENRICHER_NOPE="1"))

    def test_an_unknown_variable(self, local: Local) -> None:
        assert self.refused(local.launch(PHAROS_LOCAL_NOPE="1")) == "PHAROS_LOCAL_NOPE: there is no such setting"


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"PHAROS_LOCAL_KAFKA_PORT": "x"}, "PHAROS_LOCAL_KAFKA_PORT: "),
        ({"PHAROS_LOCAL_KAFKA_PORT": "70000"}, "PHAROS_LOCAL_KAFKA_PORT: "),
        ({"PHAROS_COLLECTOR_PORT": "1"}, "set PHAROS_LOCAL_COLLECTOR_PORT instead"),
        ({"PHAROS_LOCAL_CLICKHOUSE": "localhost"}, "PHAROS_LOCAL_CLICKHOUSE: "),
        ({"PHAROS_LOCAL_SITES": "/nowhere"}, "PHAROS_LOCAL_SITES: "),
    ],
)
def test_wrong_settings_are_named(environ: Mapping[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as refused:
        settings.read(environ)
    assert "\n" not in str(refused.value)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    chosen = settings.read({"PHAROS_LOCAL_CLICKHOUSE": "https://reader:geheim@db.example:8443/"})
    return Place(chosen, tmp_path, {"collector_port": 8080, "page_port": 8088})


def test_a_password_is_never_shown(place: Place) -> None:
    assert "geheim" not in page.sql_curl(place)
    assert page.sql_curl(place).startswith("curl https://db.example:8443/ --user ")
