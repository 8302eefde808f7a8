"""What Prometheus answers is what was sent, through nginx and all three programs; and a killed sink is missed."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.brokers import ApacheKafka
from tests.clickhouse import ClickHouse
from tests.deploy import edges
from tests.deploy.prometheus import Alertmanager, Prometheus, configuration, scraping
from tests.e2e.system import System
from tests.ports import free_port
from tests.processes import Program
from tests.waiting import until

KUBERNETES = Path(__file__).parents[2] / "deploy/kubernetes"
BASE = KUBERNETES / "base"
SITES = """
[sites.demo]
consent = "assumed"
[sites.shop]
consent = "assumed"
"""
PIXELS: tuple[tuple[int, dict[str, str]], ...] = (
    (40, {"s": "demo", "u": "https://demo.example/"}),
    (25, {"s": "shop", "u": "https://shop.example/p/1"}),
    (7, {"s": "demo", "e": "no event!"}),
    (5, {"s": "nobody"}),
    (3, {"s": "demo", "u": "https://demo.example:99999/"}),  # taken by the collector; no URL to the enricher
)
POSTS = 10


@pytest.fixture
async def system(apache_kafka: ApacheKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[System]:
    """The three programs before a ClickHouse of their own; the collector believes nginx."""
    monkeypatch.setenv("PHAROS_COLLECTOR_TRUSTED_PROXIES", "127.0.0.1")
    clickhouse = ClickHouse(tmp_path, schema=True)
    clickhouse.start()
    whole = System(tmp_path / "system", apache_kafka, clickhouse, SITES)
    try:
        await whole.start()
        yield whole
    finally:
        whole.kill()
        clickhouse.kill()


async def _send(http: aiohttp.ClientSession, url: str) -> None:
    for number, query in PIXELS:
        for _ in range(number):
            async with http.get(f"{url}/p.gif", params=query) as answer:
                assert answer.status == 200
    for _ in range(POSTS):
        async with http.post(f"{url}/e", json={"site": "demo", "event": "signup"}) as answer:
            assert answer.status == 202


async def test_prometheus_answers_what_was_sent_and_misses_a_killed_sink(
    system: System, tmp_path: Path, start: Callable[..., Program]
) -> None:
    alertmanager = Alertmanager(tmp_path / "alertmanager", start)
    prometheus = Prometheus(tmp_path / "prometheus", start, scraping(system.admin), alertmanager.port)
    url, nginx = edges.nginx(tmp_path, start, [system.port])
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        await prometheus.up(http)

        async def scraped() -> bool:
            return len(await prometheus.values(http, "sum by (job) (up)")) == 3

        await until(scraped, "all three stages are scraped")
        await _send(http, url)
        sent = {
            'sum by (site) (pharos_collector_hits_total{result="accepted"})': {"demo": 53, "shop": 25},
            'sum by (result) (pharos_collector_hits_total{result!="accepted"})': {"bad_event": 7, "unknown_site": 5},
            "sum by (why) (pharos_collector_address_faults_total)": {},
            "sum(pharos_collector_forwarded_hits_total)": {"": 78},
            "sum by (result) (pharos_enricher_hits_total)": {"enriched": 78},
            "sum(pharos_sink_rows_total)": {"": 78},
            "sum(pharos_sink_freshness_seconds_count)": {"": 78},
            "sum by (reason) (pharos_sink_dead_total)": {},
        }

        async def told() -> bool:
            return {query: await prometheus.values(http, query) for query in sent} == sent

        try:
            await until(told, "Prometheus knows what was sent")
        except TimeoutError:
            assert {query: await prometheus.values(http, query) for query in sent} == sent
        assert nginx.running
        assert system.count() == 78
        await _killed(system, url, http, prometheus, alertmanager)


async def _killed(
    system: System, url: str, http: aiohttp.ClientSession, prometheus: Prometheus, alertmanager: Alertmanager
) -> None:
    """Kill the sink under traffic: its own lag metric is gone, and yet the recorded lag grows until it returns."""
    done = asyncio.Event()

    async def traffic() -> None:
        while not done.is_set():
            async with http.get(f"{url}/p.gif", params=PIXELS[0][1]):
                await asyncio.sleep(0.1)

    async with asyncio.TaskGroup() as group:
        group.create_task(traffic())
        await _missed(system, http, prometheus, alertmanager)
        done.set()


async def _missed(
    system: System, http: aiohttp.ClientSession, prometheus: Prometheus, alertmanager: Alertmanager
) -> None:
    missing = {"PharosSinkLags", "PharosSinkDown", "PharosSinkStalled"}
    assert not missing & await prometheus.firing(http)
    system.programs["sink"].kill()

    async def missed() -> bool:
        return await prometheus.firing(http) >= missing

    await until(missed, "the lag alert of a sink that is dead")
    assert await prometheus.ask(http, "pharos_sink_lag_seconds") == []
    before = (await prometheus.values(http, "pharos:lag:seconds"))[""]

    async def grown() -> bool:
        return (await prometheus.values(http, "pharos:lag:seconds"))[""] > before + 2

    await until(grown, "the lag goes on growing")

    async def heard() -> Any:
        return (await alertmanager.alerts(http)).get("PharosSinkLags")

    alert = await until(heard, "Alertmanager hears of it")
    page = configuration("prometheus.yml")["global"]["external_labels"]["runbooks"]
    assert alert["annotations"]["runbook_url"] == f"{page}#pharossinklags"
    assert alert["labels"] == {"alertname": "PharosSinkLags", "severity": "warning"}

    system.start_stage("sink")

    async def well() -> bool:
        return not missing & await prometheus.firing(http)

    await until(well, "the end of the alerts")


def _pods() -> list[dict[str, str]]:
    """Return what Kubernetes' discovery would say of each port of our pods, and of some that are not to be scraped."""
    found: list[dict[str, str]] = []
    for file in [KUBERNETES / "forward/forward.yaml", *sorted(BASE.glob("*.yaml"))]:
        for one in yaml.safe_load_all(file.read_text()):
            if one["kind"] not in ("Deployment", "StatefulSet"):
                continue
            template = one["spec"]["template"]
            labels = template["metadata"]["labels"]
            pod = {f"pod_label_{re.sub(r'[^a-zA-Z0-9]', '_', name)}": value for name, value in labels.items()}
            pod |= {"pod_name": f"{one['metadata']['name']}-0", "pod_phase": "Running"}
            (container,) = template["spec"]["containers"]
            found += [pod | {"pod_container_port_name": port["name"]} for port in container["ports"]]
    ended = found[-1] | {"pod_name": "pharos-sink-old", "pod_phase": "Failed"}
    return [*found, ended, found[-1] | {"pod_label_app_kubernetes_io_name": "grafana"}]


