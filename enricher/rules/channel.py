"""Which channel brought the visitor: GA4's default channel groups, in their documented order, plus "AI Assistants".

The first rule of `channels.toml` that holds gives the channel. Source: Google Analytics help, "Default channel group"
(support.google.com/analytics/answer/9756891).
"""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from enricher.rules.referrer import Kind

UNASSIGNED: Final = "Unassigned"


class Rule(NamedTuple):
    """A rule holds if one of its alternatives does; an alternative holds if each of its conditions does."""

    channel: str
    any_of: tuple["Alternative", ...]


class Alternative(NamedTuple):
    """Conditions; None means "any"."""

    source: re.Pattern[str] | None
    source_kind: frozenset[str] | None
    medium: re.Pattern[str] | None
    campaign: re.Pattern[str] | None


class Channels:
    """The rules, in order."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._rules = rules

    @property
    def names(self) -> set[str]:
        """Every channel that a rule gives, and UNASSIGNED."""
        return {rule.channel for rule in self._rules} | {UNASSIGNED}

    def of(self, source: str, source_kind: Kind, medium: str, campaign: str) -> str:
        """Return the channel of normalised values; `source_kind` is the kind of the source in the referrer tables."""
        found = self.rule_of(source, source_kind, medium, campaign)
        return UNASSIGNED if found is None else found[0].channel

    def rule_of(self, source: str, source_kind: Kind, medium: str, campaign: str) -> "tuple[Rule, Alternative] | None":
        """Return the first rule that holds, and why; None if no rule does."""
        for rule in self._rules:
            for each in rule.any_of:
                if (
                    (each.source is None or each.source.fullmatch(source))
                    and (each.source_kind is None or source_kind in each.source_kind)
                    and (each.medium is None or each.medium.fullmatch(medium))
                    and (each.campaign is None or each.campaign.fullmatch(campaign))
                ):
                    return rule, each
        return None


def load(table: Mapping[str, Any]) -> Channels:
    """Build the rules from the content of `channels.toml`."""
    return Channels(
        tuple(
            Rule(
                rule["channel"],
                tuple(
                    Alternative(
                        _pattern(each, "source"),
                        frozenset(each["source_kind"]) if "source_kind" in each else None,
                        _pattern(each, "medium"),
                        _pattern(each, "campaign"),
                    )
                    for each in rule["any_of"]
                ),
            )
            for rule in table["rule"]
        )
    )


def _pattern(conditions: dict[str, str], name: str) -> re.Pattern[str] | None:
    return re.compile(conditions[name]) if name in conditions else None
