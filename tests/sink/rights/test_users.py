"""ClickHouse with a user and a password: others are refused; the sink stops clearly and logs no secret."""

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sink import clickhouse
from sink.settings import read
from tests.clickhouse import ClickHouse
from tests.ports import free_port
from tests.processes import Program
from tests.sink.rows import row

ROOT = Path(__file__).parents[3]
PASSWORD = "s3cret of the sink"
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    """An endpoint of its own, whose user wants a password."""
    found = ClickHouse(tmp_path_factory.mktemp("guarded"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHAROS_LOCAL_CLICKHOUSE_PASSWORD", PASSWORD)
        found.start()
    yield found
    found.kill()


@pytest.fixture(params=["PASSWORD", "PASSWORD_FILE", "URL"])
def known(request: pytest.FixtureRequest, guarded: ClickHouse, tmp_path: Path) -> dict[str, str]:
    """The sink's settings, the password given in each of the ways that there are."""
    url = guarded.url
    if request.param == "URL":
        quoted = PASSWORD.replace(" ", "%20")
        return {"PHAROS_SINK_CLICKHOUSE": url.replace("//", f"//default:{quoted}@")}
    given = {"PHAROS_SINK_CLICKHOUSE": url, "PHAROS_SINK_CLICKHOUSE_USER": "default"}
    if request.param == "PASSWORD":
        return given | {"PHAROS_SINK_CLICKHOUSE_PASSWORD": PASSWORD}
    (tmp_path / "password").write_text(PASSWORD + "\n")
    return given | {"PHAROS_SINK_CLICKHOUSE_PASSWORD_FILE": str(tmp_path / "password")}


async def test_the_sink_migrates_and_inserts_as_its_user(known: dict[str, str], start: Callable[..., Program]) -> None:
    program = start([sys.executable, "-m", "sink", "migrate"], env=known, cwd=ROOT)
    assert program.wait(60) == 0, program.output()
    assert PASSWORD not in program.output()
    connection = await clickhouse.connect(read(known))
    try:
        before = int((await connection.query("SELECT count() FROM pharos.event_log")).result_rows[0][0])
        await clickhouse.insert(connection, row(next(NUMBERS)), None)
        after = int((await connection.query("SELECT count() FROM pharos.event_log")).result_rows[0][0])
    finally:
        await connection.close()
    assert after == before + 1


@pytest.mark.parametrize(
    ("user", "password"), [("default", "wrong s3cret"), ("default", ""), ("nobody", PASSWORD)], ids=str
)
@pytest.mark.parametrize("command", [[], ["migrate"]], ids=["run", "migrate"])
def test_another_password_stops_it_with_one_line(
    user: str, password: str, command: list[str], guarded: ClickHouse, tmp_path: Path, start: Callable[..., Program]
) -> None:
    (tmp_path / "password").write_text(password)
    env = {
        "PHAROS_SINK_CLICKHOUSE": guarded.url,
        "PHAROS_SINK_CLICKHOUSE_USER": user,
        "PHAROS_SINK_CLICKHOUSE_PASSWORD_FILE": str(tmp_path / "password"),
        "PHAROS_SINK_KAFKA": f"127.0.0.1:{free_port()}",
        "PHAROS_SINK_ADMIN_PORT": str(free_port()),
    }
    program = start([sys.executable, "-m", "sink", *command], env=env, cwd=ROOT)
    assert program.wait(60) == 1, program.output()
    output = program.output()
    assert "s3cret" not in output
    (line,) = [line for line in output.splitlines() if "stopped" in line]
    assert "Authentication failed" in line
    assert "Traceback" not in output
