"""`python -m tests.enricher.score`: how well agents and hosts are read, on lists that others keep.

Devices, systems and browsers: Matomo's device-detector fixtures of browsers, with our names for theirs in
`score_names.toml`. People: the same fixtures and two more lists, none of which may be flagged as a bot. Bots: three
lists, all of which should be. Hosts and names of sources: Google's and Matomo's lists. `lists/README.md` has the
sources. `--misses WHAT` lists the wrong answers of a score. Longer than most modules, since all scores are one table.
"""

import argparse
import gzip
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

import ua_parser_rs
import yaml
from rich.console import Console
from rich.table import Table

from enricher import tables
from enricher.rules.bots import Bots
from enricher.rules.user_agent import Hints

HERE: Final = Path(__file__).parent
LISTS: Final = HERE / "lists"

Miss = tuple[str, str, str]
"""Expected, got, input."""


class Score(NamedTuple):
    """One line of the table."""

    what: str
    wanted: float
    """Share that must be right."""
    right: int
    of: int
    misses: list[Miss]

    @property
    def share(self) -> float:
        return self.right / self.of


def _inside(package: str, *path: str) -> Path:
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0], *path)


def _fixture_files(every: int) -> Iterable[list[dict[str, Any]]]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    paths = sorted(_inside("device_detector", "tests", "fixtures", "upstream").glob("*.yml"))
    for path in [path for path in paths if path.name != "bots.yml"][::every]:
        yield yaml.load(path.read_bytes(), Loader=loader)


def fixtures(every: int = 1) -> list[dict[str, Any]]:
    """Return device-detector's fixtures of browsers on a known kind of device; of every nth file."""
    return [
        entry
        for entries in _fixture_files(every)
        for entry in entries
        if (entry.get("client") or {}).get("type") == "browser"
        and (entry.get("device") or {}).get("type")
        and entry["user_agent"]
    ]


def listed(name: str) -> list[str]:
    """Return the lines of a list in LISTS, without those in `left_out.toml`."""
    left_out = tomllib.loads((LISTS / "left_out.toml").read_text()).get(name, {})
    lines = gzip.decompress((LISTS / f"{name}.txt.gz").read_bytes()).decode().splitlines()
    if name == "isbot-browsers":
        lines = [line for line in lines if line.startswith(("Mozilla/", "Opera/"))]
    return [line for line in lines if line not in left_out]


def people(every: int = 1) -> dict[str, list[str]]:
    """Return the agents of each list of people."""
    return {
        "device-detector's browsers": [entry["user_agent"] for entry in fixtures(every)],
        "npm user-agents": listed("user-agents"),
        "isbot's browsers": listed("isbot-browsers"),
    }


