"""Debian's Prometheus and Alertmanager with our configuration, on this run's ports and by a clock that runs faster."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml

from tests import needs
from tests.ports import free_port
from tests.processes import Program
from tests.waiting import until

FOLDER: Final = Path(__file__).parents[2] / "deploy/prometheus"
SCALED: Final = {"30m": "20s", "15m": "15s", "5m": "10s", "2m": "6s", "1h": "20s", "6h": "30s", "1d": "60s"}
"""Windows of the rules in a test: Prometheus scrapes every second, so that no test waits for an hour."""
PATIENCE: Final = ("pharos:lag:seconds > 30", "pharos:lag:seconds > 3")

Start = Callable[..., Program]


def configuration(name: str) -> dict[str, Any]:
    """Return one of our configurations, as data."""
    found = yaml.safe_load((FOLDER / name).read_text())
    assert isinstance(found, dict)
    return found


def scraping(ports: Mapping[str, str | int]) -> dict[str, Any]:
    """Return prometheus.yml with the stages on these ports."""
    config = configuration("prometheus.yml")
    jobs = {job["job_name"].removeprefix("pharos-"): job for job in config["scrape_configs"]}
    config["scrape_configs"] = [jobs[stage] for stage in ports]
    for stage, job in jobs.items():
        if stage in ports:
            job["static_configs"] = [{"targets": [f"127.0.0.1:{ports[stage]}"]}]
    return config


class Prometheus:
    """A running one; it sends its alerts to the Alertmanager on `alertmanager`, if that is a port."""

    def __init__(self, folder: Path, start: Start, config: dict[str, Any], alertmanager: int = 0) -> None:
        binary = needs.program("prometheus", "prometheus")
        folder.mkdir()
        config["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        targets = [f"127.0.0.1:{alertmanager}"] if alertmanager else []
        config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": targets}]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        for name in config["rule_files"]:
            text = re.sub(r"\[(\w+)\]", lambda found: f"[{SCALED[found[1]]}]", (FOLDER / name).read_text())
            if name == "alerts.yml":
                assert text.count(PATIENCE[0]) == 1
                text = text.replace(*PATIENCE)
            (folder / name).write_text(re.sub(r"for: \w+", "for: 2s", text))
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        options = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
        self.program = start([binary, *options, f"--web.listen-address=127.0.0.1:{port}"])

    async def up(self, http: aiohttp.ClientSession) -> None:
        """Return when it answers."""

        async def answers() -> bool:
            assert self.program.running, self.program.output()
            try:
                return bool(await self.ask(http, "vector(1)"))
            except aiohttp.ClientError:
                return False

        await until(answers, "Prometheus")

    async def ask(self, http: aiohttp.ClientSession, query: str) -> list[Any]:
        async with http.get(f"{self.url}/api/v1/query", params={"query": query}) as answer:
            found = await answer.json()
        assert found["status"] == "success", (query, found)
        return list(found["data"]["result"])

    async def values(self, http: aiohttp.ClientSession, query: str) -> dict[str, float]:
        """Return the value of each series that is not 0, by its only label; "" where it has none."""
        found = {}
        for one in await self.ask(http, query):
            (label,) = [value for name, value in one["metric"].items() if name != "__name__"] or [""]
            found[label] = float(one["value"][1])
        return {label: value for label, value in found.items() if value}

    async def firing(self, http: aiohttp.ClientSession) -> set[str]:
        return {one["metric"]["alertname"] for one in await self.ask(http, 'ALERTS{alertstate="firing"}')}


class Alertmanager:
    """A running one, with alertmanager.yml as it is."""

    def __init__(self, folder: Path, start: Start) -> None:
        binary = needs.program("prometheus-alertmanager", "prometheus-alertmanager")
        self.port = free_port()
        options = [f"--config.file={FOLDER / 'alertmanager.yml'}", f"--storage.path={folder}"]
        self.program = start(
            [binary, *options, f"--web.listen-address=127.0.0.1:{self.port}", "--cluster.listen-address="]
        )

    async def alerts(self, http: aiohttp.ClientSession) -> dict[str, Any]:
        """Return the alerts that it knows, by name."""
        async with http.get(f"http://127.0.0.1:{self.port}/api/v2/alerts") as answer:
            return {one["labels"]["alertname"]: one for one in await answer.json()}
