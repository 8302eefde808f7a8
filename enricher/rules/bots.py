"""Whether a program sent the hit, and how we know: flagged, never dropped.

Rule: the names come from the package `crawler-user-agents`, what it lacks from `bots.toml`; an agent that no browser
sends is a bot whatever it is called. The first table that knows an agent names it.
"""

import json
import re
import tomllib
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import ua_parser_rs

DATA: Final = Path(__file__).parent / "data" / "bots.toml"

EMPTY: Final = "empty"
ABSURD: Final = "absurd"
"""No browser's: too short, too long, no letters, a template left open, or a language's default agent."""

_SHORTEST: Final = 12
_LONGEST: Final = 1500
_WORD: Final = re.compile(r"[A-Za-z]{3}")
_PERSON: Final = "-"
"""Name of the patterns that exempt."""


class Bots:
    """The patterns, compiled into one matcher, which answers with the first that holds."""

    def __init__(self, named: Iterable[tuple[str, str]]) -> None:
        self._named = ua_parser_rs.UserAgentExtractor(
            (pattern, name, None, None, None, None) for pattern, name in named
        )

    def reason(self, user_agent: str) -> str:
        """Return the bot's name, or the rule that flags `user_agent`; empty for what looks like a person's browser."""
        agent = user_agent.strip()
        if not agent:
            return EMPTY
        if found := self._named.extract(agent[:_LONGEST]):
            return "" if found.family == _PERSON else found.family or ABSURD
        if len(agent) < _SHORTEST or len(agent) > _LONGEST or not _WORD.search(agent):
            return ABSURD
        return ""


def _name(pattern: str) -> str:
    """Make a name of a pattern: "Googlebot\\/" gives "Googlebot", "[cC]laude[bB]ot" gives "ClaudeBot"."""
    plain = re.sub(r"\[(\w+)\]", lambda letters: letters[1][-1], pattern.split("|", maxsplit=1)[0])
    plain = re.sub(r"\(\?[a-z:=!]*|\\b|\[[^\]]*\]|[\^$()?*+]", "", plain)
    return re.sub(r"\\(.)", r"\1", plain).strip(" /;:.,-_")[:64] or pattern[:64]


def load() -> Bots:
    """Read both tables."""
    ours = tomllib.loads(DATA.read_text())
    spec = find_spec("crawleruseragents")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("package crawler-user-agents is not installed")
    listed = json.loads((Path(spec.submodule_search_locations[0]) / "crawler-user-agents.json").read_bytes())
    named = [(pattern, _PERSON) for pattern in ours["exempt"]]
    named += [(rule["pattern"], rule["name"]) for rule in ours["first"]]
    named += [(entry["pattern"], _name(entry["pattern"])) for entry in listed]
    named += [(rule["pattern"], rule["name"]) for rule in ours["last"]]
    return Bots(named)
