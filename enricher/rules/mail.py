"""Who opened a mail: a person, a person behind a proxy, a machine that preloads, or a gateway that scans.

Decided by signatures, which are data in `mail.toml`. The SQL view `mail_opens` decides by behaviour (every link of a
mail opened within seconds).
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import ua_parser_rs

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

        If no signature matches, an agent with a `bot_reason` is a scanner, and any other agent is a human's.
        """
        found = self._matcher.extract(user_agent.strip())
        if found and found.family:
            return self._known[int(found.family)]
        return ("scanner", bot_reason) if bot_reason else ("human", "")


def load(table: Mapping[str, Any]) -> Mail:
    """Build the matcher from the content of `mail.toml`."""
    return Mail((rule["pattern"], rule["kind"], rule["name"]) for rule in table["rule"])
