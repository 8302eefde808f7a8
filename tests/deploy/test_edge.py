"""What an edge must do for the collector: our cookies only, the client's own address, no cached hit, a cached tag.

Long: each promise is tried on every edge.
"""

import asyncio
import itertools
import signal
import socket
import struct
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import cast

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from collector.commands import doctor_findings, doctor_requests
from collector.http.doctor_probe import MARK
from tests.deploy import edges
from tests.ports import free_port
from tests.processes import Program
from tests.waiting import until, until_now

ROOT = Path(__file__).parents[2]
FOREIGN = "session=secret; _pid=00112233445566778899aabbccddeeff; _ga=GA1.2; _pcs=1"


class Upstream:
    """Takes the collector's place, and keeps the requests."""

    def __init__(self) -> None:
        self.seen: list[web.Request] = []
        self.port = free_port()

    async def answer(self, request: web.Request) -> web.Response:
        self.seen.append(request)
        if request.path in ("/t.js", "/x.js"):
            return web.Response(text="tag", headers={"Cache-Control": "public, max-age=3600", "ETag": '"1"'})
        headers = {"Set-Cookie": "_pid=1; Path=/", "Cache-Control": "no-store"}
        return web.Response(text="pixel", headers=headers)


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    found = Upstream()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", found.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", found.port).start()
    yield found
    await runner.cleanup()


ADDRESS = {"nginx": "X-Forwarded-For", "varnish": "X-Forwarded-For", "fastly": "Fastly-Client-IP"}
"""The header in which each edge tells the client's address."""


@pytest.fixture(params=ADDRESS)
async def edge(
    request: pytest.FixtureRequest, tmp_path: Path, start: Callable[..., Program], upstream: Upstream
) -> tuple[str, str]:
    """The base URL of each edge in turn, before `upstream`, and its header for the client's address."""
    url, program = getattr(edges, request.param)(tmp_path, start, [upstream.port])
    await until(lambda: _answers(url, program), f"{request.param}'s first answer")
    upstream.seen.clear()
    return str(url), ADDRESS[request.param]


async def _answers(url: str, program: Program) -> bool:
    assert program.running, program.output()
    try:
        async with aiohttp.ClientSession() as http, http.get(f"{url}/robots.txt") as answer:
            return answer.status < 500
    except aiohttp.ClientError:
        return False


async def test_the_edge_passes_what_is_ours_and_nothing_else(edge: tuple[str, str], upstream: Upstream) -> None:
    url, address = edge
    lies = {
        address: "203.0.113.9",
        "Forwarded": "for=203.0.113.9",
        "X-Real-IP": "203.0.113.9",
        "X-Request-Id": "visitors-own",
        "Authorization": "Basic c2VjcmV0",
        "Cookie": FOREIGN,
        "User-Agent": "Mozilla/5.0 test",
        "Referer": "https://shop.example/p",
        "Sec-GPC": "1",
    }
    path = "/p.gif?s=demo&t=%C3%BC%20%2F&x.a=1"
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        async with http.get(URL(url + path, encoded=True), headers=lies) as answer:
            assert answer.headers.getall("Set-Cookie") == ["_pid=1; Path=/"]
            assert answer.headers["Cache-Control"] == "no-store"
        (got,) = upstream.seen
        assert dict(got.cookies) == {"_pid": "00112233445566778899aabbccddeeff", "_pcs": "1"}
        assert "secret" not in got.headers["Cookie"]
        assert got.headers[address] == "127.0.0.1"
        assert "Authorization" not in got.headers
        if address == "X-Forwarded-For":  # the collector reads Fastly's header alone
            assert "Forwarded" not in got.headers
            assert "X-Real-IP" not in got.headers
        assert got.headers["X-Request-Id"] not in ("", "visitors-own")
        assert got.raw_path == path
        for name in ("User-Agent", "Referer", "Sec-GPC"):
            assert got.headers[name] == lies[name]
        async with http.get(f"{url}/p.gif", headers={"Cookie": "session=secret"}):
            assert "Cookie" not in upstream.seen[-1].headers
        async with http.post(f"{url}/v1/events", headers={"Authorization": "Bearer t"}, data=b"[]"):
            assert upstream.seen[-1].headers["Authorization"] == "Bearer t"


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        ("_pcs=1; _pcs=0", {"_pcs": "0"}),
        ("_pcs=0; _pcs=1", {"_pcs": "0"}),
        ("_pno=0; a=b; _pno=1", {"_pno": "1"}),
        (f"_pid=GA1.2; _pid={'0a' * 16}", {"_pid": "0a" * 16}),
        (f"x_pid={'0b' * 16}; _pid={'0a' * 16}x; _pid={'0a' * 16}", {"_pid": "0a" * 16}),
        ("_pid=other", {"_pid": "other"}),
    ],
)
async def test_nginx_passes_the_cookie_that_counts_of_several_of_one_name(
    tmp_path: Path, start: Callable[..., Program], upstream: Upstream, sent: str, found: dict[str, str]
) -> None:
    url, program = edges.nginx(tmp_path, start, [upstream.port])
    await until(lambda: _answers(url, program), "nginx's first answer")
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
        http.get(f"{url}/p.gif", headers={"Cookie": sent}),
    ):
        assert dict(upstream.seen[-1].cookies) == found


