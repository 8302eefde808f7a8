"""The Grafana dashboards as code: `python -m deploy.grafana.dashboards --write` makes dashboards/*.json.

A panel is a title, a sentence that says what to look for, a unit and its queries; place and colours follow from that.
Every query is run by a test, against a real Prometheus that scrapes the real programs, or against ClickHouse.
Long, because it is a list: the panels.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

FOLDER: Final = Path(__file__).parent / "dashboards"
_WIDTH: Final = 24


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """One panel."""

    title: str
    says: str
    """What to look for."""
    queries: dict[str, str]
    """Legend -> PromQL, or -> SQL on a dashboard of ClickHouse; the legend may use {{label}}."""
    unit: str = "short"
    kind: Literal["timeseries", "stat", "table", "barchart", "piechart"] = "timeseries"
    width: int = 8


class Dashboard(msgspec.Struct, frozen=True, kw_only=True):
    """One dashboard, of one data source."""

    uid: str
    title: str
    source: Literal["prometheus", "clickhouse"]
    panels: tuple[Panel, ...]


PIPELINE: Final = Dashboard(
    uid="pharos-pipeline",
    title="Pharos: pipeline",
    source="prometheus",
    panels=(
        Panel(
            title="Hits a second by stage",
            says="The four lines coincide. Where one drops, look at the stage before it.",
            queries={
                "accepted": "sum(pharos:accepted:rate5m)",
                "forwarded to Kafka": "pharos:forwarded:rate5m",
                "enriched": "pharos:enriched:rate5m",
                "stored": "pharos:stored:rate5m",
            },
            unit="reqps",
            width=12,
        ),
        Panel(
            title="What waits",
            says="Near zero. A growing line shows the stage that does not keep up.",
            queries={
                "for an enricher": "sum(pharos_enricher_lag_records)",
                "for ClickHouse": "sum(pharos_sink_lag_records)",
            },
            width=12,
        ),
        Panel(
            title="How long it waits",
            says="Age of the oldest hit before each stage. It grows also while that stage is dead.",
            queries={
                "for Kafka": "max(pharos_collector_spool_oldest_seconds)",
                "for an enricher": "max(pharos_enricher_lag_seconds)",
                "for ClickHouse": "pharos:lag:seconds",
            },
            unit="s",
        ),
        Panel(
            title="Freshness",
            says="From the collector to ClickHouse. The objective: 99 % within 5 s.",
            queries={
                "p99": "pharos:freshness:p99_5m",
                "median": "pharos:freshness:p50_5m",
                "to hits.enriched, p99": "pharos:hit_age:p99_5m",
            },
            unit="s",
        ),
        Panel(
            title="Not taken",
            says="Share: 503, connections closed unread, time without a collector. Objective: under 0.05 % a month.",
            queries={"5 min": "pharos:unavailable:ratio5m", "1 h": "pharos:unavailable:ratio1h"},
            unit="percentunit",
        ),
        Panel(
            title="Dead letters",
            says="By reason. Any jump: look into hits.dead.",
            queries={
                "{{result}}": "pharos:dead:rate5m",
                "sink: {{reason}}": "sum by (reason) (rate(pharos_sink_dead_total[5m]))",
            },
            unit="reqps",
        ),
        Panel(
            title="Rows an insert",
            says="Median. Thousands under load; small ones with much traffic cost ClickHouse merges.",
            queries={"median": "histogram_quantile(0.5, sum by (le) (rate(pharos_sink_batch_rows_bucket[5m])))"},
        ),
        Panel(
            title="Time of an insert",
            says="99th percentile under a second. Above: ClickHouse has too many parts or too little memory.",
            queries={"p99": "histogram_quantile(0.99, sum by (le) (rate(pharos_sink_insert_seconds_bucket[5m])))"},
            unit="s",
        ),
        Panel(
            title="Inserts by result",
            says="Only `stored`. Retries: read ClickHouse's words in the sink's log.",
            queries={"{{result}}": "sum by (result) (rate(pharos_sink_inserts_total[5m]))"},
            unit="ops",
        ),
        Panel(
            title="Kafka's latency",
            says="99th percentile by stage and step. A fetch that finds nothing waits half a second by itself.",
            queries={
                f"{stage}: {{{{step}}}}": "histogram_quantile(0.99, "
                f"sum by (step, le) (rate(pharos_{stage}_kafka_seconds_bucket[5m])))"
                for stage in ("collector", "enricher", "sink")
            },
            unit="s",
        ),
        Panel(
            title="Kafka's errors",
            says="By stage and aiokafka's name of them. The stage's log has the words.",
            queries={
                "enricher: {{why}}": "sum by (why) (rate(pharos_enricher_kafka_errors_total[5m]))",
                "sink: {{why}}": "sum by (why) (rate(pharos_sink_kafka_errors_total[5m]))",
                "collector: {{why}}": 'sum by (why) (rate(pharos_collector_producers_total{why!="first"}[5m]))',
            },
            unit="ops",
        ),
        Panel(
            title="Remembered by the enricher",
            says="Share of the hits for which a cache had the answer. It falls: traffic without repetition, CPU rises.",
            queries={"{{cache}}": "pharos:cache_hits:ratio5m"},
            unit="percentunit",
        ),
        Panel(
            title="Exactly once",
            says="1 where Kafka has transactions (enricher) and commit metadata (sink).",
            queries={"enricher": "min(pharos_enricher_exactly_once)", "sink": "min(pharos_sink_exactly_once)"},
            kind="stat",
        ),
        Panel(
            title="Alerts",
            says="Alerts that fire now. docs/runbooks.md has a section for each.",
            queries={"{{alertname}} ({{severity}})": 'sum by (alertname, severity) (ALERTS{alertstate="firing"})'},
            kind="table",
        ),
    ),
)

COLLECTOR: Final = Dashboard(
    uid="pharos-collector",
    title="Pharos: collector",
    source="prometheus",
    panels=(
        Panel(
            title="Accepted, by site",
            says="The sites' own rhythm.",
            queries={"{{site}}": "pharos:accepted:rate5m"},
            unit="reqps",
            width=12,
        ),
        Panel(
            title="Refused, by reason",
            says="A jump of one reason on one site: its snippet changed.",
            queries={"{{site}}: {{result}}": "pharos:refused:rate5m"},
            unit="reqps",
            width=12,
        ),
        Panel(
            title="Unsent hits on disk",
            says="Near zero. It grows: Kafka is away or slow. At the bound hits are answered 503.",
            queries={
                "{{instance}}": "pharos_collector_spool_bytes",
                "{{instance}}: bound": "pharos_collector_spool_limit_bytes",
            },
            unit="bytes",
        ),
        Panel(
            title="The mark's pace",
            says="Bytes a second that Kafka has acknowledged. Zero while hits come: Kafka is away.",
            queries={"{{instance}}": "rate(pharos_collector_spool_acknowledged_bytes_total[5m])"},
            unit="Bps",
        ),
        Panel(
            title="Oldest unsent hit",
            says="Seconds, not minutes.",
            queries={"{{instance}}": "pharos_collector_spool_oldest_seconds"},
            unit="s",
        ),
        Panel(
            title="Kafka",
            says="Workers with a producer, and workers. The lines lie on each other.",
            queries={"producers": "sum(pharos_collector_kafka_up)", "workers": "sum(pharos_collector_workers)"},
        ),
        Panel(
            title="Time to answer",
            says="99th percentile, by path; milliseconds. Slower: a disk that is slow to sync, or too few workers.",
            queries={
                "{{path}}": "histogram_quantile(0.99, "
                "sum by (path, le) (rate(pharos_collector_answer_seconds_bucket[5m])))"
            },
            unit="s",
        ),
        Panel(
            title="CPU a hit",
            says="Microseconds. It rises: fewer requests take the fast path, or something before it rewrites requests.",
            queries={
                "µs": "1e6 * sum(rate(pharos_collector_cpu_seconds_total[5m])) / "
                "(sum(rate(pharos_collector_hits_total[5m])) > 0)"
            },
            unit="µs",
        ),
        Panel(
            title="CPU, cores",
            says="Compare with the number of workers: the nearer, the sooner another is needed.",
            queries={"{{instance}}": "sum by (instance) (rate(pharos_collector_cpu_seconds_total[5m]))"},
        ),
        Panel(
            title="Requests by path",
            says="Pixels, posts and links take the fast path.",
            queries={"{{path}}": "sum by (path) (rate(pharos_collector_requests_total[5m]))"},
            unit="reqps",
        ),
        Panel(
            title="Connections",
            says="Far under PHAROS_COLLECTOR_CONNECTIONS times workers.",
            queries={
                "open": "sum(pharos_collector_connections)",
                "refused a second": "sum(rate(pharos_collector_connections_refused_total[5m]))",
            },
        ),
        Panel(
            title="Protocol errors",
            says="Broken clients and scanners; nothing of ours is lost.",
            queries={"{{status}}": "sum by (status) (rate(pharos_collector_request_errors_total[5m]))"},
            unit="reqps",
        ),
        Panel(
            title="Address headers not believed",
            says="`untrusted` under a CDN: name its networks in PHAROS_COLLECTOR_TRUSTED_PROXIES.",
            queries={"{{why}}": "sum by (why) (rate(pharos_collector_address_faults_total[5m]))"},
            unit="reqps",
        ),
    ),
)

FORWARD: Final = Dashboard(
    uid="pharos-forward",
    title="Pharos: conversions sent",
    source="prometheus",
    panels=(
        Panel(
            title="Conversions sent",
            says="Events an hour that went to ad platforms and webhooks, by destination and result.",
            queries={
                "{{destination}} {{result}}": "sum by (destination, result) "
                "(increase(pharos_forward_events_total[1h])) > 0"
            },
        ),
        Panel(
            title="Conversions held back",
            says="Events an hour, by reason: docs/forward.md. `consent`: the visitors did not agree.",
            queries={
                "{{destination}} {{reason}}": "sum by (destination, reason) "
                "(increase(pharos_forward_held_total[1h])) > 0"
            },
        ),
        Panel(
            title="Requests",
            says="`denied`: the credential or the account; `again`: the platform is busy or away.",
            queries={
                "{{destination}} {{result}}": "sum by (destination, result) (rate(pharos_forward_requests_total[5m]))"
            },
            unit="reqps",
        ),
        Panel(
            title="Waiting",
            says="Seconds for which the oldest event waits beyond its hold time.",
            queries={"{{destination}}": "max by (destination) (pharos_forward_lag_seconds)"},
            unit="s",
        ),
    ),
)

_MOMENT: Final = "toString(toDateTime64({0} / 1000, 3, 'UTC'))"
_PERIOD: Final = f"since = {_MOMENT.format('$__from')}, until = {_MOMENT.format('$__to')}, tz = 'UTC'"
_VIEW: Final = (
    f"site = '$site', conversion = '$conversion', model = '$model', lookback_days = 30, {_PERIOD}, "
    "half_life_days = 7, restart = 0, touch_kinds = 'arrival,click', ignore = ''"
)
_SPAN: Final = "{0} >= toDateTime64($__from / 1000, 3, 'UTC') AND {0} < toDateTime64($__to / 1000, 3, 'UTC')"
_IN_TIME: Final = "site = '$site' AND " + _SPAN.format("occurred_at")

ATTRIBUTION: Final = Dashboard(
    uid="pharos-attribution",
    title="Pharos: attribution",
    source="clickhouse",
    panels=(
        Panel(
            title="Conversions by channel",
            says="Credited by the chosen model, from touches up to 30 days before the conversion. A row a currency.",
            queries={
                "": "SELECT channel, currency, round(sum(conversions), 2) AS conversions, "
                f"round(sum(value), 2) AS value FROM pharos.attribution({_VIEW}) "
                "GROUP BY channel, currency ORDER BY conversions DESC"
            },
            kind="table",
            width=12,
        ),
        Panel(
            title="Campaigns",
            says="The same, by source and campaign.",
            queries={
                "": "SELECT source, medium, campaign, currency, round(sum(conversions), 2) AS conversions, "
                f"round(sum(value), 2) AS value FROM pharos.attribution({_VIEW}) "
                "GROUP BY source, medium, campaign, currency ORDER BY value DESC, conversions DESC LIMIT 50"
            },
            kind="table",
            width=12,
        ),
        Panel(
            title="Visits an hour, by channel",
            says="Sessions by the hour in which they began. Bots left out.",
            queries={
                "": "SELECT toStartOfHour(started_at) AS time, channel, count() AS visits "
                f"FROM pharos.sessions_between(site = '$site', {_PERIOD}) "
                "WHERE NOT is_bot GROUP BY time, channel ORDER BY time"
            },
            width=16,
        ),
        Panel(
            title="Share of bots",
            says="Bots are flagged, never dropped.",
            queries={
                "": "SELECT if(is_bot, bot_reason, 'people') AS who, count() AS events FROM pharos.events "
                f"WHERE {_IN_TIME} GROUP BY who ORDER BY events DESC LIMIT 10"
            },
            kind="piechart",
        ),
        Panel(
            title="Sessions by landing page",
            says="Where visits begin, and what they are worth.",
            queries={
                "": "SELECT entry_page, count() AS sessions, sum(events) AS events, sumMap(value) AS value "
                f"FROM pharos.sessions_between(site = '$site', {_PERIOD}) WHERE NOT is_bot "
                "GROUP BY entry_page ORDER BY sessions DESC LIMIT 30"
            },
            kind="table",
            width=12,
        ),
    ),
)

DASHBOARDS: Final = (PIPELINE, COLLECTOR, FORWARD, ATTRIBUTION)

_VARIABLES: Final = {
    "site": "SELECT DISTINCT site FROM pharos.names ORDER BY site",
    "conversion": "SELECT DISTINCT event FROM pharos.names WHERE site = '$site' ORDER BY event = 'pageview', event",
}
MODELS: Final = ("last_non_direct", "first", "last", "linear", "position", "time_decay")


def queries(dashboard: Dashboard) -> list[str]:
    """Return every query of a dashboard, its variables' too."""
    found = [query for panel in dashboard.panels for query in panel.queries.values()]
    return found + (list(_VARIABLES.values()) if dashboard.source == "clickhouse" else [])


