"""The demo's story, and the way it goes through a running system."""

import json
import re
import subprocess
import sys
import tomllib
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from loadtest import story

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
    readers = Counter(sending.user_agent for sending in told if sending.target.startswith("/o.gif"))
    assert len(readers) == 3


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
    assert re.search(r"of which [1-9]\d* clicks and [1-9]\d* second copies; refused 3 \(", run.stdout), run.stdout
    totals = re.search(r"^ *all((?: +[\d,]+)+) *$", run.stdout, re.MULTILINE)
    assert totals, run.stdout
    assert len(totals[1].split()) == 8
    assert len(set(totals[1].split())) == 1
