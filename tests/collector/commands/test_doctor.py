"""The doctor: each judge by what it should and should not mind, and a look at real edges, whole and broken."""

import sys
from collections.abc import AsyncIterator, Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from collector.commands import doctor, doctor_requests
from collector.commands.doctor_findings import judge
from collector.commands.doctor_requests import Answer, Place, Seen, Tls
from collector.http.doctor_probe import SeenAs
from tests.ports import free_port
from tests.processes import Program
from tests.waiting import until

ROOT = Path(__file__).parents[3]
NOW = 1_795_334_400.0
COOKIE = "_pid=00; Max-Age=34128000; Path=/; Secure; HttpOnly; SameSite=Lax"
PIXEL = {
    "x-pharos": "accepted",
    "cache-control": "no-store, no-cache, must-revalidate, private, max-age=0",
    "date": formatdate(NOW, usegmt=True),
    "alt-svc": 'h3=":443"',
}


def answer(status: int = 200, body: bytes = b"GIF89a", cookies: tuple[str, ...] = (), **headers: str) -> Answer:
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, cookies, body, NOW)


WELL = Seen(
    url="https://px.shop.example",
    site="shop",
    origin="https://www.shop.example",
    first=Answer(200, PIXEL, (COOKIE,), b"GIF89a", NOW),
    again=Answer(200, PIXEL, (COOKIE,), b"GIF89a", NOW),
    refused=answer(x_pharos="refused; unknown_site"),
    posted=answer(202),
    preflight_stranger=answer(204, access_control_allow_origin="*"),
    preflight_own=answer(
        204, access_control_allow_origin="https://www.shop.example", access_control_allow_credentials="true"
    ),
    tag=answer(cache_control="public, max-age=3600", etag='"1"'),
    tag_again=answer(304),
    hidden={"/metrics": answer(404)},
    plain=answer(308),
    tls=Tls("TLSv1.3", "h2", 60),
    place=Place("px.shop.example", "edge.shop.example", ("192.0.2.7", "2001:db8::7")),
    page=Place("www.shop.example", "", ("192.0.99.7",)),
    seen_as=SeenAs("header", "198.51.100.0", ()),
    forged={name: SeenAs("header", "198.51.100.0", ()) for name in doctor_requests.FORGERIES},
    own=("198.51.100.7", "2001:db8:5::7"),
)
LIE = {"X-Forwarded-For": SeenAs("header", "203.0.113.0", ())}


def test_nothing_to_say_of_a_good_one() -> None:
    assert {finding.level for finding in judge(WELL)} == {"ok"}


@pytest.mark.parametrize(
    ("change", "topic"),
    [
        ({"first": WELL.first._replace(status=403)}, "pixel"),
        ({"first": WELL.first._replace(body=b"<html>")}, "pixel"),
        ({"first": WELL.first._replace(headers=PIXEL | {"x-pharos": "refused; unknown_site"})}, "pixel"),
        ({"place": WELL.place._replace(canonical="shop.tracker.example.net")}, "dns"),
        ({"page": Place("www.shop.example", "", ("198.51.100.7",))}, "dns"),
        ({"tls": None}, "tls"),
        ({"tls": Tls("TLSv1.3", "h2", 3)}, "tls"),
        ({"plain": answer(200)}, "tls"),
        ({"first": WELL.first._replace(headers=PIXEL | {"cache-control": "max-age=60"})}, "cache"),
        ({"first": WELL.first._replace(headers=PIXEL | {"age": "12"})}, "cache"),
        ({"again": WELL.again._replace(headers=PIXEL | {"x-cache": "Hit from cloudfront"})}, "cache"),
        ({"first": WELL.first._replace(cookies=("_pid=00; Path=/; Secure; HttpOnly; SameSite=Lax",))}, "cookie"),
        ({"first": WELL.first._replace(cookies=(COOKIE.replace("Secure; ", ""),))}, "cookie"),
        ({"again": WELL.again._replace(cookies=(COOKIE.replace("00", "11"),))}, "cookie"),
        ({"refused": answer(404)}, "refusals"),
        ({"posted": answer(405)}, "tag's way"),
        (
            {
                "preflight_stranger": answer(
                    access_control_allow_origin=doctor_requests.STRANGER, access_control_allow_credentials="true"
                )
            },
            "cors",
        ),
        ({"preflight_own": answer(204, access_control_allow_origin="*")}, "cors"),
        ({"tag": answer(404)}, "tag"),
        ({"tag_again": answer(200)}, "tag"),
        ({"first": WELL.first._replace(at=NOW + 90)}, "clock"),
        ({"hidden": {"/metrics": answer(200)}}, "admin"),
        # The proxy is not trusted, or says nothing, or something else.
        ({"seen_as": SeenAs("untrusted", "", ())}, "address"),
        ({"seen_as": SeenAs("peer", "10.0.3.0", ()), "own": ()}, "address"),
        ({"seen_as": SeenAs("broken", "", ())}, "address"),
        # nginx behind a CDN, which takes the CDN's node for the client.
        ({"seen_as": SeenAs("header", "172.68.1.0", ("cf-connecting-ip",)), "own": ()}, "address"),
        ({"seen_as": SeenAs("header", "172.68.1.0", ())}, "address"),
        ({"forged": {**WELL.forged, **LIE}}, "address"),
        ({"forged": {**WELL.forged, "X-Forwarded-For": SeenAs("broken", "", ())}}, "address"),
    ],
)
def test_one_fault_is_one_finding(change: dict[str, Any], topic: str) -> None:
    bad = [finding for finding in judge(WELL._replace(**change)) if finding.level == "bad"]
    assert [finding.topic for finding in bad] == [topic]
    assert all(finding.fix for finding in bad)


