"""Which campaign an address names: UTM fields as sent, click ids, and normalised source, medium and campaign.

A field is taken from the first parameter that `campaigns.toml` lists for it. If no parameter gives source or medium,
they are taken from the first of the contract's networks that the address names.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from collector.contract.click_ids import NETWORKS
from enricher.rules.redaction import mask_email, mask_parameters
from enricher.rules.url import Pairs, decode

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
    """The campaign of an address; an empty field is not named."""

    utm: "Utm"
    """Raw values in the order of FIELDS."""
    click_id_name: str
    click_id: str
    source: str
    """Normalised; the network's if no parameter names it."""
    medium: str
    campaign: str
    """Normalised; the campaign's id if it has no name."""


Utm = tuple[str, str, str, str, str, str, str, str, str]

NO_CAMPAIGN: Final = Campaign(("", "", "", "", "", "", "", "", ""), "", "", "", "", "")


class Network(NamedTuple):
    """What a parameter implies that a network adds to its links."""

    rank: int
    source: str
    """Empty if the parameter's value is the source, or if the source is not known."""
    medium: str
    identifies: bool
    """The value is a click's id; else the parameter implies the network only."""


class Campaigns:
    """The parameters and networks of `campaigns.toml`."""

    def __init__(
        self,
        names: dict[str, tuple[int, int]],
        networks: dict[str, Network],
        aliases: dict[str, dict[str, str]],
        name_of: Callable[[str], str],
    ) -> None:
        self._names = names
        self._networks = networks
        self._aliases = aliases
        self._name_of = name_of
        self._known = frozenset(names) | frozenset(networks)

    def read(self, params: Pairs) -> Campaign:
        """Return the campaign that `params` (decoded once) name; of a name given twice the first value counts."""
        utm: list[str] = [""] * len(FIELDS)
        rank: list[int] = [1 << 30] * len(FIELDS)
        network: Network | None = None
        network_value = ""
        clicked: Network | None = None
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
            implied = self._networks.get(name)
            if implied is None:
                continue
            if network is None or implied.rank < network.rank:
                network, network_value = implied, value
            if implied.identifies and (clicked is None or implied.rank < clicked.rank):
                clicked, clicked_name, clicked_value = implied, name, value
        if network is None and not any(utm):
            return NO_CAMPAIGN
        source, medium = self.normal("source", utm[0]), self.normal("medium", utm[1])
        if network is not None:
            by_value = "" if network.identifies else self.normal("source", network_value)
            source = source or network.source or by_value
            medium = medium or network.medium
        campaign = self.normal("campaign", utm[2] or utm[5])
        return tuple.__new__(Campaign, (tuple(utm), clicked_name, clicked_value, source, medium, campaign))

    def known(self, params: Pairs) -> Pairs:
        """Return the parameters that are in the tables, with their values as they are stored, in the order sent."""
        return tuple((name, tidy(value)) for name, value in params if name.lower() in self._known and value)

    def named_in(self, params: Pairs) -> bool:
        """Return whether `params` contain a name of the tables."""
        return any(name.lower() in self._known for name, _ in params)

    def normal(self, field: str, raw: str) -> str:
        """Return the value trimmed, in lower case, and under the name that the table prefers."""
        plain = " ".join(raw.lower().split())
        known = self._aliases.get(field, {}).get(plain)
        if known is None:
            return self._name_of(plain) if field == "source" else plain
        return known


def tidy(value: str) -> str:
    """Return a decoded value as it is stored: decoded again where it was encoded twice, masked, bounded."""
    if "%" in value:
        value = decode(value)  # not as a form the second time: a plus that is still there was encoded, so it is a plus
    value = "".join(each for each in value if each.isprintable()) if not value.isprintable() else value
    if "=" in value:  # an address, or a pair, with a secret in it
        value = mask_parameters(value)
    return mask_email(value.strip())[:_LONGEST]


def load(table: Mapping[str, Any], name_of: Callable[[str], str]) -> Campaigns:
    """Build the tables from the content of `campaigns.toml`; `name_of` names a source that is a known host."""
    names: dict[str, tuple[int, int]] = {}
    for field, listed in table["fields"].items():
        for order, name in enumerate(listed):
            names[name] = (FIELDS.index(field), order)
    networks = {row.name: Network(rank, row.source, row.medium, row.identifies) for rank, row in enumerate(NETWORKS)}
    aliases = {
        field: {alias: name for name, listed in entries.items() for alias in listed}
        for field, entries in table["aliases"].items()
    }
    return Campaigns(names, networks, aliases, name_of)
