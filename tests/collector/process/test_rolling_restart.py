"""Two collectors behind nginx, restarted in turn under load: no request fails, no answered hit is missing."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import aiohttp
import orjson

from tests import needs
from tests.brokers import Tansu, unique
from tests.collector import scale
from tests.collector.running import Running, hits_in, id_given
from tests.ports import free_port
from tests.processes import Program
from tests.waiting import until

NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr;
events {{ worker_connections 512; }}
http {{
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; access_log off;
  upstream collectors {{ server 127.0.0.1:{first} max_fails=0; server 127.0.0.1:{second} max_fails=0; keepalive 16; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://collectors; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""


async def test_a_rolling_restart_fails_no_request(
    tansu: Tansu, collector: Callable[..., Running], start: Callable[..., Program], tmp_path: Path
) -> None:
    nginx = needs.program("nginx", "nginx")
    topic = unique("hits.raw")
    await tansu.create_topics(topic)
    both = [collector(kafka=tansu.bootstrap, topic_raw=topic, grace_s=0.5) for _ in range(2)]
    for one in both:
        await one.start()
    for one in both:
        await one.ready()
    port = free_port()
    conf = tmp_path / "nginx.conf"
    conf.write_text(NGINX.format(folder=tmp_path, port=port, first=both[0].port, second=both[1].port))
    start([nginx, "-e", "stderr", "-c", str(conf)])
    url = f"http://127.0.0.1:{port}/p.gif?s=demo&id="
    posts = f"http://127.0.0.1:{port}/e"
    stop = asyncio.Event()
    accepted: list[str] = []
    failed: list[str] = []

    async with aiohttp.ClientSession() as session:

        async def up() -> bool:
            try:
                async with session.get(f"{url}first") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        await until(up, "nginx answers")

        async def send(sender: int) -> None:
            number = 0
            while not stop.is_set():
                number += 1
                name = f"{sender}-{number}"
                body = orjson.dumps({"site": "demo", "event": "seen", "id": name})
                # Half of them posts: once sent, nginx does not try them elsewhere, so that no failed one is hidden.
                way = session.post(posts, data=body) if number % 2 else session.get(url + name)
                async with way as answer:
                    accepted.append(name)
                    if answer.status not in (200, 202) or answer.headers.get("X-Pharos") != "accepted":
                        failed.append(f"{name}: {answer.status}")
                await asyncio.sleep(0.005)

        senders = [asyncio.create_task(send(sender)) for sender in range(6)]
        for _ in range(scale.of(small=1, full=10)):
            for one in both:
                await asyncio.sleep(0.3)
                assert await asyncio.to_thread(one.program.terminate) == 0
                await one.start()
                await one.ready()
        stop.set()
        await asyncio.gather(*senders)
    assert failed == []
    assert len(accepted) > 100
    for one in both:
        assert await asyncio.to_thread(one.program.terminate) == 0
    seen = {id_given(hit) for hit in await hits_in(tansu.bootstrap, topic)}
    assert set(accepted) <= seen
