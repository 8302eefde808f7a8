"""What the property tests of the SQL share: how many examples, where their events go, what sums must be."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from tests.sql.reference import Event, Journey
from tests.sql.warehouse import Warehouse
from tests.sql.worlds import FULL

WINDOWS = st.sampled_from(((0, 60), (3, 9), (0, 4)))
"""Days from START: since, until."""

PHASES = tuple(Phase) if FULL else (Phase.explicit, Phase.generate)
"""A failing example is made smaller only in a full run: it takes minutes here."""

_numbers = itertools.count()
_STALE: Any = {"visitor_id": "stale", "channel": "Stale", "value": 7, "currency": "XXX", "is_bot": False, "kind": "tag"}

thorough = settings(
    max_examples=40 if FULL else 8,  # of several worlds each
    deadline=None,
    phases=PHASES,
    derandomize=not FULL,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


def stored(warehouse: Warehouse, events: Sequence[Event]) -> tuple[str, list[Event]]:
    """Write the events under a site of their own; return the site and the events as written.

    Every third is there in an older version too, of another visitor, which nobody may see.
    """
    site = f"world-{next(_numbers)}"
    own = [replace(e, site=site) for e in events]
    warehouse.insert([replace(e, user_id="", **_STALE) for e in own[::3]], [1] * len(own[::3]))
    warehouse.insert(own, [2] * len(own))
    return site, own


def add_up(rows: list[dict[str, Any]], found: Sequence[Journey]) -> None:
    """Conversions and each currency's value are exact: in Float64, forwards and backwards, to the last bit."""
    for ordered in (rows, rows[::-1]):
        assert sum(row["conversions"] for row in ordered) == len(found)
        for currency in {j.conversion.currency for j in found}:
            total = sum(j.conversion.value for j in found if j.conversion.currency == currency)
            assert sum(row["value"] for row in ordered if row["currency"] == currency) == total / 10_000
