"""The status line of `make run`: numbers from the metrics of the three stages and from ClickHouse."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Final

import aiohttp
import msgspec
from prometheus_client.parser import text_string_to_metric_families

TIMEOUT: Final = aiohttp.ClientTimeout(total=2)


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of all three stages at one time; None where one did not answer."""

    accepted: float | None = None
    refused: float | None = None
    spool_bytes: float | None = None
    enricher_lag: float | None = None
    sink_lag: float | None = None
    rows: int | None = None


def total(metrics: str, name: str, label: str = "", value: str = "") -> float:
    """Return the sum of a metric's samples in Prometheus' text, or of those whose `label` is `value`."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name == name and (not label or sample.labels.get(label) == value)
    )


async def look(http: aiohttp.ClientSession, metrics: Mapping[str, str], clickhouse: Mapping[str, str]) -> Status:
    """Ask every stage, and ClickHouse (`clickhouse`: url, user, password) for its rows, at the same time."""
    collector, enricher, sink, rows = await asyncio.gather(
        *(_text(http, metrics[stage]) for stage in ("collector", "enricher", "sink")),
        _text(http, clickhouse["url"], clickhouse, "SELECT count() FROM pharos.event_log"),
    )
    hits = None if collector is None else total(collector, "pharos_collector_hits_total")
    accepted = None if collector is None else total(collector, "pharos_collector_hits_total", "result", "accepted")
    return Status(
        accepted=accepted,
        refused=None if hits is None or accepted is None else hits - accepted,
        spool_bytes=None if collector is None else total(collector, "pharos_collector_spool_bytes"),
        enricher_lag=None if enricher is None else total(enricher, "pharos_enricher_lag_records"),
        sink_lag=None if sink is None else total(sink, "pharos_sink_lag_records"),
        rows=int(rows) if rows and rows.strip().isdigit() else None,
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


def line(now: Status, before: Status, seconds: float) -> str:
    """Return the status line; rates are over the `seconds` since `before`."""
    rate = "-"
    if now.accepted is not None and before.accepted is not None and seconds > 0:
        rate = f"{max(0.0, now.accepted - before.accepted) / seconds:,.1f}"
    lag = f"spool {_bytes(now.spool_bytes)}, enricher {_count(now.enricher_lag)}, sink {_count(now.sink_lag)}"
    counts = f"accepted {_count(now.accepted)} · refused {_count(now.refused)} · rows {_count(now.rows)}"
    return f"{rate} hits/s · {counts} · lag: {lag}"


def _count(number: float | None) -> str:
    return "-" if number is None else f"{number:,.0f}"


def _bytes(number: float | None) -> str:
    if number is None:
        return "-"
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:,.0f} {unit}"
        number /= 1024
    return f"{number:,.1f} GiB"


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
