"""The bench frame: turns, medians, ratios; and each part in miniature, for its form."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from loadtest.bench import frame, native
from loadtest.bench.__main__ import show
from loadtest.report import machine
from tests import needs


def counting(values: list[float], log: list[str], name: str) -> Callable[[], frame.Figures]:
    """Return a round that gives the next of `values` and writes its name into `log`."""
    rest = iter(values)

    def one() -> frame.Figures:
        log.append(name)
        return {"cpu_us": next(rest)}

    return one


def test_contestants_take_turns_and_the_warm_up_does_not_count() -> None:
    log: list[str] = []
    bench = frame.Bench(
        "t",
        (
            frame.Contestant("floor", counting([100, 1, 2, 4], log, "floor")),
            frame.Contestant("ours", counting([900, 3, 8, 8], log, "ours"), floor="floor"),
        ),
    )
    report = frame.take_turns("t", bench, frame.Options(rounds=3), lambda number, name: None)
    assert log == ["floor", "ours"] * 4
    assert [row.median for row in report.rows] == [{"cpu_us": 2}, {"cpu_us": 8}]
    assert report.rows[1].ratio == {"cpu_us": 3}  # of 3, 4, 2: not 8 / 2
    assert report.rows[0].ratio == {}


def test_a_contestant_may_take_part_once() -> None:
    log: list[str] = []
    bench = frame.Bench(
        "t",
        (
            frame.Contestant("floor", counting([2, 3, 4], log, "floor")),
            frame.Contestant("once", counting([6], log, "once"), floor="floor", once=True),
        ),
        warms_up=True,
    )
    report = frame.take_turns("t", bench, frame.Options(rounds=3), lambda number, name: None)
    assert log == ["floor", "once", "floor", "floor"]
    assert report.rows[1].ratio == {"cpu_us": 3}  # against the round that both were in


def test_the_form_is_checked() -> None:
    one = frame.Contestant("a", dict)
    options = frame.Options(rounds=1)
    with pytest.raises(ValueError, match="one name"):
        frame.take_turns("t", frame.Bench("t", (one, one)), options, lambda number, name: None)
    with pytest.raises(ValueError, match="unknown floor"):
        frame.take_turns("t", frame.Bench("t", (frame.Contestant("a", dict, "b"),)), options, lambda n, name: None)
    with pytest.raises(ValueError, match="no part called"):
        frame.load("nonsense")


def test_some_contestants_run_alone_with_their_floors() -> None:
    bench = frame.Bench(
        "t",
        (
            frame.Contestant("floor", counting([2], [], "floor")),
            frame.Contestant("other", counting([], [], "other"), floor="floor"),
            frame.Contestant("ours", counting([3], [], "ours"), floor="floor", bounds=(frame.Bound("cpu_us", 2, 1.2),)),
        ),
        warms_up=True,
    )
    report = frame.take_turns("t", bench, frame.Options(rounds=1, only=("ours",)), lambda number, name: None)
    assert [row.name for row in report.rows] == ["floor", "ours"]
    assert [report.rows[1].measured(bound) for bound in report.rows[1].bounds] == [1.5]
    with pytest.raises(frame.Unknown, match="no contestant called nobody; there are: floor, other, ours"):
        frame.chosen("t", bench, ("nobody",))


def test_a_report_of_many_contestants_is_whole_in_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    figures = {"cpu_us_per_request": 12.5, "half_requests_per_s": 123_456.0}
    names = [f"request of kind {number}, interpreted" for number in range(12)]
    floors = [frame.Contestant(f"nginx {name}", lambda: figures) for name in names]
    bounds = (frame.Bound("cpu_us_per_request", 1.5, 1.2),)
    ours = [frame.Contestant(name, lambda: figures, f"nginx {name}", bounds) for name in names]
    bench = frame.Bench("t", (*floors, *ours, frame.Contestant("alone", lambda: figures)), warms_up=True)
    report = frame.take_turns("t", bench, frame.Options(rounds=1), lambda number, name: None)
    show(report, Console(width=80))
    said = capsys.readouterr().out
    assert "…" not in said
    assert max(map(len, said.splitlines())) <= 80
    assert said.count("123,456") == 12 * 2 + 1  # a floor next to what is compared with it
    assert said.count("aim reached") == 12


def test_kept_code_is_used_only_if_it_is_todays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "ROOT", tmp_path / "today")
    monkeypatch.setenv(native.KEPT, str(tmp_path / "kept"))
    for folder in ("today", "kept"):
        (tmp_path / folder / "sink").mkdir(parents=True)
        (tmp_path / folder / "sink" / "one.py").write_text("A = 1\n")
    assert native.compiled(tmp_path / "new") == tmp_path / "kept"
    (tmp_path / "today" / "sink" / "one.py").write_text("A = 2\n")
    with pytest.raises(frame.Unavailable, match=r"other sources.*one\.py"):
        native.compiled(tmp_path / "new")
    (tmp_path / "kept" / "sink" / "one.py").rename(tmp_path / "kept" / "sink" / "one.so")
    with pytest.raises(frame.Unavailable, match="no sources"):
        native.compiled(tmp_path / "new")


def test_the_machine_is_named_without_its_host() -> None:
    facts = machine.facts()
    assert {"cpu", "cores", "kernel", "python"} <= facts.keys()
    assert all(facts.values())
    assert not {"host", "hostname", "node"} & facts.keys()


@pytest.mark.system
def test_what_cannot_be_compiled_here_is_unavailable_with_the_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(frame.Unavailable, match="apt-get install gcc"):
        native.compiled(tmp_path / "native")


@pytest.mark.system
@pytest.mark.parametrize("part", frame.PARTS)
def test_a_part_runs_in_miniature(part: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "compiled", lambda _: request.getfixturevalue("native"))  # made once for all tests
    try:
        report = frame.run(part, frame.Options(rounds=0, miniature=True))
    except frame.Unavailable as reason:
        needs.missing(str(reason))
    assert report.part == part
    assert report.rows
    for row in report.rows:
        assert row.median
        assert all(value >= 0 for value in row.median.values()), row
    again = msgspec.json.decode(msgspec.json.encode(report), type=frame.Report)
    assert again.rows == report.rows