async def test_a_client_of_http_1_0_without_host_is_served(edge: tuple[str, str], upstream: Upstream) -> None:
    port = URL(edge[0]).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /p.gif?s=demo HTTP/1.0\r\n\r\n")
    status = await reader.readline()
    writer.close()
    assert b" 200 " in status
    assert upstream.seen[-1].headers.get("Host")


async def test_hits_are_never_cached_and_the_tag_is(edge: tuple[str, str], upstream: Upstream) -> None:
    url, _ = edge
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        for path, most in (
            ("/p.gif?s=demo", 3),
            ("/o.gif?s=demo", 3),
            ("/c/yt", 3),
            ("/opt-out", 3),
            ("/t.js", 1),
            ("/x.js", 1),
        ):
            upstream.seen.clear()
            for _ in range(3):
                async with http.get(url + path, headers={"Cookie": FOREIGN}, allow_redirects=False) as answer:
                    await answer.read()
            assert len(upstream.seen) == most, path


class Collector:
    """A real collector, with its spool; Kafka is not needed for an answer."""

    def __init__(self, folder: Path, start: Callable[..., Program], trusted: str = "127.0.0.1") -> None:
        self.port, self.admin = free_port(), free_port()
        self._env = {
            "PHAROS_COLLECTOR_PORT": str(self.port),
            "PHAROS_COLLECTOR_ADMIN_PORT": str(self.admin),
            "PHAROS_COLLECTOR_SITES": str(ROOT / "deploy/local/sites.toml"),
            "PHAROS_COLLECTOR_SPOOL_DIR": str(folder / "spool"),
            "PHAROS_COLLECTOR_KAFKA": f"127.0.0.1:{free_port()}",
            "PHAROS_COLLECTOR_TRUSTED_PROXIES": trusted,
            "PHAROS_COLLECTOR_GRACE_S": "1",
            "PHAROS_COLLECTOR_DRAIN_S": "1",
        }
        self._start = start
        self.program = self.launch()

    def launch(self) -> Program:
        self.program = self._start([sys.executable, "-m", "collector"], env=self._env, cwd=ROOT)
        return self.program

    async def up(self) -> None:
        await until(lambda: _answers(f"http://127.0.0.1:{self.port}", self.program), "the collector's first answer")


@pytest.fixture
def collectors(tmp_path: Path, start: Callable[..., Program]) -> Callable[[], Collector]:
    numbers = itertools.count()
    return lambda: Collector(tmp_path / f"collector-{next(numbers)}", start)


CDNS = {
    "cloudflare": ("CF-Connecting-IP", "{}", "CF-Ray"),
    "fastly": ("Fastly-Client-IP", "{}", ""),
    "cloudfront": ("CloudFront-Viewer-Address", "{}:4711", "X-Amz-Cf-Id"),
}
NODE = "127.0.0.3"
"""Where the tests' CDN asks from; visitors that go round it come from 127.0.0.1."""


