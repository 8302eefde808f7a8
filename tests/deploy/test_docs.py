"""What README and docs name is there: files they link to, targets of make, variables."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]

_LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
_TARGET = re.compile(r"(?:`|^)make ([a-z-]+)\b", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    missing = [link for link in _LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_is_one(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(_TARGET.findall(page.read_text())) <= targets


@pytest.mark.parametrize("name", ["bug", "idea", "config"])
def test_github_would_take_the_issue_templates(name: str) -> None:
    schema = "vendor.github-issue-config" if name == "config" else "vendor.github-issue-forms"
    command = [str(BIN / "check-jsonschema"), "--builtin-schema", schema, f".github/ISSUE_TEMPLATE/{name}.yml"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def _rows(text: str) -> dict[str, list[str]]:
    """Return the rows of the tables in `text`, by their first cell."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return {row[0]: row[1:] for row in cells}


def _number(text: str) -> float:
    return float(text.split()[0].replace(",", ""))


def test_the_sizing_follows_from_what_a_hit_costs() -> None:
    """docs/operations.md: change the costs, and this says which cells of the next table are to follow, and to what."""
    text = (ROOT / "docs/operations.md").read_text().partition("## Sizing")[2].partition("What the formulae")[0]
    first, _, second = text.partition("Cores:")
    cost = {name: _number(row[0]) for name, row in _rows(first).items() if row[0][0].isdigit()}
    told = _rows(second)

    def cores(name: str) -> Callable[[float], float]:
        return lambda rate: rate * cost[name] / 1e6 * 2

    day = 86_400
    work: dict[str, Callable[[float], float]] = {
        "hits a day": lambda rate: rate * day / 1e9,
        "cores: collector, pixels": cores("collector, pixel"),
        "cores: collector, if one in ten is a post": lambda rate: (
            0.9 * cores("collector, pixel")(rate) + 0.1 * cores("collector, JSON post")(rate)
        ),
        "cores: enricher": cores("enricher"),
        "cores: sink": cores("sink"),
        "cores: ClickHouse, inserts alone": cores("ClickHouse, insert"),
        "network in": lambda rate: rate * cost["network in, with headers"] * 8 / 1e6,
        "spool for an hour without Kafka": lambda rate: rate * cost["spool"] * 3600 / 1e9,
        "Kafka: `hits.raw` 7 days, `hits.enriched` 3, three copies": lambda rate: (
            rate * day * 3 * (7 * cost["`hits.raw`"] + 3 * cost["`hits.enriched`"]) / 1e12
        ),
        "ClickHouse: 90 days, two copies": lambda rate: rate * day * 90 * 2 * cost["ClickHouse"] / 1e12,
    }
    assert set(work) == set(told) - {"", "---"}
    for name, of in work.items():
        for rate, cell in zip((1e4, 1e5, 1e6), told[name], strict=True):
            assert f"{_number(cell):.2g}" == f"{of(rate):.2g}", f"{name} at {rate:,.0f} hits/s: {of(rate):.2g}"


def test_the_spools_of_the_hosts_that_are_left_hold_the_hour() -> None:
    """docs/operations.md, Sizing: the bound of one host, by what an hour needs and how many hosts there are."""
    text = (ROOT / "docs/operations.md").read_text().partition("## Sizing")[2]
    told = _rows(text)
    (bound,) = (row for name, row in told.items() if "SPOOL_BYTES" in name)
    (hosts,) = (row for name, row in told.items() if name.startswith("collector hosts"))
    cost = _number(told["spool"][0])
    for rate, cell, host in zip((1e4, 1e5, 1e6), bound, hosts, strict=True):
        hour = rate * cost * 3600 / 1e9
        assert f"{_number(cell):.2g}" == f"{hour / (_number(host) - 1):.2g}"
    minutes = (4 << 30) / (5_000 * cost) / 60
    assert f"holds 5,000 hits/s for {minutes:.0f} minutes" in text
