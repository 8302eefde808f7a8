"""A run's result made up for the report's tests, and a reader of the pages."""

from html.parser import HTMLParser

import msgspec

from loadtest.check.audit import Audit
from loadtest.check.freshness import FollowedHit, Sample
from loadtest.drive.measurements import Second
from loadtest.report import result
from loadtest.report.search import Knee, SearchResult, StepOutcome

TIMES = result.Times(count=9, mean_ms=1.0, percentiles_ms={f"{p:g}": 1.0 + p / 50 for p in result.PERCENTILES})
RESULT = result.Result(
    run="0badcafe",
    title="<b>& title",
    started_at=1_795_334_400,
    url="http://127.0.0.1:8080",
    profile="shop",
    schedule="constant",
    seed=1,
    senders=1,
    connections=4,
    duration_s=3,
    requests=30,
    hits=40,
    answers_per_s=10,
    failed=2,
    never_sent=1,
    waited=1,
    errors={"<script>alert(1)</script>": 3},
    latency=TIMES,
    service=TIMES,
    driver_late=TIMES,
    driver_cpu=0.2,
    freshness_s={"p50": 1.0, "p90": 2.0, "p99": 3.0, "max": 4.0},
    never_fresh=0,
    late=0,
    late_after_s=30,
    audit=Audit(sent=40, accepted=38, stored=37, missing=1, examples=["lt0badcafe-00-00000001 <missing>"]),
    seconds=[Second(at=n, due=10, sent=10, answered=10, p50_ms=1, p90_ms=2, p99_ms=3, max_ms=9) for n in range(3)],
    samples=[Sample(at=1.0, values={"enricher lag": 5.0, "sink lag": 7.0, "spool bytes": 100.0})],
    fresh=[FollowedHit(0.5, 1.5)],
    faults=[(1.0, "kill <collector>")],
    notes=["<i>note</i>"],
    machine={"cpu": "x86 <&>"},
    broken=["1 accepted but missing"],
    bottleneck="",
    exit_code=result.BROKEN,
)


class Page(HTMLParser):
    """Collects tags and what a page would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "srcset")]
        if tag not in ("meta", "line", "path", "circle"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def search() -> SearchResult:
    """Return a search that has found a knee: six steps, the last three between what held and what broke."""
    rates: list[float] = [500, 750, 1125, 1687.5, 1406.25, 1265.625]
    outcomes: list[StepOutcome] = ["holds", "holds", "holds", "breaks", "breaks", "holds"]
    steps = [
        msgspec.structs.replace(
            RESULT,
            title=f"Load test: limit at {rate:,.0f}/s",
            run=f"0000000{number}",
            answers_per_s=rate,
            hits=int(rate * 8),
            failed=0 if word == "holds" else int(rate / 10),
            audit=Audit(sent=int(rate * 8), accepted=int(rate * 8), stored=int(rate * 8)),
            broken=[] if word == "holds" else ["p99 80.0 ms is above 50 ms"],
            exit_code=result.CLEAN,
        )
        for number, (rate, word) in enumerate(zip(rates, outcomes, strict=True))
    ]
    return SearchResult(steps, rates, outcomes, Knee(1265.625, 1406.25))


def windows(count: int = 4) -> list[result.Result]:
    """Return a soak in which the collector's memory grows and the last window loses a hit."""
    return [
        msgspec.structs.replace(
            RESULT,
            title=f"Soak: window {number + 1} of {count}",
            started_at=RESULT.started_at + 10 * number,
            duration_s=10,
            samples=[
                Sample(at=second, values={"collector bytes": 4e7 * (1 + number), "sink bytes": 3e7, "sink lag": 5.0})
                for second in range(1, 10)
            ],
            audit=RESULT.audit if number == count - 1 else Audit(sent=40, accepted=38, stored=38),
            broken=RESULT.broken if number == count - 1 else [],
            exit_code=result.BROKEN if number == count - 1 else result.CLEAN,
        )
        for number in range(count)
    ]
