"""A run's result made up for the report's tests, and a reader of the pages."""

from html.parser import HTMLParser

from loadtest import result
from loadtest.audit import Audit
from loadtest.measured import Second
from loadtest.watch import Fresh, Sample

TIMES = result.Times(count=9, mean_ms=1.0, percentiles_ms={f"{p:g}": 1.0 + p / 50 for p in result.PERCENTILES})
RESULT = result.Result(
    run="0badcafe",
    title="<b>& title",
    started_at=1_795_334_400,
    url="http://127.0.0.1:8080",
    profile="shop",
    schedule="constant",
    seed=1,
    lanes=1,
    connections=4,
    duration_s=3,
    requests=30,
    hits=40,
    answers_per_s=10,
    failed=2,
    gave_up=1,
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
    fresh=[Fresh(0.5, 1.5)],
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