@pytest.mark.parametrize(
    ("change", "level"),
    [
        ({"seen_as": None}, "note"),
        ({"own": ()}, "note"),
        ({"own": ("2001:db8:5::7",)}, "note"),
        ({"url": "http://px.shop.example", "seen_as": SeenAs("peer", "198.51.100.0", ())}, "ok"),
        ({"url": "http://px.shop.example", "seen_as": SeenAs("peer", "198.51.100.0", ()), "own": ()}, "note"),
    ],
)
def test_what_cannot_be_known_of_the_address_is_a_note(change: dict[str, Any], level: str) -> None:
    told = [finding.level for finding in judge(WELL._replace(**change)) if finding.topic == "address"]
    assert told == [level]


@pytest.fixture
async def collector(tmp_path: Path, start: Callable[..., Program]) -> str:
    """A real collector's base URL."""
    port = free_port()
    env = {
        "PHAROS_COLLECTOR_PORT": str(port),
        "PHAROS_COLLECTOR_ADMIN_PORT": str(free_port()),
        "PHAROS_COLLECTOR_SITES": str(ROOT / "deploy/local/sites.toml"),
        "PHAROS_COLLECTOR_SPOOL_DIR": str(tmp_path / "spool"),
        "PHAROS_COLLECTOR_KAFKA": f"127.0.0.1:{free_port()}",
    }
    program = start([sys.executable, "-m", "collector"], env=env, cwd=ROOT)
    url = f"http://localhost:{port}"

    async def up() -> bool:
        assert program.running, program.output()
        try:
            async with aiohttp.ClientSession() as http, http.get(f"{url}/robots.txt") as got:
                return got.status == 200
        except aiohttp.ClientError:
            return False

    await until(up, "the collector's first answer")
    return url


async def test_a_real_collector_lacks_nothing_but_tls(collector: str) -> None:
    seen = await doctor_requests.look(collector, "demo", "http://localhost:8088", "", None)
    assert [finding.topic for finding in judge(seen) if finding.level == "bad"] == ["tls"]
    assert {finding.topic for finding in judge(seen) if finding.level == "ok"} >= {
        "pixel", "cache", "cookie", "refusals", "tag's way", "cors", "tag", "clock", "admin", "address",
    }  # fmt: skip


@pytest.fixture
async def bad_edge(collector: str) -> AsyncIterator[str]:
    """An edge as people build it by mistake: caches everything, drops Set-Cookie's flags, allows every origin."""
    kept: dict[str, tuple[int, dict[str, str], bytes]] = {}

    async def through(request: web.Request) -> web.Response:
        if request.path_qs not in kept or request.method != "GET":
            async with (
                aiohttp.ClientSession() as http,
                http.request(request.method, collector + request.path_qs, data=await request.read()) as got,
            ):
                headers = {name: got.headers[name] for name in ("X-Pharos", "Content-Type") if name in got.headers}
                kept[request.path_qs] = (got.status, headers, await got.read())
        status, headers, body = kept[request.path_qs]
        allow = {"Access-Control-Allow-Origin": request.headers.get("Origin", "*")}
        allow |= {"Access-Control-Allow-Credentials": "true", "Cache-Control": "public, max-age=60", "X-Cache": "HIT"}
        return web.Response(status=status, body=body, headers=headers | allow)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", through)
    runner = web.AppRunner(application)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "localhost", port).start()
    yield f"http://localhost:{port}"
    await runner.cleanup()


async def test_a_bad_edge_is_seen_through(bad_edge: str) -> None:
    seen = await doctor_requests.look(bad_edge, "demo", "", "", None)
    bad = {finding.topic for finding in judge(seen) if finding.level == "bad"}
    assert bad >= {"tls", "cache", "cors", "tag"}


async def test_an_address_that_somebody_told_is_compared(collector: str) -> None:
    """As behind a proxy that the collector takes for everybody: it sees 127.0.0.1, and we are somebody else."""
    seen = await doctor_requests.look(collector, "demo", "", "", None, own=("198.51.100.7", "2001:db8:5::7"))
    (found,) = (finding for finding in judge(seen) if finding.topic == "address")
    assert (found.level, "proxy" in found.says) == ("bad", True)


@pytest.mark.parametrize("text", ["me", "198.51.100.7,", "198.51.100.0/24"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(SystemExit):
        doctor.main(["--url", "http://localhost", "--site", "demo", "--address", text])


def test_nobody_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(["--url", f"http://127.0.0.1:{free_port()}", "--site", "demo"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
