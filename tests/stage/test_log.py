"""Log lines of every stage: bounded in a flood, omissions are counted, one line per event in either form."""

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

from stage import log

ROOT = Path(__file__).parents[2]
STAGES = ("collector", "enricher", "sink")

anything = st.text(st.characters(exclude_categories=())) | st.integers(-(2**63), 2**63 - 1) | st.lists(st.text())
moments = st.lists(
    st.tuples(st.floats(0, 30), st.sampled_from(["disk", "Kafka", "x", "y", "z"])), min_size=1, max_size=400
)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the log up as in a new process."""
    monkeypatch.setattr(log, "_limiter", log.Limiter())
    monkeypatch.setattr(log, "_stage", "sink")
    monkeypatch.setattr(log, "_form", log.as_json)


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    """Return the lines on standard error since the last call."""
    return lambda: capfd.readouterr().err.splitlines()


@given(moments)
def test_each_kind_has_a_bounded_number_of_lines_per_window_and_every_line_is_counted(
    steps: list[tuple[float, str]],
) -> None:
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


def test_a_flood_of_one_fault_is_a_few_lines_that_say_how_many_more(said: Callable[[], list[str]]) -> None:
    for number in range(10_000):
        log.line("error", "fsync failed", problem=str(number))
    log.line("info", "drained")
    assert len(said()) == log.MOST + 1
    log.settle()
    (last,) = map(json.loads, said())
    assert (last["msg"], last["like"], last["left_out"]) == ("lines were left out", "fsync failed", 10_000 - log.MOST)


def test_a_flood_of_ever_new_messages_is_bounded_too(said: Callable[[], list[str]]) -> None:
    for number in range(10_000):
        log.line("warning", f"odd thing {number}")
    log.settle()
    lines = said()
    assert len(lines) <= log.KINDS + log.MOST + 1
    assert sum(json.loads(line).get("left_out", 1) for line in lines) == 10_000


@given(st.text(), st.dictionaries(st.from_regex(r"\A[a-z_]{1,8}\Z"), anything))
def test_an_event_is_one_line_in_either_form(msg: str, fields: dict[str, object]) -> None:
    record = {"at": "2026-11-22T12:00:00.000+00:00", "stage": "sink", "level": "info", "msg": msg}
    whole = {**fields, **record}
    assert b"\n" not in log.as_json(dict(whole))
    assert json.loads(log.as_json(dict(whole))) == whole
    assert len(log.as_text(dict(whole)).decode().splitlines()) == 1
    assert set(json.loads(log.as_json({**record, "n": 1}))) == {"at", "stage", "level", "msg", "n"}


def test_text_is_for_people() -> None:
    record = {"at": "2026-11-22T12:00:00.000+00:00", "stage": "sink", "level": "warning", "msg": "waiting for Kafka"}
    line = log.as_text({**record, "kafka": "k:9092", "detail": "no route\nto host", "s": 1.5, "where": ["a:1 f"]})
    assert line.decode() == (
        "2026-11-22T12:00:00.000+00:00 WARNING sink: waiting for Kafka kafka=k:9092 "
        'detail="no route\\nto host" s=1.5 where="[\\"a:1 f\\"]"'
    )


def test_what_libraries_say_comes_as_our_lines_without_its_values(said: Callable[[], list[str]]) -> None:
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
    program = "import sys; from stage import log; log.start('sink', sys.argv[1] or 'auto'); log.line('info', 'ready')"
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


def test_a_malformed_request_is_no_line(said: Callable[[], list[str]]) -> None:
    handler = log._Lines()

    class Malformed(Exception):
        code = 400

    def logged(by: str, problem: Exception) -> list[str]:
        handler.emit(
            logging.LogRecord(by, logging.ERROR, "", 0, "Error handling request", None, (Malformed, problem, None))
        )
        return said()

    assert logged("aiohttp.server", Malformed()) == []
    assert len(logged("some.library", Malformed())) == 1
    Malformed.code = 500
    assert len(logged("aiohttp.server", Malformed())) == 1
