"""Whether a program sent the hit, and which. Such hits are flagged, never dropped.

The names are those of the package `crawler-user-agents`; `bots.toml` has more. An agent that no browser sends is a
bot too. The first pattern that matches gives the name.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import ua_parser_rs

EMPTY: Final = "empty"
HEADLESS: Final = "headless browser"
_HEADLESS: Final = re.compile("headless|lighthouse", re.IGNORECASE)
ABSURD: Final = "absurd"
NO_BROWSER: Final = "no browser"
"""Not a browser's: too short, too long, without letters, an unfilled template, or a language's default agent."""

_LONGEST: Final = 1500
_WORD: Final = re.compile(r"[A-Za-z]{3}")
_PERSON: Final = "-"
"""Name of the patterns that exempt an agent."""


class Bots:
    """The patterns, compiled into one matcher, which returns the first that matches."""

    def __init__(self, named: Iterable[tuple[str, str]]) -> None:
        self._named = ua_parser_rs.UserAgentExtractor(
            (pattern, name, None, None, None, None) for pattern, name in named
        )

    def reason(self, user_agent: str, brands: str = "") -> str:
        """Return the bot's name or the rule that flags the sender; empty if a person's browser may have sent it.

        `brands` is `Sec-CH-UA`: a program that hides behind a browser's agent may forget to hide there.
        """
        reason = self._by_agent(user_agent)
        return HEADLESS if not reason and brands and _HEADLESS.search(brands) else reason

    def _by_agent(self, user_agent: str) -> str:
        agent = user_agent.strip()
        if not agent:
            return EMPTY
        if len(agent) > _LONGEST:
            return ABSURD
        if found := self._named.extract(agent):
            return "" if found.family == _PERSON else found.family or ABSURD
        return NO_BROWSER if _WORD.search(agent) else ABSURD


def _name(pattern: str) -> str:
    """Make a name of a pattern: "Googlebot\\/" gives "Googlebot", "[cC]laude[bB]ot" gives "ClaudeBot"."""
    plain = re.sub(r"\[(\w+)\]", lambda letters: letters[1][-1], pattern.split("|", maxsplit=1)[0])
    plain = re.sub(r"\(\?[a-z:=!]*|\\b|\[[^\]]*\]|[\^$()?*+]", "", plain)
    return re.sub(r"\\(.)", r"\1", plain).strip(" /;:.,-_")[:64] or pattern[:64]


def _any_of(patterns: Iterable[str]) -> str:
    """Return one pattern for several: the matcher then reads an agent once for all of them."""
    return "|".join(f"(?:{pattern})" for pattern in patterns)


def load(table: Mapping[str, Any], listed: Iterable[Mapping[str, Any]]) -> Bots:
    """Build the matcher from the content of `bots.toml` and of the package's list."""
    replaced = {each["pattern"]: each.get("instead", "") for each in table["package_exceptions"]}
    named = [(pattern, _PERSON) for pattern in table["exempt"]]
    named += [(rule["pattern"], rule["name"]) for rule in table["first"]]
    for entry in listed:
        pattern = entry["pattern"]
        used = replaced.get(pattern, pattern)
        if used:
            named.append((used, _name(pattern)))
    for name, rules in groupby(table["mark"], key=itemgetter("name")):
        named.append((_any_of(rule["pattern"] for rule in rules), name))
    named.append((_any_of(table["browser"]), _PERSON))
    return Bots(named)
