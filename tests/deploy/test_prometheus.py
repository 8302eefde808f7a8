"""Rules, alerts and dashboards: through promtool, and with a real Prometheus that scrapes the real programs."""

import asyncio
import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import aiohttp
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard as GrafanaDashboard

from deploy.grafana import dashboards
from tests import needs
from tests.deploy import metrics_page
from tests.deploy.local.running import Local, children, hit
from tests.deploy.prometheus import FOLDER, Prometheus, configuration, scraping
from tests.processes import Program
from tests.waiting import until

ROOT = Path(__file__).parents[2]
TRIED = ("rules_test.yml", "rules_hours_test.yml", "rules_week_test.yml")
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"}


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run(
        [needs.program("promtool", "prometheus"), *arguments],
        capture_output=True, text=True, check=False, cwd=FOLDER,
        env={**os.environ, "GOGC": "800"},  # collecting garbage takes a third of the time that the rules' tests do
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def rules(name: str) -> list[dict[str, Any]]:
    groups = configuration(name)["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_promtool_accepts_and_tries_the_rules() -> None:
    promtool("check", "config", "prometheus.yml")
    promtool("check", "rules", "--lint=all", "--lint-fatal", "rules.yml", "alerts.yml")
    promtool("test", "rules", *TRIED)


def test_every_alert_is_seen_to_fire_and_to_be_silent() -> None:
    tried = [case for name in TRIED for case in configuration(name)["tests"]]
    cases = [case for one in tried for case in one.get("alert_rule_test", ())]
    alerts = {rule["alert"] for rule in rules("alerts.yml")}
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == alerts
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == alerts - {"PharosWatchdog"}
    quiet = {each["series"].partition("{")[0] for each in tried[0]["input_series"]}
    for rule in rules("alerts.yml"):
        asked = set(re.findall(r"\b(?:pharos|node|nginx|kafka|probe|ClickHouseAsyncMetrics)_\w+", rule["expr"]))
        assert asked <= quiet, f"{rule['alert']} is silent in peace only for want of {asked - quiet}"


def test_alertmanager_takes_its_configuration_and_everybody_mounts_it() -> None:
    amtool = needs.program("amtool", "prometheus-alertmanager")
    done = subprocess.run(
        [amtool, "check-config", FOLDER / "alertmanager.yml"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    services = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]
    (alertmanagers,) = configuration("prometheus.yml")["alerting"]["alertmanagers"]
    assert alertmanagers["static_configs"] == [{"targets": ["alertmanager:9093"]}]
    assert "./prometheus/alertmanager.yml:/etc/alertmanager/alertmanager.yml:ro" in services["alertmanager"]["volumes"]
    severities = {rule["labels"]["severity"] for rule in rules("alerts.yml")}
    routes = configuration("alertmanager.yml")["route"]["routes"]
    assert {re.findall(r'"(\w+)"', route["matchers"][0])[0] for route in routes} == severities - {"info"}


@pytest.mark.parametrize("name", ["prometheus.yml", "kubernetes.yml"])
def test_the_links_are_made_of_an_address_that_ops_sets_in_one_place(name: str) -> None:
    config = configuration(name)
    assert re.fullmatch(r"https://\S+[^/#]", config["global"]["external_labels"]["runbooks"])
    assert config["rule_files"] == ["rules.yml", "alerts.yml"]
    assert {"action": "labeldrop", "regex": "runbooks"} in config["alerting"]["alert_relabel_configs"]


def test_the_parts_around_the_programs_are_scraped_where_compose_has_them() -> None:
    services = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]
    jobs = {job["job_name"]: job for job in configuration("prometheus.yml")["scrape_configs"]}
    targets = {name: job["static_configs"][0]["targets"][0] for name, job in jobs.items() if "static_configs" in job}
    assert targets.keys() == jobs.keys() - {"pharos-edge"}
    assert {target.split(":")[0] for target in targets.values()} <= services.keys()
    assert jobs["pharos-edge"]["relabel_configs"][-1]["replacement"].split(":")[0] in services
    assert configuration("prometheus.yml")["alerting"]["alertmanagers"][0]["path_prefix"] == "/alertmanager"
    asked = {name for rule in rules("alerts.yml") for name in re.findall(r'job="([\w-]+)"', rule["expr"])}
    assert asked <= jobs.keys()
    server = ElementTree.parse(ROOT / "deploy/clickhouse/server.xml").getroot()
    assert targets["clickhouse"] == f"clickhouse:{server.findtext('prometheus/port')}"


def test_every_alert_has_a_runbook() -> None:
    headings = re.findall(r"^#+ (Pharos\w+)$", (ROOT / "docs/runbooks.md").read_text(), re.MULTILINE)
    alerts = [rule["alert"] for rule in rules("alerts.yml")]
    assert sorted(headings) == sorted(alerts)
    for rule in rules("alerts.yml"):
        assert rule["annotations"]["runbook_url"] == "{{ $externalLabels.runbooks }}#" + rule["alert"].lower()
        assert rule["labels"]["severity"] in ("critical", "warning", "info", "none")


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


async def test_dashboards_and_alerts_on_the_real_programs(tmp_path: Path, start: Callable[..., Program]) -> None:
    """Traffic shows on every panel; a sink that stops working is missed, and no longer when it works again."""
    local = Local(tmp_path / "var", start, schema=True)
    ports = {
        stage: local.env[f"PHAROS_LOCAL_{stage.upper()}_ADMIN_PORT"] for stage in ("collector", "enricher", "sink")
    }
    program = await local.up()
    prometheus = Prometheus(tmp_path / "prometheus", start, scraping(ports))
    async with aiohttp.ClientSession() as http:
        done = asyncio.Event()
        traffic = asyncio.create_task(_traffic(http, local.collector, done))

        async def every_panel() -> bool:
            for dashboard in (dashboards.PIPELINE, dashboards.COLLECTOR):
                for query in dashboards.queries(dashboard):
                    if not await prometheus.ask(http, query):
                        return False
            return True

        await prometheus.up(http)
        await until(every_panel, "data on every panel")
        # The embedded broker has neither transactions nor commit metadata: that one is right.
        assert await prometheus.firing(http) <= {
            "PharosNotExactlyOnce",
            "PharosRefusalsJump",
            "PharosRefusalsRise",
            "PharosWatchdog",
        }

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
    """Ten visits a second: most go well, one in twenty has an invalid event name, one buys something."""
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
    """Every query of the ClickHouse dashboard as the read-only user; for every model, where it names one."""
    asked = set()
    for model in dashboards.MODELS:
        for sql in dashboards.queries(dashboards.ATTRIBUTION):
            values = {"$site": "demo", "$conversion": "purchase", "$model": model}
            values |= {"$__from": "0", "$__to": "4102444800000"}
            for name, value in values.items():
                sql = sql.replace(name, value)
            if sql in asked:
                continue
            asked.add(sql)
            async with http.post(clickhouse, params={"user": "analyst"}, data=sql) as answer:
                text = await answer.text()
                assert answer.status == 200, (sql, text)
                assert text.strip(), sql


@pytest.mark.parametrize("dashboard", dashboards.DASHBOARDS, ids=lambda one: one.uid)
def test_no_query_is_written_twice(dashboard: dashboards.Dashboard) -> None:
    asked = dashboards.queries(dashboard)
    assert len(asked) == len(set(asked))