@pytest.mark.parametrize("cdn", CDNS)
@pytest.mark.parametrize("visitor", ["198.51.100.7", "2001:db8::7"])
async def test_nginx_takes_an_address_from_its_cdn_alone(
    cdn: str, visitor: str, tmp_path: Path, start: Callable[..., Program], upstream: Upstream
) -> None:
    edges.behind(cdn, tmp_path, f"{NODE}/32")
    url, program = edges.nginx(tmp_path, start, [upstream.port])
    await until(lambda: _answers(url, program), "nginx's first answer")
    own, form, request_id = CDNS[cdn]
    lies = {header: "203.0.113.9" for header, _, _ in CDNS.values()} | {"X-Forwarded-For": "203.0.113.9"}
    told = lies | {own: form.format(visitor)} | ({request_id: "ray-1"} if request_id else {})

    async def seen(source: str, headers: dict[str, str]) -> dict[str, str]:
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(local_addr=(source, 0))) as http,
            http.get(f"{url}/p.gif?s=demo", headers=headers) as answer,
        ):
            await answer.read()
        return {name.title(): value for name, value in upstream.seen[-1].headers.items()}

    got = await seen(NODE, told)
    assert got["X-Forwarded-For"] == visitor
    assert (got["X-Request-Id"] == "ray-1") == bool(request_id)
    assert not {header.title() for header, _, _ in CDNS.values()} & set(got)
    assert (await seen("127.0.0.1", told))["X-Forwarded-For"] == "127.0.0.1", "a visitor who plays the CDN"
    assert (await seen("127.0.0.1", told))["X-Request-Id"] != "ray-1"
    assert (await seen(NODE, lies | {own: "unknown"}))["X-Forwarded-For"] == NODE, "what is no address"


async def test_the_doctor_sees_an_nginx_that_takes_the_cdn_for_the_visitor(
    tmp_path: Path, start: Callable[..., Program], collectors: Callable[[], Collector]
) -> None:
    """With and without cdn/cloudflare.conf: only where the visitor's address differs from the node's can it tell."""
    collector = collectors()
    await collector.up()
    answers = []
    for right in (True, False):
        folder = tmp_path / str(right)
        folder.mkdir()
        if right:
            edges.behind("cloudflare", folder, "127.0.0.1/32")
        url, program = edges.nginx(folder, start, [collector.port])
        await until(lambda url=url, program=program: _answers(url, program), "nginx's first answer")  # type: ignore[misc]
        sent = {MARK: "address", "CF-Connecting-IP": "198.51.100.7"}
        async with aiohttp.ClientSession() as http, http.get(f"{url}/doctor", headers=sent) as answer:
            answers.append(await answer.json())
    assert answers == [
        {"source": "header", "address": "198.51.100.0", "others": []},
        {"source": "header", "address": "127.0.0.0", "others": ["cf-connecting-ip"]},
    ]


@pytest.mark.parametrize("name", ["nginx", "varnish"])
@pytest.mark.parametrize("trusted", [True, False])
async def test_the_doctor_judges_the_address_through_a_real_edge(
    name: str, trusted: bool, tmp_path: Path, start: Callable[..., Program]
) -> None:
    collector = Collector(tmp_path / "collector", start, "127.0.0.1" if trusted else "192.0.2.1")
    await collector.up()
    url, program = getattr(edges, name)(tmp_path, start, [collector.port])
    await until(lambda: _answers(url, program), f"{name}'s first answer")
    seen = await doctor_requests.look(url, "demo", "", "", None)
    (found,) = (finding for finding in doctor_findings.judge(seen) if finding.topic == "address")
    assert (found.level, "proxy" in found.says) == (("ok", False) if trusted else ("bad", True)), found


class Names(asyncio.DatagramProtocol):
    """A resolver that gives every name one address, with a life of a second."""

    def __init__(self) -> None:
        self.address = "127.0.0.2"
        self.asked = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked += 1
        end = data.index(b"\0", 12) + 5
        answer = b"\xc0\x0c\0\x01\0\x01" + struct.pack(">IH", 1, 4) + socket.inet_aton(self.address)
        self._transport.sendto(data[:2] + b"\x81\x80\0\x01\0\x01\0\0\0\0" + data[12:end] + answer, addr)


