"""The demo's story, and the way it goes through a running system."""

import io
import json
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import pytest
from rich.console import Console
from rich.progress import Progress

from loadtest import demo
from loadtest.check import local_system
from loadtest.traffic import story, story_requests

END = datetime(2026, 11, 1, tzinfo=UTC)
ROOT = Path(__file__).parents[2]


def test_the_story_follows_from_its_seed() -> None:
    told = list(story.month(1, END, visitors=50))
    assert told == list(story.month(1, END, visitors=50))
    assert told != list(story.month(2, END, visitors=50))


def test_the_story_is_a_month_of_everything() -> None:
    told = list(story.month(1, END))
    events = [event for sending in told for event in json.loads(sending.body or "[]")]
    times = [datetime.fromtimestamp(event["time"] / 1000, UTC) for event in events] + [sending.at for sending in told]
    assert min(times) >= END - timedelta(days=story.DAYS, hours=1)
    assert max(times) < END
    names = Counter(event["event"] for event in events)
    assert names["purchase"] > 100
    assert {event.get("currency") for event in events} == {None, "EUR", "USD"}
    assert names["signup"] > 100
    copies = Counter(kind for sending in told for kind in sending.events)
    assert sum(times == 2 for times in copies.values()) > 100  # by the browser and by the server
    assert max(copies.values()) == 2
    assert sum(sending.refused for sending in told) == 3
    assert sum("Googlebot" in sending.user_agent for sending in told) == 150
    seen = [s for s in told if s.target.startswith("/o.gif")]
    assert all(s.events == {("open", dict(parse_qsl(urlsplit(s.target).query))["id"])} for s in seen)
    readers = Counter(sending.user_agent for sending in told if sending.target.startswith("/o.gif"))
    assert len(readers) == 3


def test_months_that_overlap_tell_the_same_days() -> None:
    """Sent a day later, the story adds a day: what both months have is sent with the same ids and the same text."""
    first = set(story.month(1, END))
    later = [s for s in story.month(1, END + timedelta(days=1)) if not s.refused]
    again = [s for s in later if s.at < END - timedelta(hours=1)]
    assert len(again) > 0.9 * len(later)
    assert set(again) <= first
    assert len({s.visitor for s in later} - {s.visitor for s in first}) > 20


class Shown:
    """A ClickHouse client that knows the answers to the demo's questions: ids, one list each time, and clicks."""

    def __init__(self, *ids: Iterable[str], clicks: Iterable[tuple[str, str, int]] = ()) -> None:
        self.left = list(ids)
        self._clicks = list(clicks)

    def query(self, sql: str, parameters: dict[str, str]) -> SimpleNamespace:
        """Answer from what was given."""
        assert parameters["site"] == "demo"
        return SimpleNamespace(result_rows=self._clicks if "'click'" in sql else [(each,) for each in self.left.pop(0)])


def test_only_this_storys_ids_have_arrived() -> None:
    """Rows of other demos and seeds do not count: the demo waits for its own."""
    own, other = ({own_id for s in story.month(seed, END, visitors=50) for _, own_id in s.events} for seed in (1, 2))
    assert min(len(own), len(other)) > 100
    shown = Shown([*other, *own][: len(own)], [*other, *own])
    assert demo.arrived(shown, "demo", own, len(own), Progress(disable=True), settle_s=60) == len(own)
    assert not shown.left


def test_clicks_of_an_earlier_telling_are_left_out_and_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def has_links(url: str, sendings: Sequence[story_requests.StoryRequest]) -> bool:
        return True

    monkeypatch.setattr(demo, "_has_links", has_links)
    system = local_system.System(url="", clickhouse="", admins=(), token="t")
    sendings = list(story.month(1, END))
    clicks = [s for s in sendings if s.leads_to]
    twice = [key for key, times in Counter((s.visitor, s.target) for s in clicks).items() if times > 1]
    again = [s for s in clicks if (s.visitor, s.target) == twice[0]]
    # Of a link that a visitor follows twice the first click was made, the second was not.
    before = sorted({*clicks[:4], again[0]} - {again[1]}, key=clicks.index)
    console = Console(record=True, file=io.StringIO())
    made = Counter((s.visitor, s.target.removeprefix("/c/")) for s in before)
    shown = Shown(clicks=[(*each, times) for each, times in made.items()])
    fitting = demo.fitting(sendings, "demo", system, shown, console)
    assert [s for s in sendings if s.leads_to and s not in fitting] == before
    assert f"Without {len(before)} clicks: an earlier telling made them" in console.export_text()
    assert len(fitting) == len(sendings) - len(before)
    assert demo.fitting(sendings, "demo", system, Shown(), console) == sendings
    assert console.export_text() == ""


def test_every_link_that_the_story_follows_is_in_its_file() -> None:
    listed = tomllib.loads(story.links(END))["links"]
    clicks = [sending for sending in story.month(1, END) if sending.leads_to]
    assert len(clicks) > 200
    for click in clicks:
        link = listed[click.target.removeprefix("/c/")]
        said = dict(parse_qsl(urlsplit(click.leads_to).query))
        assert click.leads_to.startswith(link["to"])
        assert [said[f"utm_{name}"] for name in ("source", "medium", "campaign")] == [
            link[name] for name in ("source", "medium", "campaign")
        ]
        assert UUID(said["_pcl"]).version == 7


def test_the_demo_through_a_system_of_its_own() -> None:
    """It exits 0: all that was accepted is visible, and the collector refused just what the story means it to."""
    run = subprocess.run(
        [sys.executable, "-m", "loadtest", "demo", "--visitors", "120"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "its data goes with it at the end" in " ".join(run.stdout.split())
    assert re.search(r"of which [1-9]\d* clicks and [1-9]\d* second copies; refused 3 \(", run.stdout), run.stdout
    totals = re.search(r"^ *all((?: +[\d,]+)+) *$", run.stdout, re.MULTILINE)
    assert totals, run.stdout
    assert len(totals[1].split()) == 8
    assert len(set(totals[1].split())) == 1
