"""`python -m tests.enricher.score`: how well user agents are read, on fixtures that others keep.

Devices, systems and browsers: Matomo's device-detector fixtures of browsers, with our names for theirs in
`score_names.toml`. Bots: the instances of crawler-user-agents, all of which must be flagged, and the same fixtures of
people, none of which should be. `--misses WHAT` lists what is wrong.
"""

import argparse
import json
import sys
import tomllib
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml
from rich.console import Console
from rich.table import Table

from enricher import tables
from enricher.rules.user_agent import Hints

HERE: Final = Path(__file__).parent


class Score(NamedTuple):
    """One line of the table."""

    what: str
    wanted: float
    """Share that must be right."""
    right: int
    of: int
    misses: list[tuple[str, str, str]]
    """Expected, got, user agent."""

    @property
    def share(self) -> float:
        return self.right / self.of


def _inside(package: str, *path: str) -> Path:
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0], *path)


def fixtures(every: int = 1) -> list[dict[str, Any]]:
    """Return device-detector's fixtures of browsers on a known kind of device; of every nth file."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [
        entry
        for path in sorted(_inside("device_detector", "tests", "fixtures", "upstream").glob("*.yml"))[::every]
        for entry in yaml.load(path.read_bytes(), Loader=loader)
        if (entry.get("client") or {}).get("type") == "browser" and (entry.get("device") or {}).get("type")
    ]


def _plain(name: str) -> str:
    return "".join(each for each in name.lower() if each.isalnum())


def scores(every: int = 1) -> list[Score]:
    """Judge the fixtures of every nth file."""
    names = tomllib.loads((HERE / "score_names.toml").read_text())
    agents, robots = tables.load_user_agents(), tables.load_bots()
    people = fixtures(every)
    wrong: dict[str, list[tuple[str, str, str]]] = {"device": [], "os": [], "browser": [], "person": []}
    counted: Counter[str] = Counter()
    for entry in people:
        text = entry["user_agent"]
        sent = {name.lower(): str(value) for name, value in (entry.get("headers") or {}).items()}
        hints = Hints(sent.get("sec-ch-ua", ""), sent.get("sec-ch-ua-mobile", ""), sent.get("sec-ch-ua-platform", ""))
        agent = agents.parse(text, hints)
        device = names["devices"][entry["device"]["type"]]
        browser = names["browsers"].get(entry["client"]["name"], entry["client"]["name"])
        checks = [
            ("device", device, agent.device == device, agent.device),
            ("browser", browser, _plain(agent.browser) == _plain(browser), agent.browser),
            ("person", "", robots.reason(text) == "", robots.reason(text)),
        ]
        family = str(entry.get("os_family"))
        if family in names["systems"]:
            checks.append(("os", family, agent.os in names["systems"][family], agent.os))
        for what, expected, right, got in checks:
            counted[what] += 1
            if not right:
                wrong[what].append((expected, got, text))
    listed = json.loads(_inside("crawleruseragents", "crawler-user-agents.json").read_bytes())
    instances = [instance for entry in listed for instance in entry.get("instances", ())]
    unseen = [("bot", "", instance) for instance in instances if not robots.reason(instance)]
    wanted = {"device": 0.93, "os": 0.97, "browser": 0.95, "person": 0.995}
    told = {
        "device": "device class",
        "os": "OS family",
        "browser": "browser family",
        "person": "people not flagged as bots",
    }
    result = [
        Score(told[what], wanted[what], counted[what] - len(misses), counted[what], misses)
        for what, misses in wrong.items()
    ]
    return [*result, Score("bots flagged", 0.99, len(instances) - len(unseen), len(instances), unseen)]


def main() -> int:
    """Print the table; 1 where a score is below what it must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.enricher.score", description=__doc__)
    parser.add_argument("--misses", default="", help="list the misses of the score that begins with this")
    parser.add_argument("--most", type=int, default=40, help="how many of them, by expected and got")
    given = parser.parse_args()
    found = scores()
    table = Table("what", "right", "of", "share", "wanted")
    for score in found:
        table.add_row(score.what, f"{score.right:,}", f"{score.of:,}", f"{score.share:.2%}", f"{score.wanted:.1%}")
    console = Console()
    console.print(table)
    for score in found:
        if given.misses and score.what.startswith(given.misses):
            examples = {(expected, got): agent for expected, got, agent in score.misses}
            for (expected, got), count in Counter(miss[:2] for miss in score.misses).most_common(given.most):
                console.print(f"{count:5}  {expected} <> {got or '-'}  {examples[expected, got]}", markup=False)
    return 0 if all(score.share >= score.wanted for score in found) else 1


if __name__ == "__main__":
    sys.exit(main())
