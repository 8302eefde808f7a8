"""Who opened a mail: a person, a person behind a proxy, a machine that preloads, or a gateway that scans.

Rule: by signature here, as data in `mail.toml`. What only behaviour shows (every link of a mail opened within
seconds) is the SQL view `mail_opens`'s to say.
"""

import re
import tomllib
from pathlib import Path
from typing import Final, Literal, NamedTuple

DATA: Final = Path(__file__).parent / "data" / "mail.toml"

OpenKind = Literal["human", "proxy", "prefetch", "scanner"]


class Rule(NamedTuple):
    """One signature."""

    pattern: re.Pattern[str]
    kind: OpenKind
    name: str


class Mail:
    """The signatures, in order."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._rules = rules

    def opened_by(self, user_agent: str, bot_reason: str) -> tuple[OpenKind, str]:
        """Return the kind of an open and the rule's name.

        Where no signature matches, what is flagged as a bot is a scanner, and everyone else is human.
        """
        agent = user_agent.strip()
        for rule in self._rules:
            if rule.pattern.search(agent):
                return rule.kind, rule.name
        return ("scanner", bot_reason) if bot_reason else ("human", "")


def load() -> Mail:
    """Read the table."""
    table = tomllib.loads(DATA.read_text())
    return Mail(tuple(Rule(re.compile(row["pattern"]), row["kind"], row["name"]) for row in table["rule"]))