async def test_in_kubernetes_each_stage_gets_the_name_that_the_alerts_ask_for(
    tmp_path: Path, start: Callable[..., Program]
) -> None:
    """Debian's Prometheus has no Kubernetes in it: what discovery would say is made of the pods' own manifests."""
    config = configuration("kubernetes.yml")
    (job,) = config["scrape_configs"]
    (discovery,) = job.pop("kubernetes_sd_configs")
    namespace = yaml.safe_load((BASE / "kustomization.yaml").read_text())["namespace"]
    assert discovery == {"role": "pod", "namespaces": {"names": [namespace]}}
    job["static_configs"] = [
        {
            "targets": [f"127.0.0.1:{free_port()}"],
            "labels": {f"__meta_kubernetes_{name}": value for name, value in pod.items()},
        }
        for pod in _pods()
    ]
    prometheus = Prometheus(tmp_path / "prometheus", start, config)
    async with aiohttp.ClientSession() as http:
        await prometheus.up(http)
        stages = ("collector", "enricher", "sink", "forward")
        expected = {f"pharos-{stage}": f"pharos-{stage}-0" for stage in stages}

        async def named() -> bool:
            found = await prometheus.ask(http, "up")
            return {one["metric"]["job"]: one["metric"]["instance"] for one in found} == expected and len(found) == 4

        await until(named, f"the targets {json.dumps(expected)}")

        async def down() -> bool:
            found = await prometheus.ask(http, 'ALERTS{alertname=~"Pharos.*Down", alertstate="firing"}')
            return {one["metric"].get("instance") for one in found} == set(expected.values()) - {"pharos-forward-0"}

        await until(down, "the alerts of pods that do not answer")
