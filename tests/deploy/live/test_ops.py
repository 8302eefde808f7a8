"""edge/ops-locations.conf in a real nginx: who needs a password, and where paths lead."""

from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests import needs
from tests.deploy.edges import DEPLOY
from tests.ports import free_port
from tests.processes import Program
from tests.waiting import until

SERVICES = {
    "grafana:3000",
    "prometheus:9090",
    "alertmanager:9093",
    "clickhouse:8123",
    "collector:9100",
    "enricher:9101",
}


@pytest.fixture
async def ops(tmp_path: Path, start: Callable[..., Program]) -> str:
    """nginx before one server that says which service was meant and which path and password it got."""
    locations = (DEPLOY / "edge/ops-locations.conf").read_text()
    report = (DEPLOY / "edge/report-locations.conf").read_text()
    locations = locations.replace("include /etc/nginx/report-locations.conf;", report)
    locations = locations.replace("/usr/share/pharos/report", str(DEPLOY / "report/dist"))
    port, status = free_port(), free_port()
    for service in SERVICES:
        own = web.Application()

        async def answer(request: web.Request, service: str = service) -> web.Response:
            sent = request.headers.get("Authorization", "")
            if service == "clickhouse:8123" and sent == aiohttp.encode_basic_auth("anna", "wrong"):
                return web.Response(status=403, headers={"WWW-Authenticate": "Basic"})
            return web.json_response([service, request.path_qs, sent])

        own.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(own)
        await runner.setup()
        behind = free_port()
        await web.TCPSite(runner, "127.0.0.1", behind).start()
        assert service in locations
        locations = locations.replace(service, f"127.0.0.1:{behind}")
    (tmp_path / "htpasswd").write_text("ops:{PLAIN}s3cret\n")
    (tmp_path / "ops-locations.conf").write_text(locations.replace("/run/ops", str(tmp_path)))
    servers = (DEPLOY / "edge/ops-compose.conf").read_text().replace("/etc/nginx", str(tmp_path))
    servers = servers.replace("listen 8001", f"listen 127.0.0.1:{port}").replace("8002", f"127.0.0.1:{status}")
    paths = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/nginx.pid; events {{}} http {{ access_log off; {paths} {servers} }}"
    )
    program = start(
        [needs.program("nginx", "nginx"), "-c", tmp_path / "nginx.conf", "-p", tmp_path, "-e", "stderr",
         "-g", "daemon off; user root;"]
    )  # fmt: skip

    async def answers() -> bool:
        assert program.running, program.output()
        try:
            async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{status}/nginx_status") as page:
                return "Active connections" in await page.text()
        except aiohttp.ClientError:
            return False

    await until(answers, "nginx")
    return f"http://127.0.0.1:{port}"


async def test_who_is_let_in_and_where_paths_lead(ops: str) -> None:
    async with aiohttp.ClientSession() as http:

        async def get(path: str, user: str = "", password: str = "") -> tuple[int, list[str]]:
            headers = {"Authorization": aiohttp.encode_basic_auth(user, password)} if user else {}
            async with http.get(ops + path, headers=headers) as answer:
                return answer.status, await answer.json() if answer.status == 200 else []

        for name, service in (("prometheus", "prometheus:9090"), ("alertmanager", "alertmanager:9093")):
            path = f"/{name}/api?query=up"
            assert (await get(path))[0] == 401
            assert (await get(path, "ops", "wrong"))[0] == 401
            assert await get(path, "ops", "s3cret") == (200, [service, path, ""]), "and keeps the password for itself"
        assert await get("/d/pharos-pipeline") == (200, ["grafana:3000", "/d/pharos-pipeline", ""])
        status, (service, path, sent) = await get("/clickhouse/?query=SELECT+1", "anna", "own")
        assert (status, service, path) == (200, "clickhouse:8123", "/?query=SELECT+1")
        assert sent.startswith("Basic "), "ClickHouse knows its users itself"


async def test_the_report_is_asked_as_the_user_who_opens_it(ops: str) -> None:
    anna, wrong = aiohttp.encode_basic_auth("anna", "own"), aiohttp.encode_basic_auth("anna", "wrong")
    async with aiohttp.ClientSession() as http:

        async def ask(path: str, credentials: str = "", sql: str = "") -> tuple[int, list[str]]:
            headers = {"Authorization": credentials} if credentials else {}
            async with http.request("POST" if sql else "GET", ops + path, headers=headers, data=sql or None) as answer:
                assert "WWW-Authenticate" not in answer.headers
                return answer.status, await answer.json() if answer.status == 200 else []

        async with http.get(f"{ops}/report") as page:
            assert page.url.path == "/report/"
            assert "<title>Pharos report</title>" in await page.text()
            assert page.headers["X-Frame-Options"] == "DENY"
        status, (service, path, sent) = await ask("/report/query", anna, "SELECT 1")
        assert (status, service, sent) == (200, "clickhouse:8123", anna)
        assert "wait_end_of_query=1" in path
        assert await ask("/report/refused", anna) == (200, ["collector:9100", "/refused", ""])
        explain = "/explain?event_id=a-b&at=17"
        assert await ask(f"/report{explain}", anna) == (200, ["enricher:9101", explain, ""])
        dead = "/dead?since=2026-10-01&until=2026-10-02&tz=UTC"
        assert await ask(f"/report{dead}", anna) == (200, ["enricher:9101", dead, ""])
        for path in ("/report/query", "/report/refused", f"/report{explain}", f"/report{dead}"):
            sql = "SELECT 1" if path.endswith("query") else ""
            assert (await ask(path, "", sql))[0] == 401, "no user: ClickHouse's own `default` is not asked"
            assert (await ask(path, wrong, sql))[0] == 403
        assert (await ask("/report/user", anna))[0] == 404