def programs() -> dict[str, tuple[float, list[str]]]:
    """Return the agents of each list of programs, with the share that must be flagged."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    path = _inside("device_detector", "tests", "fixtures", "upstream", "bots.yml")
    return {
        "isbot's crawlers": (0.90, listed("isbot-crawlers")),
        "device-detector's bots": (
            0.92,
            [entry["user_agent"] for entry in yaml.load(path.read_bytes(), Loader=loader)],
        ),
        "crawler-user-agents": (0.99, [each for entry in tables.crawlers() for each in entry.get("instances", ())]),
    }


def _plain(name: str) -> str:
    return "".join(each for each in name.lower() if each.isalnum())


def device_scores(every: int) -> list[Score]:
    """Read the fixtures of every nth file."""
    names = tomllib.loads((HERE / "score_names.toml").read_text())
    agents = tables.load_user_agents()
    wrong: dict[str, list[Miss]] = {"device": [], "os": [], "browser": []}
    counted: Counter[str] = Counter()
    for entry in fixtures(every):
        text = entry["user_agent"]
        sent = {name.lower(): str(value) for name, value in (entry.get("headers") or {}).items()}
        hints = Hints(sent.get("sec-ch-ua", ""), sent.get("sec-ch-ua-mobile", ""), sent.get("sec-ch-ua-platform", ""))
        agent = agents.parse(text, hints)
        device = names["devices"][entry["device"]["type"]]
        browser = names["browsers"].get(entry["client"]["name"], entry["client"]["name"])
        checks: list[tuple[str, str, bool, str]] = [
            ("device", device, agent.device == device, agent.device),
            ("browser", browser, _plain(agent.browser) == _plain(browser), agent.browser),
        ]
        family = str(entry.get("os_family"))
        if family in names["systems"]:
            checks.append(("os", family, agent.os in names["systems"][family], agent.os))
        for what, expected, right, got in checks:
            counted[what] += 1
            if not right:
                wrong[what].append((expected, got, text))
    labels = {"device": ("device class", 0.97), "os": ("OS family", 0.97), "browser": ("browser family", 0.95)}
    return [Score(*labels[what], counted[what] - len(misses), counted[what], misses) for what, misses in wrong.items()]


def bot_scores(robots: Bots, every: int) -> list[Score]:
    """Ask of each list of people and of programs whether its agents are bots."""
    found = []
    for name, agents in people(every).items():
        misses: list[Miss] = [("", reason, agent) for agent in agents if (reason := robots.reason(agent))]
        found.append(Score(f"people not flagged: {name}", 0.999, len(agents) - len(misses), len(agents), misses))
    for name, (wanted, agents) in programs().items():
        misses = [("bot", "", agent) for agent in agents if not robots.reason(agent)]
        found.append(Score(f"bots flagged: {name}", wanted, len(agents) - len(misses), len(agents), misses))
    return found


def host_scores() -> list[Score]:
    """Ask which kind each host and each source of the lists has."""
    content = tomllib.loads((LISTS / "hosts.toml").read_text())
    referrers = tables.load_referrers(tables.load_hosts())
    campaigns = tables.load_campaigns(referrers)
    found = []
    names: list[Miss] = []
    of_names = 0
    for kind in ("social", "search", "video", "shopping"):
        hosts = content[kind].split()
        kinds = [(host, referrers.classify(f"https://{host}/").kind) for host in hosts]
        misses: list[Miss] = [(kind, got, host) for host, got in kinds if got != kind]
        found.append(Score(f"{kind} hosts", 0.95, len(hosts) - len(misses), len(hosts), misses))
        for name in content["names"][kind].split():
            of_names += 1
            got = referrers.kind_of(campaigns.normal("source", name))
            if got != kind:
                names.append((kind, got, name))
    return [*found, Score("sources by name", 0.95, of_names - len(names), of_names, names)]


def scores(every: int = 1) -> list[Score]:
    """Return all scores; of device-detector's browsers those of every nth file."""
    return [*device_scores(every), *bot_scores(tables.load_bots(), every), *host_scores()]


def patterns_that_match_people(every: int = 1) -> dict[str, str]:
    """Return the patterns of crawler-user-agents, as they are used, that match an agent of people, with that agent."""
    replaced = {each["pattern"]: each.get("instead", "") for each in tables.own("bots")["package_exceptions"]}
    patterns = [entry["pattern"] for entry in tables.crawlers()]
    used = [(pattern, replaced.get(pattern, pattern)) for pattern in patterns]
    matcher = ua_parser_rs.UserAgentExtractor(
        (regex, pattern, None, None, None, None) for pattern, regex in used if regex
    )
    found: dict[str, str] = {}
    for agents in people(every).values():
        for agent in agents:
            if match := matcher.extract(agent):
                found.setdefault(str(match.family), agent)
    return found


def main() -> int:
    """Print the table; return 1 if a score is below what it must be, or a pattern matches people."""
    parser = argparse.ArgumentParser(prog="python -m tests.enricher.score", description=__doc__)
    parser.add_argument("--misses", default="", help="list the misses of the score that begins with this")
    parser.add_argument("--most", type=int, default=40, help="how many of them, by expected and got")
    given = parser.parse_args()
    found = scores()
    table = Table("what", "right", "of", "share", "wanted")
    for score in found:
        table.add_row(score.what, f"{score.right:,}", f"{score.of:,}", f"{score.share:.2%}", f"{score.wanted:.1%}")
    console = Console(width=120)
    console.print(table)
    for score in found:
        if given.misses and score.what.startswith(given.misses):
            examples = {(expected, got): text for expected, got, text in score.misses}
            for (expected, got), count in Counter(miss[:2] for miss in score.misses).most_common(given.most):
                console.print(f"{count:5}  {expected} <> {got or '-'}  {examples[expected, got]}", markup=False)
    patterns = patterns_that_match_people()
    for pattern, agent in patterns.items():
        console.print(f"a pattern of crawler-user-agents matches people: {pattern}  {agent}", markup=False)
    return 0 if all(score.share >= score.wanted for score in found) and not patterns else 1


if __name__ == "__main__":
    sys.exit(main())
