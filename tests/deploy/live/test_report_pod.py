"""deploy/kubernetes/report in a real nginx: what the pod prepares, serves and asks. No cluster is run."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web

from tests import needs
from tests.deploy.edges import DEPLOY
from tests.ports import free_port
from tests.processes import Program
from tests.waiting import until

KUBECTL = Path(sys.executable).parent / "kubectl"
ANNA = aiohttp.encode_basic_auth("anna", "own")


def pod() -> tuple[dict[str, Any], dict[str, str]]:
    """Return the pod of the example's overlay, and the settings of its ConfigMap."""
    command: list[str | Path] = [KUBECTL, "kustomize", DEPLOY / "kubernetes/example"]
    found = list(yaml.safe_load_all(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout))
    (report,) = (one for one in found if one["kind"] == "Deployment" and one["metadata"]["name"] == "pharos-report")
    spec: dict[str, Any] = report["spec"]["template"]["spec"]
    (names,) = (entry["configMapRef"]["name"] for entry in spec["initContainers"][0]["envFrom"])
    (settings,) = (one["data"] for one in found if one["metadata"]["name"] == names)
    return spec, settings


def image(folder: Path) -> Path:
    """Make what the Dockerfile's last stage copies from the repository."""
    last = (DEPLOY / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    for line in last.splitlines():
        if line.startswith("COPY deploy/"):
            _, source, target = line.split()
            own = folder / target.removeprefix("/")
            own.parent.mkdir(parents=True, exist_ok=True)
            if target.endswith("/"):
                own.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-R", DEPLOY.parent / source, own], check=True, timeout=30)
    return folder


def prepared(script: Path, env: dict[str, str]) -> None:
    """Run what the pod runs before nginx."""
    subprocess.run(["/bin/sh", script], env={"PATH": os.environ["PATH"], **env}, check=True, timeout=30)


@pytest.mark.parametrize("resolv", ["nameserver 127.0.0.1\n", "search a.b\nnameserver fd00::a\nnameserver 127.0.0.1\n"])
async def test_the_pod_serves_the_report_and_asks_the_clusters_names(
    tmp_path: Path, start: Callable[..., Program], resolv: str
) -> None:
    spec, settings = pod()
    (prepare,), (nginx,) = spec["initContainers"], spec["containers"]
    env = {entry["name"]: entry["value"] for entry in prepare["env"] if "value" in entry} | settings
    assert env["COLLECTOR"].endswith(".svc.cluster.local:9100")
    assert env["ENRICHER"].endswith(".svc.cluster.local:9101")

    behind = {}
    for name in ("CLICKHOUSE", "COLLECTOR", "ENRICHER"):
        own = web.Application()

        async def answer(request: web.Request, name: str = name) -> web.Response:
            return web.json_response([name, request.path])

        own.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(own)
        await runner.setup()
        behind[name] = free_port()
        await web.TCPSite(runner, "127.0.0.1", behind[name]).start()
    site, port = tmp_path / "site", free_port()
    site.mkdir()
    (tmp_path / "resolv.conf").write_text(resolv)
    env |= {
        "CLICKHOUSE": f"http://127.0.0.1:{behind['CLICKHOUSE']}",
        "COLLECTOR": f"127.0.0.1:{behind['COLLECTOR']}",
        "ENRICHER": f"127.0.0.1:{behind['ENRICHER']}",
        "FROM": str(image(tmp_path / "image")) + env["FROM"],
        "SITE": str(site),
        "RESOLV": str(tmp_path / "resolv.conf"),
    }
    folder = DEPLOY / "kubernetes/report"
    prepared(folder / Path(prepare["command"][-1]).name, env)
    resolver = "[fd00::a]" if "::" in resolv else "127.0.0.1"
    assert (site / "resolver.conf").read_text() == f"resolver {resolver} valid=5s;\n"
    locations = site / "locations.conf"
    locations.write_text(locations.read_text().replace("/usr/share/pharos", str(site)))
    config = (folder / Path(nginx["command"][4]).name).read_text().replace("/tmp/", f"{tmp_path}/")
    config = config.replace("/usr/share/pharos", str(site)).replace("listen 8080", f"listen 127.0.0.1:{port}")
    (tmp_path / "nginx.conf").write_text(config)
    program = start([needs.program("nginx", "nginx"), *nginx["command"][1:3], "-c", tmp_path / "nginx.conf",
                     "-g", nginx["command"][-1] + " user root;"])  # fmt: skip
    url = f"http://127.0.0.1:{port}"

    async def answers() -> bool:
        assert program.running, program.output()
        try:
            async with aiohttp.ClientSession() as http, http.get(f"{url}/healthz") as page:
                return page.status == 200
        except aiohttp.ClientError:
            return False

    await until(answers, "nginx")
    async with aiohttp.ClientSession() as http:
        async with http.get(url) as page:
            assert page.url.path == "/report/"
            assert "<title>Pharos report</title>" in await page.text()
        async with http.get(f"{url}/report/report.js") as page:
            assert (page.status, page.content_type) == (200, "application/javascript")
        for path, service in (
            ("query", "CLICKHOUSE"),
            ("refused", "COLLECTOR"),
            ("explain", "ENRICHER"),
            ("dead", "ENRICHER"),
        ):
            async with http.get(f"{url}/report/{path}", headers={"Authorization": ANNA}) as answer_of:
                assert (await answer_of.json())[0] == service
            async with http.get(f"{url}/report/{path}") as refused:
                assert refused.status == 401


def test_a_clickhouse_with_tls_is_asked_with_tls(tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text("nameserver 10.0.0.10\n")
    env = {"CLICKHOUSE": "https://db.example.com:8443", "COLLECTOR": "c:9100", "ENRICHER": "e:9101"}
    paths = {"FROM": str(DEPLOY), "SITE": str(tmp_path), "RESOLV": str(tmp_path / "resolv.conf")}
    prepared(DEPLOY / "kubernetes/report/prepare.sh", {**env, **paths})
    text = (tmp_path / "locations.conf").read_text()
    assert text.count("https://$clickhouse") == 2
    assert "http://$clickhouse" not in text
    assert text.count("db.example.com:8443;") == 2
