"""The demo's story, and the way it goes through a running system."""

import json
import re
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from loadtest import story

END = datetime(2026, 11, 1, tzinfo=UTC)
ROOT = Path(__file__).parents[2]


def test_the_story_follows_from_its_seed() -> None:
    told = list(story.month(1, END, visitors=50))
    assert told == list(story.month(1, END, visitors=50))
    assert told != list(story.month(2, END, visitors=50))


def test_the_story_is_a_month_of_everything() -> None:
    told = list(story.month(1, END))
    events = [event for sending in told if sending.body for event in json.loads(sending.body)]
    times = [datetime.fromtimestamp(event["time"] / 1000, UTC) for event in events] + [sending.at for sending in told]
    assert min(times) >= END - timedelta(days=story.DAYS, hours=1)
    assert max(times) < END
    names = Counter(event["event"] for event in events)
    assert names["purchase"] > 100
    assert {event.get("currency") for event in events} == {None, "EUR", "USD"}
    assert names["signup"] > 100
    assert len({event["id"] for event in events}) == len(events)
    assert sum(sending.refused for sending in told) == 3
    assert sum("Googlebot" in sending.user_agent for sending in told) == 150
    readers = Counter(sending.user_agent for sending in told if sending.target.startswith("/o.gif"))
    assert len(readers) == 3


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
    assert re.search(r"refused 3 \(", run.stdout), run.stdout
    totals = re.search(r"^ *all((?: +[\d,]+)+) *$", run.stdout, re.MULTILINE)
    assert totals, run.stdout
    assert len(totals[1].split()) == 8
    assert len(set(totals[1].split())) == 1
