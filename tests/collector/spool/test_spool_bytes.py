"""What a running collector has written to its disk, fast path included: nothing that the site's policy forbids."""

from collections.abc import Callable

import aiohttp
import pytest

from tests.collector.running import Running
from tests.collector.surface import SITES, TOKEN

THEIRS = "7" * 32
SECRETS = {
    "Cookie": f"session=hunter2; _pid={THEIRS}; _ga=GA1.2.3",
    "Authorization": f"Bearer {TOKEN}",
    "X-Forwarded-For": "203.0.113.77",
}


@pytest.mark.parametrize("path", ["fast", "full"])
async def test_the_spool_holds_no_secret(collector: Callable[..., Running], path: str) -> None:
    running = collector(kafka="127.0.0.1:1", drain_s=0.1, trusted_proxies="127.0.0.1")
    (running.folder / "sites.toml").write_text(SITES)
    await running.start()
    # A pixel with Authorization is always the full path's, a server's post with it is not.
    headers = {name: value for name, value in SECRETS.items() if path == "full" or name != "Authorization"}
    event = {"site": "shop", "event": "seen", "visitor_id": THEIRS, "user_id": "u-17", "ip": "203.0.113.77"}
    target = "/v1/events" if path == "fast" else "/v1/events?full"
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        for query in ("s=shop&e=seen", "s=shop&e=seen&n=0", "s=shop&e=seen&uid=u-17", "s=hash&e=seen", "s=noip&e=seen"):
            async with session.get(f"{running.url}/p.gif?{query}", headers=headers) as answer:
                assert answer.headers["X-Pharos"] == "accepted"
        async with session.post(f"{running.url}{target}", headers=SECRETS, json=event) as answer:
            assert answer.headers["X-Pharos"] == "accepted"
    metrics = await running.metrics()
    assert metrics[f'requests_total{{path="{path}"}}'] == 6
    assert running.program.terminate() == 0
    written = b"".join(file.read_bytes() for file in running.spool.rglob("*") if file.is_file())
    assert written.count(b'"site":') == 7, "one of each request, and the suppression of who refused"
    for secret in ("hunter2", "GA1.2.3", "Bearer", TOKEN, "203.0.113.77", "u-17", "session="):
        assert secret.encode() not in written, secret
    assert written.count(THEIRS.encode()) == 2, "of site noip, and of the suppression; the others may not know it"
    assert written.count(b'"ip":"203.0.113.0"') == 5