async def test_a_collector_that_was_made_anew_is_found_without_a_reload(
    tmp_path: Path, start: Callable[..., Program]
) -> None:
    """upstream-compose.conf: the same name, another address, as Docker gives it to a container that is recreated."""
    names, port = Names(), free_port()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: names, ("127.0.0.1", 0))
    asked: list[str] = []
    runners = []
    for address in ("127.0.0.2", "127.0.0.3"):

        async def answer(_: web.Request, address: str = address) -> web.Response:
            asked.append(address)
            return web.Response()

        application = web.Application()
        application.router.add_route("*", "/{path:.*}", answer)
        runners.append(web.AppRunner(application))
        await runners[-1].setup()
        await web.TCPSite(runners[-1], address, port).start()
    text = (edges.DEPLOY / "edge/upstream-compose.conf").read_text()
    text = text.replace("127.0.0.11", f"127.0.0.1:{transport.get_extra_info('sockname')[1]}")
    binary, _ = edges.modern_nginx()
    url, program = edges.nginx(tmp_path, start, [], binary, text.replace("collector:8080", f"collector:{port}"))

    async def comes_to(address: str) -> bool:
        await _answers(url, program)
        return asked[-1:] == [address]

    await until(lambda: comes_to("127.0.0.2"), "the first collector")
    names.address = "127.0.0.3"
    await until(lambda: comes_to("127.0.0.3"), "the next one")
    transport.close()
    for runner in runners:
        await runner.cleanup()


@pytest.mark.parametrize("name", ["nginx", "varnish"])
async def test_the_real_collector_behind_it(
    name: str, tmp_path: Path, start: Callable[..., Program], collectors: Callable[[], Collector]
) -> None:
    collector = collectors()
    await collector.up()
    url, program = getattr(edges, name)(tmp_path, start, [collector.port])
    await until(lambda: _answers(url, program), f"{name}'s first answer")
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        async with http.get(f"{url}/p.gif?s=demo") as answer:
            assert answer.headers["X-Pharos"] == "accepted"
            assert "no-store" in answer.headers["Cache-Control"]
            first = answer.cookies["_pid"].value
        async with http.get(f"{url}/p.gif?s=demo", headers={"Cookie": f"session=x; _pid={first}"}) as answer:
            assert answer.cookies["_pid"].value == first
        async with http.post(f"{url}/e", json={"site": "demo", "event": "signup"}) as answer:
            assert (answer.status, (await answer.json())["accepted"]) == (202, 1)
        async with http.get(f"{url}/metrics") as answer:
            assert answer.status == 404


async def test_a_rolling_restart_fails_no_request(
    tmp_path: Path, start: Callable[..., Program], collectors: Callable[[], Collector]
) -> None:
    """Two collectors behind nginx; each is stopped with SIGTERM and started again while pixels and posts come."""
    pair = [collectors(), collectors()]
    for one in pair:
        await one.up()
    url, program = edges.nginx(tmp_path, start, [one.port for one in pair])
    await until(lambda: _answers(url, program), "nginx's first answer")
    done = asyncio.Event()
    statuses: list[int] = []

    async def visit() -> None:
        async with aiohttp.ClientSession() as http:
            while not done.is_set():
                async with http.get(f"{url}/p.gif?s=demo") as answer:
                    statuses.append(answer.status)
                async with http.post(f"{url}/e", json={"site": "demo", "event": "signup"}) as answer:
                    statuses.append(answer.status)
                await asyncio.sleep(0.02)

    visitors = [asyncio.create_task(visit()) for _ in range(4)]
    for one in pair:
        one.program.signal(signal.SIGTERM)
        assert await asyncio.to_thread(one.program.wait, 60) == 0, one.program.output()
        one.launch()
        await one.up()
    before = len(statuses)
    await until(lambda: len(statuses) > before + 50, "traffic after the restarts")
    done.set()
    await asyncio.gather(*visitors)
    assert set(statuses) == {200, 202}, program.output()
    until_now(lambda: program.running, "nginx to have stayed")
