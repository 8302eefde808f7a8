"""What the property tests of the SQL share: how many examples, where their events go, what sums must be."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from tests.sql.reference import Event, Journey
from tests.sql.warehouse import Warehouse
from tests.sql.worlds import FULL, as_enriched

WINDOWS = st.sampled_from(((0, 60), (3, 9), (0, 4)))
"""Days from START: since, until."""

PHASES = tuple(Phase) if FULL else (Phase.explicit, Phase.reuse, Phase.generate)
"""A failing example is made smaller only in a full run: it takes minutes here. The next run tries it first."""

LONG_AGO = [
    Event(event_id=UUID(int=2**127 + number), occurred_at=datetime(2020, 1, 1, tzinfo=UTC), event=name, is_bot=True)
    for number, name in enumerate(("pageview", "purchase", "signup", "cart", "refund"))
]
"""A query about an event name that the site never sent is an error: here each site has each name."""

KEPT = 20
"""Sites that lie side by side before the table is emptied: each insert is a part, and a query opens them all."""

_numbers = itertools.count()
_STALE: Any = {"visitor_id": "stale", "channel": "Stale", "value": 7, "currency": "XXX", "is_bot": False, "kind": "tag"}

# New examples in every run: a fixed few would never change. A failure prints its `@reproduce_failure` line.
thorough = settings(
    max_examples=150 if FULL else 4,  # of several worlds each
    deadline=None,
    phases=PHASES,
    derandomize=False,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


def stored(warehouse: Warehouse, events: Sequence[Event]) -> tuple[str, list[Event]]:
    """Write the events under a site of their own; return the site and the events as written, copies and all.

    Every third is there in an older version too, of another visitor, which no query may see.
    """
    number = next(_numbers)
    if number % KEPT == 0:
        warehouse.empty()
    site = f"world-{number}"
    own = [as_enriched(e, site) for e in [*LONG_AGO, *events]]
    warehouse.insert([replace(e, user_id="", **_STALE) for e in own[::3]], stale=True)
    warehouse.insert(own)
    return site, own


def add_up(rows: list[dict[str, Any]], found: Sequence[Journey]) -> None:
    """Conversions and each currency's value are exact: in Float64, forwards and backwards, to the last bit."""
    for ordered in (rows, rows[::-1]):
        assert sum(row["conversions"] for row in ordered) == len(found)
        for currency in {j.conversion.currency for j in found}:
            own = [j.conversion for j in found if j.conversion.currency == currency]
            for column, values in (("value", [c.value for c in own]), ("gross", [c.gross for c in own])):
                total = sum(row[column] for row in ordered if row["currency"] == currency)
                if min(values) >= 0 and sum(values) < 2**53:  # 900 billion of a currency
                    assert total == sum(values) / 10_000
                else:  # to the last bit of all amounts together, signs left out
                    assert abs(total - sum(values) / 10_000) <= sum(map(abs, values)) / 10_000 * 2**-52