def render(dashboard: Dashboard) -> dict[str, Any]:
    """Return the dashboard as Grafana's JSON model."""
    source = {"type": _TYPES[dashboard.source], "uid": dashboard.source}
    panels: list[dict[str, Any]] = []
    x = y = 0
    for number, panel in enumerate(dashboard.panels, start=1):
        if x + panel.width > _WIDTH:
            x, y = 0, y + 8
        panels.append(_panel(number, panel, source, {"x": x, "y": y, "w": panel.width, "h": 8}))
        x += panel.width
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["pharos"],
        "schemaVersion": 41,
        "editable": False,
        "refresh": "30s" if dashboard.source == "prometheus" else "",
        "timezone": "utc",
        "time": {"from": "now-1h" if dashboard.source == "prometheus" else "now-7d", "to": "now"},
        "templating": {"list": _variables(source) if dashboard.source == "clickhouse" else []},
        "annotations": {"list": []},
        "panels": panels,
    }


_TYPES: Final = {"prometheus": "prometheus", "clickhouse": "grafana-clickhouse-datasource"}


def _panel(number: int, panel: Panel, source: dict[str, str], place: dict[str, int]) -> dict[str, Any]:
    targets = [
        _target(chr(ord("A") + at), legend, query, source, panel)
        for at, (legend, query) in enumerate(panel.queries.items())
    ]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.says,
        "datasource": source,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {},
        "targets": targets,
    }


