"""The collector behind nginx with its cache on, as behind a CDN: addresses right, nothing cached, cookies intact."""

import gzip
import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from collector.spool.block import unpack
from collector.spool.segment import scan
from tests import needs
from tests.collector.running import Running
from tests.collector.surface import LINK_KEY, LINKS, SITES
from tests.ports import free_port
from tests.processes import Program
from tests.waiting import until

CONF = """
daemon off;
{user}
error_log stderr warn;
pid {folder}/nginx.pid;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  proxy_cache_path {folder}/cache keys_zone=all:1m;
  upstream collector {{ server 127.0.0.1:{collector}; keepalive 4; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://collector;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_cache all;
      proxy_cache_valid 1s;
      add_header X-Cache $upstream_cache_status always;
    }}
  }}
}}
"""
USER = "user root;" if os.geteuid() == 0 else ""
"""As root, nginx's workers would be another user, who may not write into the test's folder."""
CLIENT = "127.0.0.2"
"""Where the visitor's own connection comes from; nginx reaches the collector from 127.0.0.1, which is trusted."""


class Front:
    """nginx before a collector, and a visitor."""

    def __init__(self, session: aiohttp.ClientSession, url: str, running: Running) -> None:
        self.session = session
        self.url = url
        self.running = running

    def hits(self) -> list[dict[str, str]]:
        """Return the records of the spool, in order."""
        found: list[dict[str, str]] = []
        for path in sorted(self.running.spool.rglob("*.seg")):
            blocks = scan(path.read_bytes(), last=True).blocks
            found.extend(json.loads(payload) for block in blocks for payload in unpack(block))
        return found


@pytest.fixture
async def front(
    collector: Callable[..., Running], start: Callable[..., Program], tmp_path: Path
) -> AsyncIterator[Front]:
    nginx = needs.program("nginx", "nginx")
    running = collector(kafka="127.0.0.1:1", drain_s=0.1, trusted_proxies="127.0.0.1", link_key=LINK_KEY.decode())
    (running.folder / "sites.toml").write_text(SITES)
    (running.folder / "links.toml").write_text(LINKS)
    await running.start(links=running.folder / "links.toml")
    port = free_port()
    conf = tmp_path / "nginx.conf"
    conf.write_text(CONF.format(user=USER, folder=tmp_path, collector=running.port, port=port))
    program = start([nginx, "-e", "stderr", "-c", str(conf), "-p", str(tmp_path)])
    connector = aiohttp.TCPConnector(local_addr=(CLIENT, 0))
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(connector=connector, cookie_jar=jar, auto_decompress=False) as session:
        url = f"http://127.0.0.1:{port}"

        async def up() -> bool:
            assert program.running, program.output()
            try:
                async with session.get(f"{url}/robots.txt") as answer:
                    return answer.status == 200
            except aiohttp.ClientConnectionError:
                return False

        await until(up, "nginx answers")
        yield Front(session, url, running)


async def test_the_address_is_the_visitors_whatever_they_claim(front: Front) -> None:
    for headers in ({}, {"X-Forwarded-For": "203.0.113.9"}, {"X-Forwarded-For": "nonsense,,"}):
        async with front.session.get(f"{front.url}/p.gif?s=full", headers=headers) as answer:
            assert answer.headers["X-Pharos"] == "accepted"
        async with front.session.post(f"{front.url}/e", data=b'{"site":"demo"}', headers=headers) as answer:
            assert answer.status == 202
    assert [hit["ip"] for hit in front.hits()] == [CLIENT, "127.0.0.0"] * 3


async def test_nothing_that_counts_is_cached_and_the_tag_is(front: Front) -> None:
    for path in ("/p.gif?s=demo", "/o.gif?s=demo&m=1", "/c/yt-launch", "/opt-out"):
        for _ in range(3):
            async with front.session.get(front.url + path, allow_redirects=False) as answer:
                assert answer.headers["X-Cache"] in ("MISS", "BYPASS", "EXPIRED"), path
                assert "no-store" in answer.headers["Cache-Control"]
                assert "ETag" not in answer.headers
    assert len(front.hits()) == 9
    seen: list[str] = []
    for coding in ("br", "br", "gzip", "gzip"):
        async with front.session.get(f"{front.url}/t.js", headers={"Accept-Encoding": coding}) as answer:
            assert answer.headers["Content-Encoding"] == coding
            seen.append(answer.headers["X-Cache"])
    assert seen == ["MISS", "HIT", "MISS", "HIT"]


async def test_cookies_pass_whole_in_both_directions(front: Front) -> None:
    async with front.session.get(f"{front.url}/p.gif?s=shop&n=1") as answer:
        cookies = answer.headers.getall("Set-Cookie")
    assert [cookie.partition("=")[0] for cookie in cookies] == ["_pid", "_pcs"]
    assert all(cookie.endswith("; Path=/; Secure; HttpOnly; SameSite=Lax") for cookie in cookies)
    returned = "; ".join(["session=of the site", *(cookie.partition(";")[0] for cookie in cookies)])
    for path, body in (("/p.gif?s=shop", None), ("/e", b'{"site":"shop"}')):
        method = "POST" if body else "GET"
        headers = {"Cookie": returned}
        async with front.session.request(method, front.url + path, data=body, headers=headers) as answer:
            assert answer.headers.getall("Set-Cookie") == cookies
    assert {hit["visitor_id"] for hit in front.hits()} == {cookies[0][5:37]}


async def test_bodies_and_redirects_pass_whole(front: Front) -> None:
    events = [{"site": "demo", "event": f"e{n}", "title": "ü" * 400} for n in range(300)]
    body = gzip.compress(json.dumps(events).encode())
    async with front.session.post(f"{front.url}/e", data=body, headers={"Content-Encoding": "gzip"}) as answer:
        assert await answer.json() == {"accepted": 300, "refused": []}
    async with front.session.get(f"{front.url}/c/yt-launch", allow_redirects=False) as answer:
        to = urlsplit(answer.headers["Location"])
    assert (to.netloc, to.fragment) == ("shop.example", "reviews")
    assert parse_qs(to.query)["_pcl"] == [front.hits()[-1]["id"]]
    async with front.session.head(f"{front.url}/p.gif?s=demo") as answer:
        assert (answer.status, answer.headers["X-Pharos"]) == (200, "accepted")
