"""Every metric of the forwarder, each with what to do when it moves. `destination` is a name of destinations.toml."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from sink.forward.gate import HELD

REGISTRY: Final = CollectorRegistry()

EVENTS = Counter(
    "pharos_forward_events",
    "Events by result: sent, held (see the reason), refused (a dead letter in forward.dead), not_stored (the same).",
    ["destination", "result"],
    registry=REGISTRY,
)
HELD_BACK = Counter(
    "pharos_forward_held",
    "Events that were not sent, by reason: docs/forward.md lists them. Many `consent`: the visitors did not agree.",
    ["destination", "reason"],
    registry=REGISTRY,
)
REQUESTS = Counter(
    "pharos_forward_requests",
    "Requests by result: sent, again (busy or away; repeated), denied (credential or account: fix it, it is repeated), "
    "refused (the platform does not take these events).",
    ["destination", "result"],
    registry=REGISTRY,
)
LAG_SECONDS = Gauge(
    "pharos_forward_lag_seconds",
    "For how long the oldest event waits beyond its hold time. Rising: the platform is away, or ClickHouse is.",
    ["destination"],
    registry=REGISTRY,
)
WAITING = Gauge("pharos_forward_waiting_events", "Events that wait to be sent.", ["destination"], registry=REGISTRY)
STOPPED = Gauge(
    "pharos_forward_stopped",
    "1: the platform refused most events, so nothing more is sent to it. Read forward.dead, correct destinations.toml "
    "or the site, restart, and send the window again.",
    ["destination"],
    registry=REGISTRY,
)
LOST_RECORDS = Counter(
    "pharos_forward_lost_records",
    "Records of hits.enriched that Kafka deleted before they were read. Send their time again.",
    ["destination"],
    registry=REGISTRY,
)


def begin(destination: str) -> None:
    """Create the series of a destination: one that is born at 1 has no increase."""
    for result in ("sent", "held", "refused", "not_stored"):
        EVENTS.labels(destination, result)
    for reason in HELD:
        HELD_BACK.labels(destination, reason)
    for result in ("sent", "again", "denied", "refused"):
        REQUESTS.labels(destination, result)
    for gauge in (LAG_SECONDS, WAITING, STOPPED):
        gauge.labels(destination).set(0)
    LOST_RECORDS.labels(destination)
