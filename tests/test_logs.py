"""Log lines of every stage: bounded whatever floods, nothing left out unsaid, one line an event in either form."""

import inspect
import json
import logging
import os
import pty
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[1]
STAGES = ("collector", "enricher", "sink")

anything = st.text(st.characters(exclude_categories=())) | st.integers(-(2**63), 2**63 - 1) | st.lists(st.text())
moments = st.lists(
    st.tuples(st.floats(0, 30), st.sampled_from(["disk", "Kafka", "x", "y", "z"])), min_size=1, max_size=400
)


@pytest.fixture(params=STAGES)
def log(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stage's log module, as a process begins with it."""
    found: Any = import_module(f"{request.param}.log")
    monkeypatch.setattr(found, "_limiter", found.Limiter())
    monkeypatch.setattr(found, "_form", found.as_json)
    return found


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    """Return the lines on standard error since the last call."""
    return lambda: capfd.readouterr().err.splitlines()


@pytest.mark.parametrize("stage", STAGES)
@given(moments)
def test_of_each_kind_so_many_lines_a_window_and_every_one_is_accounted_for(
    stage: str, steps: list[tuple[float, str]]
) -> None:
    log: Any = import_module(f"{stage}.log")
    limiter = log.Limiter()
    now = 0.0
    said: list[tuple[float, str]] = []
    asked: Counter[str] = Counter()
    told: Counter[str] = Counter()
    for pause, kind in steps:
        now += pause / 10
        asked[kind] += 1
        left_out = limiter.admit(kind, now)
        if left_out is not None:
            said.append((now, kind))
            told[kind] += 1 + left_out
        for of, count in limiter.owed(now):
            told[of] += count
    for at, kind in said:
        assert sum(1 for other, of in said if of == kind and at <= other < at + log.WINDOW_S) <= 2 * log.MOST
    for of, count in limiter.owed(float("inf")):
        told[of] += count
    assert told == asked


def test_a_flood_of_one_fault_is_a_few_lines_that_say_how_many_more(log: Any, said: Callable[[], list[str]]) -> None:
    for number in range(10_000):
        log.line("error", "fsync failed", problem=str(number))
    log.line("info", "drained")
    assert len(said()) == log.MOST + 1
    log.settle()
    (last,) = map(json.loads, said())
    assert (last["msg"], last["like"], last["left_out"]) == ("lines were left out", "fsync failed", 10_000 - log.MOST)


def test_a_flood_of_ever_new_messages_is_bounded_too(log: Any, said: Callable[[], list[str]]) -> None:
    for number in range(10_000):
        log.line("warning", f"odd thing {number}")
    log.settle()
    lines = said()
    assert len(lines) <= log.KINDS + log.MOST + 1
    assert sum(json.loads(line).get("left_out", 1) for line in lines) == 10_000


@given(st.text(), st.dictionaries(st.from_regex(r"\A[a-z_]{1,8}\Z"), anything))
def test_an_event_is_one_line_in_either_form(msg: str, fields: dict[str, object]) -> None:
    for stage in STAGES:
        log: Any = import_module(f"{stage}.log")
        record = {"at": "2026-11-22T12:00:00.000+00:00", "stage": stage, "level": "info", "msg": msg}
        whole = {**fields, **record}
        assert b"\n" not in log.as_json(dict(whole))
        assert json.loads(log.as_json(dict(whole))) == whole
        assert len(log.as_text(dict(whole)).decode().splitlines()) == 1
        assert set(json.loads(log.as_json({**record, "n": 1}))) == {"at", "stage", "level", "msg", "n"}


def test_text_is_for_people(log: Any) -> None:
    record = {"at": "2026-11-22T12:00:00.000+00:00", "stage": log.STAGE, "level": "warning", "msg": "waiting for Kafka"}
    line = log.as_text({**record, "kafka": "k:9092", "detail": "no route\nto host", "s": 1.5, "where": ["a:1 f"]})
    assert line.decode() == (
        f"2026-11-22T12:00:00.000+00:00 WARNING {log.STAGE}: waiting for Kafka kafka=k:9092 "
        'detail="no route\\nto host" s=1.5 where="[\\"a:1 f\\"]"'
    )


def test_what_libraries_say_comes_as_our_lines_without_its_values(log: Any, said: Callable[[], list[str]]) -> None:
    before = logging.root.handlers[:], logging.root.level, logging.getLogger("aiokafka").level
    try:
        log.take_over_libraries()
        try:
            int("from 203.0.113.9")
        except ValueError:
            logging.getLogger("some.library").exception("cannot read %s", "_pid=secret")
        logging.getLogger("aiokafka.conn").error("Unable connect to %s", "node 1")
    finally:
        logging.root.handlers[:], level, kafka = before
        logging.root.setLevel(level)
        logging.getLogger("aiokafka").setLevel(kafka)
    (line,) = said()
    told = json.loads(line)
    assert (told["level"], told["msg"], told["by"]) == ("error", "cannot read %s", "some.library")
    assert told["problem"] == "ValueError"
    assert "203.0.113.9" not in line
    assert "secret" not in line


@pytest.mark.parametrize(
    ("form", "terminal", "text"),
    [("", True, True), ("", False, False), ("json", True, False), ("text", False, True)],
)
def test_the_form_is_chosen_or_follows_the_terminal(form: str, terminal: bool, text: bool) -> None:
    program = "import sys, sink.log as log; log.use(sys.argv[1] or 'auto'); log.line('info', 'ready')"
    ours, theirs = pty.openpty() if terminal else os.pipe()
    try:
        subprocess.run([sys.executable, "-c", program, form], stderr=theirs, cwd=ROOT, check=True, timeout=60)
        told = os.read(ours, 4096).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert told.startswith("{") != text


@pytest.mark.parametrize("stage", STAGES)
def test_the_setting_is_checked(stage: str) -> None:
    settings: Any = import_module(f"{stage}.settings")
    given_so = {f"PHAROS_{stage.upper()}_LOG": "loud"} | (
        {"PHAROS_COLLECTOR_SITES": "x"} if stage == "collector" else {}
    )
    with pytest.raises(ValueError, match=f"PHAROS_{stage.upper()}_LOG"):
        settings.read(given_so)


@pytest.mark.parametrize(
    "name", ["Limiter", "as_json", "as_text", "use", "line", "settle", "_tell_owed", "_write", "where"]
)
def test_the_stages_share_no_code_and_yet_log_alike(name: str) -> None:
    """Arrows forbid a module of all three: then what is mended in one is mended in the others."""
    assert len({inspect.getsource(getattr(import_module(f"{stage}.log"), name)) for stage in STAGES}) == 1
