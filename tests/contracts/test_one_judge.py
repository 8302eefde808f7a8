"""One judge: what the collector accepts becomes a row, and both ends name the same fields as unusable."""

import random
from functools import cache
from typing import Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.contract import Hit, decode
from collector.policy import sites
from collector.policy.client import NO_CLIENT
from collector.policy.cookies import NONE
from collector.policy.ids import Ids
from collector.policy.outcome import Outcome, Outcomes, Sent
from collector.policy.ruleset import Ruleset
from enricher import tables
from enricher.contract import Event, decode_row
from enricher.row.enrich import Enricher
from enricher.rules.sent_fields import Refusal
from tests.collector import scale
from tests.contracts import events
from tests.contracts.events import NOW_MS

SITES: Final = sites.parse(b'[sites.demo]\nconsent = "assumed"\nmax_value = 99999999999999\n')
EXAMPLES: Final = 500
"""Events of one seed."""
SENT: Final = Sent(NO_CLIENT, b',"referer":"https://shop.example/page"', NONE, "203.0.113.9")


@cache
def enrichers() -> tuple[Enricher, Enricher]:
    return tables.load_enricher(), tables.load_enricher(remember=False)


def outcome_of(rng: random.Random, outcomes: Outcomes) -> tuple[str | bytes, Outcome]:
    """Send one random event by a random route; return what was sent and what became of it."""
    route = rng.choice(("pixel", "pixel", "open", "tag", "tag", "server"))
    sent: str | bytes
    match route:
        case "tag":
            sent = events.body(events.event(rng, server=False))
            return sent, outcomes.post(sent, "", SENT)
        case "server":
            sent = events.body(events.event(rng, server=True))
            return sent, outcomes.server_post(sent, "", SITES)
        case _:
            sent = events.query(rng)
            return sent, outcomes.pixel("pixel" if route == "pixel" else "open", sent, SENT)


def row_of(hit: Hit, sent: str | bytes) -> Event:
    """Return the row of a hit, which is the same with caches and without."""
    rows = [enricher.enrich(hit) for enricher in enrichers()]
    assert not isinstance(rows[0], Refusal), sent
    assert rows[0] == rows[1], sent
    return decode_row(rows[0])


@settings(
    max_examples=scale.of(small=2_000, full=100_000) // EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck)
)
@given(st.integers(0, 2**64 - 1))
def test_what_is_accepted_becomes_a_row_that_names_the_same_dropped_fields(seed: int) -> None:
    rng = random.Random(seed)
    outcomes = Outcomes(Ruleset(SITES), Ids(rng.randbytes))
    outcomes.tick(NOW_MS)
    refused = 0
    for _ in range(EXAMPLES):
        sent, outcome = outcome_of(rng, outcomes)
        (verdict,) = outcome.verdicts
        if verdict.refusal is not None:
            assert verdict.refusal in {"bad_event", "bad_id", "bad_time"}, sent
            assert outcome.records == []
            refused += 1
            continue
        row = row_of(decode(outcome.records[-1]), sent)
        assert {each.field for each in outcome.dropped} == set(row.dropped), sent
        assert row.event, sent
        assert -72 * 3600 <= float(row.occurred_at) - float(row.received_at) <= 300, sent
        for suppression in outcome.records[:-1]:
            assert row_of(decode(suppression), sent).event == "consent"
    assert refused < EXAMPLES / 2, "most events are to be accepted"
