"""Rules, alerts and dashboards: through promtool, and with a real Prometheus that scrapes the real programs."""

import asyncio
import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard as GrafanaDashboard

from deploy.grafana import dashboards
from tests import needs
from tests.deploy import metrics_page
from tests.local.running import Local, children, hit
from tests.ports import free_port
from tests.processes import Program
from tests.waiting import until

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
SCALED = {"30m": "20s", "15m": "15s", "5m": "10s", "2m": "6s", "1h": "20s", "6h": "30s"}
"""Windows of the rules in a test: Prometheus looks every second, and nobody waits for an hour."""

BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"}

EMPTY_AT_PEACE = re.compile(
    r"pharos_sink_dead_total|address_faults|kafka_errors|producers_total|unavailable|request_errors|ALERTS"
)
"""What only a fault brings into the world."""


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run(
        [needs.program("promtool", "prometheus"), *arguments],
        capture_output=True, text=True, timeout=60, check=False, cwd=PROMETHEUS,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def rules(name: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / name).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_promtool_accepts_and_tries_the_rules() -> None:
    promtool("check", "config", "prometheus.yml")
    promtool("check", "rules", "--lint=all", "--lint-fatal", "rules.yml", "alerts.yml")
    promtool("test", "rules", "rules_test.yml")


def test_every_alert_has_a_runbook() -> None:
    headings = re.findall(r"^#+ (Pharos\w+)$", (ROOT / "docs/operations.md").read_text(), re.MULTILINE)
    alerts = [rule["alert"] for rule in rules("alerts.yml")]
    assert sorted(headings) == sorted(alerts)
    for rule in rules("alerts.yml"):
        assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("critical", "warning", "info")


def test_queries_ask_only_for_what_is_counted() -> None:
    declared = set(re.findall(r"`(pharos_\w+)`", metrics_page.page()))
    recorded = {rule["record"] for rule in rules("rules.yml")}
    asked = [rule["expr"] for name in ("rules.yml", "alerts.yml") for rule in rules(name)]
    for dashboard in (dashboards.PIPELINE, dashboards.COLLECTOR):
        asked += dashboards.queries(dashboard)
    for query in asked:
        for name in re.findall(r"\bpharos_\w+", query):
            assert name in declared or re.sub(r"_(bucket|count|sum)$", "", name) in declared, query
        assert set(re.findall(r"\bpharos:[\w:]+", query)) <= recorded, query


def test_the_dashboards_are_whole() -> None:
    """What Grafana's own linter asks: titles, descriptions, units, unique ids, the data source named."""
    for dashboard in dashboards.DASHBOARDS:
        made = json.loads((ROOT / f"deploy/grafana/dashboards/{dashboard.uid}.json").read_text())
        assert made == dashboards.render(dashboard), "python -m deploy.grafana.dashboards --write"
        assert len({panel["id"] for panel in made["panels"]}) == len(made["panels"])
        assert len({panel["title"] for panel in made["panels"]}) == len(made["panels"])
        for panel in made["panels"]:
            assert panel["description"].endswith(".")
            assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
            assert {target["datasource"]["uid"] for target in panel["targets"]} == {dashboard.source}
    sources = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/pharos.yaml").read_text())
    assert {source["uid"] for source in sources["datasources"]} == {"prometheus", "clickhouse"}


@pytest.mark.parametrize("dashboard", dashboards.DASHBOARDS, ids=lambda one: one.uid)
def test_grafanas_own_types_hold_every_field_of_a_dashboard(dashboard: dashboards.Dashboard) -> None:
    """Through the types that Grafana publishes and back: a name or a form that it does not know would be lost."""
    made = dashboards.render(dashboard)
    register_default_plugins()
    there_and_back = json.loads(json.dumps(GrafanaDashboard.from_json(made), cls=JSONEncoder))
    assert list(lost(made, there_and_back)) == []


def lost(made: Any, back: Any, at: str = "") -> Iterator[str]:
    """Yield the places where `back` lacks, or changes, what `made` has."""
    if isinstance(made, dict) and isinstance(back, dict):
        for name, value in made.items():
            yield from lost(value, back.get(name, "(nothing)"), f"{at}.{name}")
    elif isinstance(made, list) and isinstance(back, list) and len(made) == len(back):
        for number, (one, other) in enumerate(zip(made, back, strict=True)):
            yield from lost(one, other, f"{at}[{number}]")
    elif made != back:
        yield f"{at}: {made!r} became {back!r}"


class Prometheus:
    """Debian's Prometheus, with our configuration on this run's ports and a clock that runs faster."""

    def __init__(self, folder: Path, start: Callable[..., Program], ports: Mapping[str, str]) -> None:
        binary = needs.program("prometheus", "prometheus")
        folder.mkdir()
        config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        for job in config["scrape_configs"]:
            stage = job["job_name"].removeprefix("pharos-")
            job["static_configs"] = [{"targets": [f"127.0.0.1:{ports[stage]}"]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        for name in config["rule_files"]:
            text = re.sub(r"\[(\w+)\]", lambda found: f"[{SCALED[found[1]]}]", (PROMETHEUS / name).read_text())
            (folder / name).write_text(re.sub(r"for: \w+", "for: 2s", text))
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        options = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
        self.program = start([binary, *options, f"--web.listen-address=127.0.0.1:{port}"])

    async def ask(self, http: aiohttp.ClientSession, query: str) -> list[Any]:
        async with http.get(f"{self.url}/api/v1/query", params={"query": query}) as answer:
            found = await answer.json()
        assert found["status"] == "success", (query, found)
        return list(found["data"]["result"])

    async def firing(self, http: aiohttp.ClientSession) -> set[str]:
        return {one["metric"]["alertname"] for one in await self.ask(http, 'ALERTS{alertstate="firing"}')}


async def test_dashboards_and_alerts_on_the_real_programs(tmp_path: Path, start: Callable[..., Program]) -> None:
    """Traffic shows on every panel; a sink that stops working is missed, and no longer when it works again."""
    local = Local(tmp_path / "var", start)
    ports = {
        stage: local.env[f"PHAROS_LOCAL_{stage.upper()}_ADMIN_PORT"] for stage in ("collector", "enricher", "sink")
    }
    program = await local.up()
    prometheus = Prometheus(tmp_path / "prometheus", start, ports)
    async with aiohttp.ClientSession() as http:
        done = asyncio.Event()
        traffic = asyncio.create_task(_traffic(http, local.collector, done))

        async def every_panel() -> bool:
            for dashboard in (dashboards.PIPELINE, dashboards.COLLECTOR):
                for query in dashboards.queries(dashboard):
                    if not await prometheus.ask(http, query) and not EMPTY_AT_PEACE.search(query):
                        return False
            return True

        async def prometheus_is_up() -> bool:
            try:
                return bool(await prometheus.ask(http, "vector(1)"))
            except aiohttp.ClientError:
                return False

        await until(prometheus_is_up, "Prometheus")
        await until(every_panel, "data on every panel")
        # The embedded broker has neither transactions nor commit metadata: that one is right.
        assert await prometheus.firing(http) <= {"PharosNotExactlyOnce", "PharosRefusalsJump"}

        sink = children(program)["sink"]
        os.kill(sink, signal.SIGSTOP)

        async def missed() -> bool:
            return {"PharosSinkStalled", "PharosSinkDown"} <= await prometheus.firing(http)

        await until(missed, "the alerts of a sink that does nothing")
        os.kill(sink, signal.SIGCONT)

        async def well() -> bool:
            return not {"PharosSinkStalled", "PharosSinkDown"} & await prometheus.firing(http)

        await until(well, "their end")
        done.set()
        await traffic
        await _attribution(http, local.clickhouse)
    assert await asyncio.to_thread(program.terminate, 60) == 0


async def _traffic(http: aiohttp.ClientSession, collector: str, done: asyncio.Event) -> None:
    """Ten visits a second: most go well, one in twenty has an event name that is none, one buys something."""
    number = 0
    while not done.is_set():
        number += 1
        await hit(http, collector, f"visit-{number}")
        if number % 20 == 0:
            async with http.get(f"{collector}/p.gif", params={"s": "demo", "e": "no event!"}):
                pass
            bought = {"s": "demo", "e": "purchase", "v": "9.90", "c": "EUR", "u": "https://demo.example/?utm_source=x"}
            async with http.get(f"{collector}/p.gif", params=bought, headers=BROWSER):
                pass
        await asyncio.sleep(0.1)


async def _attribution(http: aiohttp.ClientSession, clickhouse: str) -> None:
    """Every query of the ClickHouse dashboard, for every model, as the read-only user."""
    for model in dashboards.MODELS:
        for sql in dashboards.queries(dashboards.ATTRIBUTION):
            values = {"$site": "demo", "$conversion": "purchase", "$model": model}
            values |= {"$__from": "0", "$__to": "4102444800000"}
            for name, value in values.items():
                sql = sql.replace(name, value)
            async with http.post(clickhouse, params={"user": "analyst"}, data=sql) as answer:
                text = await answer.text()
                assert answer.status == 200, (sql, text)
                assert text.strip(), sql


@pytest.mark.parametrize("dashboard", dashboards.DASHBOARDS, ids=lambda one: one.uid)
def test_no_query_is_written_twice(dashboard: dashboards.Dashboard) -> None:
    asked = dashboards.queries(dashboard)
    assert len(asked) == len(set(asked))