def _target(ref: str, legend: str, query: str, source: dict[str, str], panel: Panel) -> dict[str, Any]:
    if source["uid"] == "prometheus":
        instant = panel.kind == "table"
        form = {"format": "table"} if instant else {}
        return {"refId": ref, "datasource": source, "expr": query, "legendFormat": legend, "instant": instant} | form
    kind = "timeseries" if panel.kind == "timeseries" else "table"
    return {"refId": ref, "datasource": source, "editorType": "sql", "queryType": kind, "rawSql": query}


def _variables(source: dict[str, str]) -> list[dict[str, Any]]:
    asked: list[dict[str, Any]] = [
        {"name": name, "type": "query", "datasource": source, "query": sql, "refresh": 2, "sort": 0}
        for name, sql in _VARIABLES.items()
    ]
    options = [{"text": model, "value": model, "selected": model == MODELS[0]} for model in MODELS]
    current = {"text": MODELS[0], "value": MODELS[0]}
    query = ",".join(MODELS)
    return [*asked, {"name": "model", "type": "custom", "query": query, "options": options, "current": current}]


def main(arguments: list[str]) -> int:
    """Write the files, or look whether they are current; 1 when one is not."""
    for dashboard in DASHBOARDS:
        file = FOLDER / f"{dashboard.uid}.json"
        text = json.dumps(render(dashboard), indent=2, ensure_ascii=False) + "\n"
        if arguments == ["--write"]:
            FOLDER.mkdir(exist_ok=True)
            file.write_text(text)
        elif not file.exists() or file.read_text() != text:
            print(f"{file.name} is not current: python -m deploy.grafana.dashboards --write", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
