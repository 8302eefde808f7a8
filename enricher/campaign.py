"""Which campaign an address names: UTM fields as sent, click ids, and what both mean.

Rule: raw and normalised side by side. A field is taken from the first name that `campaigns.toml` lists for it, then
from the click id of the first network that it lists.
"""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, cast

from enricher.personal import mask_email
from enricher.url import Pairs, decode_form

DATA: Final = Path(__file__).parent / "data" / "campaigns.toml"

FIELDS: Final = (
    "source",
    "medium",
    "campaign",
    "term",
    "content",
    "id",
    "source_platform",
    "creative_format",
    "marketing_tactic",
)
_LONGEST: Final = 512
"""Characters of a value that are kept."""


class Campaign(NamedTuple):
    """What an address says; empty means "silent"."""

    utm: "Utm"
    """Raw values in the order of FIELDS."""
    click_id_name: str
    click_id: str
    source: str
    """Normalised; of the click id where UTM is silent."""
    medium: str
    campaign: str


Utm = tuple[str, str, str, str, str, str, str, str, str]

SILENT: Final = Campaign(("", "", "", "", "", "", "", "", ""), "", "", "", "", "")


class ClickId(NamedTuple):
    """What a network's click id implies."""

    rank: int
    source: str
    medium: str


class Campaigns:
    """The tables. Answers are pure."""

    def __init__(
        self,
        names: dict[str, tuple[int, int]],
        click_ids: dict[str, ClickId],
        aliases: dict[str, dict[str, str]],
        name_of: Callable[[str], str],
    ) -> None:
        self._names = names
        self._click_ids = click_ids
        self._aliases = aliases
        self._name_of = name_of
        self._known = frozenset(names) | frozenset(click_ids)

    def read(self, params: Pairs) -> Campaign:
        """Read the campaign that `params` (decoded once) name; of a name given twice the first value stands."""
        utm: list[str] = [""] * len(FIELDS)
        rank: list[int] = [1 << 30] * len(FIELDS)
        clicked: ClickId | None = None
        clicked_name = clicked_value = ""
        for name, value in params:
            name = name.lower()
            if name not in self._known or not value:
                continue
            value = tidy(value)
            if not value:
                continue
            place = self._names.get(name)
            if place is not None:
                field, order = place
                if order < rank[field]:
                    utm[field], rank[field] = value, order
                continue
            click = self._click_ids[name]
            if clicked is None or click.rank < clicked.rank:
                clicked, clicked_name, clicked_value = click, name, value
        if clicked is None and not any(utm):
            return SILENT
        source = self.normal("source", utm[0]) or (clicked.source if clicked else "")
        medium = self.normal("medium", utm[1]) or (clicked.medium if clicked else "")
        campaign = self.normal("campaign", utm[2] or utm[5])
        return Campaign(cast(Utm, tuple(utm)), clicked_name, clicked_value, source, medium, campaign)

    def named_in(self, params: Pairs) -> bool:
        """Tell whether `params` hold any name of the tables."""
        return any(name.lower() in self._known for name, _ in params)

    def normal(self, field: str, raw: str) -> str:
        """Return the value trimmed, in lower case, and by the name that the table prefers."""
        plain = " ".join(raw.lower().split())
        known = self._aliases.get(field, {}).get(plain)
        if known is None:
            return self._name_of(plain) if field == "source" else plain
        return known


def tidy(value: str) -> str:
    """Return a decoded value as it is stored: decoded again where it was encoded twice, masked, bounded."""
    if "%" in value:
        value = decode_form(value)
    value = "".join(each for each in value if each.isprintable()) if not value.isprintable() else value
    return mask_email(value.strip())[:_LONGEST]


def load(name_of: Callable[[str], str]) -> Campaigns:
    """Read the tables; `name_of` gives the name of a source that is a known host."""
    table = tomllib.loads(DATA.read_text())
    names: dict[str, tuple[int, int]] = {}
    for field, listed in table["fields"].items():
        for order, name in enumerate(listed):
            names[name] = (FIELDS.index(field), order)
    click_ids = {
        row["name"]: ClickId(rank, row.get("source", ""), row.get("medium", ""))
        for rank, row in enumerate(table["click_id"])
    }
    aliases = {
        field: {alias: name for name, listed in entries.items() for alias in listed}
        for field, entries in table["aliases"].items()
    }
    return Campaigns(names, click_ids, aliases, name_of)
