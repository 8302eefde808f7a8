"""The status line: numbers from the programs' metrics and from ClickHouse."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Final

import aiohttp
import msgspec
from prometheus_client.parser import text_string_to_metric_families

TIMEOUT: Final = aiohttp.ClientTimeout(total=2)
WIDTH: Final = 79
"""Columns of the status line; a terminal of 80 wraps no line of 79."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One look at all three stages; None where one did not answer."""

    accepted: float | None = None
    refused: dict[str, float] | None = None
    """Hits refused, by reason."""
    reason: str = ""
    """Reason of the last refusal."""
    spool_bytes: float | None = None
    enricher_lag: float | None = None
    sink_lag: float | None = None
    events: int | None = None
    """Events in ClickHouse: copies and repeats count once."""


def by_label(metrics: str, name: str, label: str) -> dict[str, float]:
    """Return the sum of a metric's samples in Prometheus' text for each value of `label`."""
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name == name:
                value = sample.labels.get(label, "")
                sums[value] = sums.get(value, 0) + sample.value
    return sums


def total(metrics: str, name: str) -> float:
    """Return the sum of a metric's samples in Prometheus' text."""
    return sum(by_label(metrics, name, "").values())


def last_reason(before: Seen, refused: Mapping[str, float]) -> str:
    """Return the reason whose count rose most since `before`; the reason of `before` if none rose."""
    earlier = before.refused or {}
    rises = {reason: count - earlier.get(reason, 0) for reason, count in refused.items()}
    most = max(rises, key=lambda reason: rises[reason], default="")
    return most if most and rises[most] > 0 else before.reason


async def look(
    http: aiohttp.ClientSession, metrics: Mapping[str, str], clickhouse: Mapping[str, str], before: Seen
) -> Seen:
    """Ask every stage, and ClickHouse (`clickhouse`: url, user, password) for its events, at the same time."""
    collector, enricher, sink, events = await asyncio.gather(
        *(_text(http, metrics[stage]) for stage in ("collector", "enricher", "sink")),
        _text(http, clickhouse["url"], clickhouse, "SELECT count() FROM pharos.events"),
    )
    results = None if collector is None else by_label(collector, "pharos_collector_hits_total", "result")
    refused = None if results is None else {name: count for name, count in results.items() if name != "accepted"}
    return Seen(
        accepted=None if results is None else results.get("accepted", 0),
        refused=refused,
        reason=last_reason(before, refused or {}),
        spool_bytes=None if collector is None else total(collector, "pharos_collector_spool_bytes"),
        enricher_lag=None if enricher is None else total(enricher, "pharos_enricher_lag_records"),
        sink_lag=None if sink is None else total(sink, "pharos_sink_lag_records"),
        events=int(events) if events and events.strip().isdigit() else before.events,
    )


async def lag(http: aiohttp.ClientSession, metrics: str, name: str) -> float | None:
    """Return one metric's sum; None where the program does not answer."""
    text = await _text(http, metrics)
    return None if text is None else total(text, name)


async def is_ready(http: aiohttp.ClientSession, url: str) -> str:
    """Return an empty text when `url` answers 200, else in one line why it does not."""
    try:
        async with http.get(url, timeout=TIMEOUT) as answer:
            text = (await answer.text()).strip()
            return "" if answer.status == 200 else (text.splitlines() or [f"status {answer.status}"])[0]
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return str(error) or type(error).__name__


def line(seen: Seen, before: Seen, seconds: float) -> str:
    """Return the status line, at most WIDTH columns; rates are over the `seconds` since `before`."""
    rate = None
    if seen.accepted is not None and before.accepted is not None and seconds > 0:
        rate = max(0.0, seen.accepted - before.accepted) / seconds
    refused = None if seen.refused is None else sum(seen.refused.values())
    parts = [
        f"{_count(rate)} hits/s",
        f"{_count(seen.events)} events",
        f"{_count(refused)} refused" + (f" ({seen.reason})" if seen.reason else ""),
    ]
    lag = f"spool {_bytes(seen.spool_bytes)}, enricher {_count(seen.enricher_lag)}, sink {_count(seen.sink_lag)}"
    short = f"lag {_bytes(seen.spool_bytes)} + {_count((seen.enricher_lag or 0) + (seen.sink_lag or 0))}"
    whole = " · ".join([*parts, f"lag: {lag}"])
    return whole if len(whole) <= WIDTH else " · ".join([*parts, short])


def _count(number: float | None) -> str:
    """Return a number in at most five characters, such as 7.5, 999, 12.3k or 4.5M; "-" for None."""
    if number is None:
        return "-"
    if number < 10 and number != int(number):
        return f"{number:.1f}"
    for unit in ("", "k", "M", "G"):
        if number < 999.5 or unit == "G":
            break
        number /= 1000
    return f"{number:.0f}{unit}" if not unit or number >= 99.95 else f"{number:.1f}{unit}"


def _bytes(number: float | None) -> str:
    if number is None:
        return "-"
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} {unit}"
        number /= 1024
    return f"{number:.1f} GiB"


async def _text(
    http: aiohttp.ClientSession, url: str, credentials: Mapping[str, str] | None = None, body: str = ""
) -> str | None:
    headers = {}
    if credentials is not None and credentials["user"]:
        headers = {"X-ClickHouse-User": credentials["user"], "X-ClickHouse-Key": credentials["password"]}
    with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
        method = "POST" if body else "GET"
        async with http.request(method, url, data=body or None, headers=headers, timeout=TIMEOUT) as answer:
            if answer.status == 200:
                return await answer.text()
    return None
