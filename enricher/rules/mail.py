"""Who opened a mail: a person, a person behind a proxy, a machine that preloads, or a gateway that scans.

Rule: by signature here, as data in `mail.toml`. What only behaviour shows (every link of a mail opened within
seconds) is the SQL view `mail_opens`'s to say.
"""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

import ua_parser_rs

DATA: Final = Path(__file__).parent / "data" / "mail.toml"

OpenKind = Literal["human", "proxy", "prefetch", "scanner"]


class Mail:
    """The signatures, in order, compiled into one matcher."""

    def __init__(self, rules: Iterable[tuple[str, OpenKind, str]]) -> None:
        listed = list(rules)
        self._known = [(kind, name) for _, kind, name in listed]
        self._matcher = ua_parser_rs.UserAgentExtractor(
            (pattern, str(number), None, None, None, None) for number, (pattern, _, _) in enumerate(listed)
        )

    def opened_by(self, user_agent: str, bot_reason: str) -> tuple[OpenKind, str]:
        """Return the kind of an open and the rule's name.

        Where no signature matches, what is flagged as a bot is a scanner, and everyone else is human.
        """
        found = self._matcher.extract(user_agent.strip())
        if found and found.family:
            return self._known[int(found.family)]
        return ("scanner", bot_reason) if bot_reason else ("human", "")


def load() -> Mail:
    """Read the table."""
    rules = tomllib.loads(DATA.read_text())["rule"]
    return Mail((rule["pattern"], rule["kind"], rule["name"]) for rule in rules)
