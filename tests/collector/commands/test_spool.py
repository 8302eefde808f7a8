"""`python -m collector spool`: lists, prints and checks; only reads."""

import io
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from collector.commands import spool as spool_command
from collector.contract import Hit, decode, encode
from collector.spool import acknowledged
from collector.spool.disk import segment_name
from collector.spool.inventory import Limits
from collector.spool.spool import Spool


def hits(count: int) -> list[bytes]:
    return [encode(Hit(id=f"{number:032x}", at=number, kind="pixel", site="demo")) for number in range(count)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    spool = Spool(tmp_path / "0", Limits(most_bytes=1 << 20, segment_bytes=4096))
    ends = [spool.append([payload])[-1].end for payload in hits(200)]
    spool.acknowledge(ends[120])
    spool.sweep()
    spool.close()
    return tmp_path


def test_list_adds_up(folder: Path) -> None:
    out = io.StringIO()
    assert spool_command.list_segments(folder, out, json=True, now=2e9) == 0
    *rows, total = map(orjson.loads, out.getvalue().splitlines())
    size = sum(path.stat().st_size for path in folder.glob("0/*.seg"))
    assert total["total"]["bytes"] == sum(row["bytes"] for row in rows) == size
    assert 0 < total["total"]["unsent_bytes"] < size
    assert total["total"]["oldest_unsent_s"] > 0
    told = acknowledged.read(folder / "0/mark")
    assert total["total"]["marks"] == {"0": f"{told.segment}:{told.offset}"}
    out = io.StringIO()
    spool_command.list_segments(folder, out, json=False, now=2e9)
    assert f" {told.segment}:{told.offset} mark" in out.getvalue()


def test_cat_prints_what_kafka_lacks(folder: Path) -> None:
    out = io.BytesIO()
    assert spool_command.cat(folder, out, unsent=True) == 0
    assert [decode(line).at for line in out.getvalue().splitlines()] == list(range(121, 200))


def test_verify_finds_damage_and_records_that_are_no_hits(folder: Path) -> None:
    out = io.StringIO()
    assert spool_command.verify(folder, out) == 0
    newest = max(folder.glob("0/*.seg"))
    text = bytearray(newest.read_bytes())
    text[30] ^= 1
    newest.write_bytes(text)
    assert spool_command.verify(folder, out) == 1
    assert f"{newest.name}: 1 damaged" in out.getvalue()
    spool = Spool(folder / "1", Limits(most_bytes=1 << 20))
    spool.append([b"no hit"])
    spool.close()
    spool_command.verify(folder, out)
    assert f"{segment_name(1)}: 0 damaged stretches, 0 bytes; 1 records that are not hits" in out.getvalue()


def test_a_reader_that_has_enough_is_no_error(folder: Path) -> None:
    spool = Spool(folder / "7", Limits(most_bytes=1 << 24))
    spool.append(hits(5000))
    spool.close()
    argv = [sys.executable, "-m", "collector", "spool", "--dir", str(folder), "cat"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        decode(program.stdout.readline())
        program.stdout.close()
        assert program.stderr.read() == b""
    assert program.returncode == 0


def test_the_command_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert spool_command.main([], str(folder)) == 0
    assert "segments" in capsys.readouterr().out
    assert spool_command.main(["verify"], str(folder)) == 0
    assert spool_command.main(["--dir", str(folder / "none"), "list"], "x") == 2
    assert "none" in capsys.readouterr().err
    for argv in (
        ["list", "--dir", str(folder)],
        ["--dir", str(folder), "list"],
        ["--dir", "none", "list", "--dir", str(folder)],
    ):
        assert spool_command.main(argv, "none") == 0
    for command in ("list", "cat", "verify"):
        assert spool_command.main([command, "--dir", str(folder / "none")], str(folder)) == 2
    assert spool_command.main(["burn"], str(folder)) == 2
