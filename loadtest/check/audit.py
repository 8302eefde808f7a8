"""What was promised against what is stored: every hit answered 2xx must be there, once; nothing refused may be.

`compare` is pure; `settle` waits for the pipeline behind the collector to come to rest before it.
"""

import time
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from loadtest.check.stored_hits import Store, StoreUnavailable
from loadtest.drive import verdict
from loadtest.traffic.request_template import hit_id

EXAMPLES: Final = 20


class Audit(msgspec.Struct, kw_only=True):
    """The verdict, in hits."""

    sent: int
    accepted: int
    """Answered with success and `accepted`."""
    stored: int = 0
    """Of the accepted, those visible."""
    missing: int = 0
    """Accepted, but not visible: lost."""
    doubled: int = 0
    """Visible more than once."""
    unknown: int = 0
    """Visible, but never sent."""
    refused: int = 0
    """Refused as expected."""
    wrongly_refused: int = 0
    wrongly_accepted: int = 0
    refused_but_stored: int = 0
    """Answered with a refusal or an error status, and stored all the same."""
    failed: int = 0
    """Answered with a status such as 503."""
    unanswered: int = 0
    """The connection broke or the time ran out: stored or not, both are right."""
    unanswered_stored: int = 0
    repeats: int = 0
    """Rows in the storage beyond the first of each event, before ClickHouse merges them away: at-least-once at work."""
    settled_s: float = 0.0
    """How long after the last answer the last event came."""
    examples: list[str] = []
    """The first few hits with which something is wrong: id, what, when it was sent."""

    def faults(self) -> list[str]:
        """Return what must not be, in words; empty when the audit is clean."""
        kinds = {
            "accepted but missing": self.missing,
            "doubled": self.doubled,
            "stored but never sent": self.unknown,
            "refused but stored": self.refused_but_stored,
            "wrongly refused": self.wrongly_refused,
            "wrongly accepted": self.wrongly_accepted,
        }
        return [f"{count:,} {name}" for name, count in kinds.items() if count]


def compare(
    run: str,
    outcomes: Sequence[bytes],
    rows: Iterable[tuple[int, int]],
    log_rows: Iterable[tuple[int, int]] = (),
    moment_of: Callable[[int, int], float] = lambda sender, number: 0.0,
) -> Audit:
    """Return the audit of a run: for each sender one byte a hit, against (sender, number) of every row stored."""
    audit = Audit(
        sent=sum(map(len, outcomes)),
        accepted=sum(each.count(verdict.ACCEPTED) for each in outcomes),
        refused=sum(each.count(verdict.REFUSED) for each in outcomes),
        wrongly_refused=sum(each.count(verdict.WRONGLY_REFUSED) for each in outcomes),
        wrongly_accepted=sum(each.count(verdict.WRONGLY_ACCEPTED) for each in outcomes),
        failed=sum(each.count(verdict.FAILED) for each in outcomes),
        unanswered=sum(each.count(verdict.UNANSWERED) for each in outcomes),
    )
    counts = [array("H", bytes(2 * len(each))) for each in outcomes]

    def note(index: int, number: int, what: str) -> None:
        if len(audit.examples) < EXAMPLES:
            moment = moment_of(index, number)
            audit.examples.append(f"{hit_id(run, index, number)} {what}, sent at {moment:.1f} s")

    for index, number in rows:
        if index < len(counts) and number < len(counts[index]):
            counts[index][number] += 1
        else:
            audit.unknown += 1
            note(index, number, "stored but never sent")
    for index, (each, count) in enumerate(zip(outcomes, counts, strict=True)):
        for number, (outcome, times) in enumerate(zip(each, count, strict=True)):
            if times == 1 and outcome == verdict.ACCEPTED:
                audit.stored += 1
            elif times > 1:
                audit.doubled += 1
                audit.stored += outcome == verdict.ACCEPTED
                note(index, number, f"stored {times} times")
            elif times == 0 and outcome == verdict.ACCEPTED:
                audit.missing += 1
                note(index, number, "accepted but missing")
            elif times and outcome == verdict.UNANSWERED:
                audit.unanswered_stored += 1
            elif times and outcome in (verdict.REFUSED, verdict.WRONGLY_REFUSED, verdict.FAILED):
                audit.refused_but_stored += 1
                note(index, number, f"{verdict.NAMES[outcome]} but stored")
    visible = sum(sum(count) for count in counts) + audit.unknown
    logged = sum(1 for _ in log_rows)
    audit.repeats = max(0, logged - visible) if logged else 0
    return audit


def settle(
    store: Store,
    run: str,
    since: float,
    accepted: int,
    *,
    quiet_s: float,
    at_most_s: float,
    tell: Callable[[int], None] = lambda visible: None,
) -> float:
    """Wait until `accepted` events of the run are visible, or none has come for `quiet_s`, or `at_most_s` are over.

    Where all are there, it waits a second more: a doubled one may follow.
    Returns seconds from the call to the last change. `tell` is called with the number that are visible.
    """
    start = last_change = time.monotonic()
    seen = -1
    while True:
        try:
            visible = store.count(run, since)
        except StoreUnavailable:
            visible = seen
        now = time.monotonic()
        if visible != seen:
            seen, last_change = visible, now
            tell(visible)
        quiet = now - last_change
        if (visible >= accepted and quiet >= min(1.0, quiet_s / 2)) or quiet >= quiet_s or now - start >= at_most_s:
            return last_change - start
        time.sleep(min(0.5, quiet_s / 8))
