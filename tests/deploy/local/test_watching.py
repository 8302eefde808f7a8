"""The status line of `make run`: it fits a terminal, counts events, and names the last refusal's reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.policy.refusal import Refusal
from deploy.local.watching import WIDTH, Seen, by_label, last_reason, line, total

METRICS = """\
# TYPE hits counter
hits_total{site="a",result="accepted"} 5
hits_total{site="b",result="accepted"} 2
hits_total{site="a",result="bad_event"} 1
"""


def test_samples_are_added_up_by_a_label() -> None:
    assert by_label(METRICS, "hits_total", "result") == {"accepted": 7, "bad_event": 1}
    assert total(METRICS, "hits_total") == 8
    assert total(METRICS, "no_such_total") == 0


@pytest.mark.parametrize(
    ("before", "now", "reason"),
    [
        (Seen(), {}, ""),
        (Seen(), {"bad_event": 3.0, "origin": 1.0}, "bad_event"),
        (Seen(refused={"bad_event": 3.0}, reason="bad_event"), {"bad_event": 3.0, "origin": 1.0}, "origin"),
        (Seen(refused={"bad_event": 3.0}, reason="bad_event"), {"bad_event": 3.0}, "bad_event"),
        (Seen(refused={"bad_event": 9.0}, reason="bad_event"), {"origin": 1.0}, "origin"),  # a restarted collector
        (Seen(refused=None, reason="origin"), {}, "origin"),
    ],
)
def test_the_last_reason_is_the_one_that_rose(before: Seen, now: dict[str, float], reason: str) -> None:
    assert last_reason(before, now) == reason


def test_the_line() -> None:
    seen = Seen(
        accepted=25,
        events=6896,
        refused={"bad_event": 2.0, "origin": 1.0},
        reason="bad_event",
        spool_bytes=2048,
        enricher_lag=12345,
        sink_lag=0,
    )
    assert line(seen, Seen(accepted=10), 2) == ("7.5 hits/s · 6.9k events · 3 refused (bad_event) · lag 2 KiB + 12.3k")
    quiet = Seen(accepted=25, events=25, refused={}, spool_bytes=0, enricher_lag=0, sink_lag=0)
    assert line(quiet, quiet, 1) == "0 hits/s · 25 events · 0 refused · lag: spool 0 B, enricher 0, sink 0"
    assert line(Seen(), Seen(), 1) == "- hits/s · - events · - refused · lag: spool -, enricher -, sink -"


NUMBERS = st.none() | st.floats(0, 1e11) | st.integers(0, 10**11)


@given(NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.sampled_from(["", *(each.value for each in Refusal)]))
def test_it_fits_the_terminal(
    accepted: float | None,
    events: float | None,
    spool: float | None,
    enricher: float | None,
    sink: float | None,
    reason: str,
) -> None:
    seen = Seen(
        accepted=accepted,
        events=None if events is None else int(events),
        refused={"bad_event": accepted or 0},
        reason=reason,
        spool_bytes=spool,
        enricher_lag=enricher,
        sink_lag=sink,
    )
    assert len(line(seen, Seen(accepted=0), 1)) <= WIDTH
