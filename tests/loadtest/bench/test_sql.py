"""The options of the part sql: sizes, a folder that is used again, only some contestants; progress."""

from pathlib import Path

import msgspec
import pytest

from loadtest.bench import frame
from loadtest.bench.__main__ import main
from loadtest.bench.sql import events
from loadtest.bench.sql.tables import EVERY_S, Part, Progress, Table

ROWS = 2_000
ASKED = ("realtime, 0.002 M rows", "any answer, 0.002 M rows", "closed days, 0.002 M rows")


def test_progress_shows_what_is_done_and_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("loadtest.bench.sql.tables.time.monotonic", lambda: clock[0])
    lines: list[str] = []
    progress = Progress("filling", 40_000, "rows", lines.append)
    for seconds, rows in ((1, 10_000), (EVERY_S, 10_000), (1, 30_000), (2, 40_000)):
        clock[0] += seconds
        progress.at(rows)
    assert lines == [
        "filling: 10,000 of 40,000 rows in 6 s, 18 s left",
        "filling: 40,000 of 40,000 rows in 9 s, 0 s left",
    ]


@pytest.mark.parametrize("option", ["--events=999", "--history-events=999", "--events=-1"])
def test_a_table_too_small_for_every_kind_of_event_is_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["sql", option])
    assert "at least 1,000" in capsys.readouterr().err


def _run(capsys: pytest.CaptureFixture[str], folder: Path, *only: str) -> tuple[dict[str, frame.Row], str]:
    asked = [word for name in only for word in ("--only", name)]
    argv = ["sql", "--miniature", "--json", f"--events={ROWS}", f"--folder={folder}", *asked]
    assert main(argv) == 0
    out, news = capsys.readouterr()
    return {row.name: row for row in msgspec.json.decode(out, type=frame.Report).rows}, news


@pytest.mark.system
def test_a_kept_table_is_asked_again_and_others_are_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "kept"
    first, news = _run(capsys, folder, *ASKED)
    assert first.keys() == set(ASKED)
    assert [path.name for path in folder.iterdir()] == [f"{ROWS}-events"], "no table that no contestant asks"
    assert f"filling {ROWS}-events: {ROWS:,} of {ROWS:,} rows" in news
    assert f"closing {ROWS}-events: " in news

    again, news = _run(capsys, folder, *ASKED)
    assert "filling" not in news
    closed = "closed days, 0.002 M rows"
    assert again[closed].median["cpu_us_per_row"] == first[closed].median["cpu_us_per_row"] > 0
    assert again[closed].median["closed_to_event_log"] > 0
    bounds = {(bound.figure, bound.most, bound.aim) for row in again.values() for bound in row.bounds}
    assert bounds == {("cpu_s", 0.05, 0.02), ("peak_mb", 2048, 1024), ("closed_to_event_log", 0.25, 0.12)}
    assert all(row.measured(bound) for row in again.values() for bound in row.bounds)

    table = Table(folder / f"{ROWS}-events", [Part(ROWS)])
    table.make()
    try:
        visitor = f"visitor_id = {events.visitor_of(ROWS // 8, ROWS)}"
        table.engine.run(f"SELECT throwIf(count() = 0) FROM pharos.events WHERE {visitor}")
    finally:
        table.close()

    (folder / f"{ROWS}-events").rename(folder / f"{ROWS + 1}-events")
    with pytest.raises(frame.Unavailable, match="other events"):
        Table(folder / f"{ROWS + 1}-events", [Part(ROWS + 1)]).make()
    (folder / f"{ROWS + 1}-events" / "made.json").unlink()
    with pytest.raises(frame.Unavailable, match="not finished"):
        Table(folder / f"{ROWS + 1}-events", [Part(ROWS)]).make()


def test_an_unknown_contestant_is_named_before_anything_is_made(tmp_path: Path) -> None:
    options = frame.Options(rounds=0, miniature=True, only=("nothing",), folder=str(tmp_path / "none"))
    with pytest.raises(frame.Unknown, match="no contestant called nothing"):
        frame.run("sql", options)
    assert not list(tmp_path.iterdir())
