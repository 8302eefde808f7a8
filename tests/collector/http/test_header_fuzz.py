"""Requests with unusual headers: an answer or a closed connection, never a 500 or a traceback."""

import asyncio
import socket
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.policy import links
from tests.collector import scale
from tests.collector.running import Running
from tests.collector.surface import LINK_KEY, LINKS, SITES, TOKEN

EXAMPLES = scale.of(small=300, full=5_000)

NAMES = [
    "Host",
    "Cookie",
    "User-Agent",
    "Referer",
    "Origin",
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Authorization",
    "Content-Type",
    "Content-Encoding",
    "Content-Length",
    "Transfer-Encoding",
    "Connection",
    "Expect",
    "If-None-Match",
    "X-Forwarded-For",
    "Forwarded",
    "CloudFront-Viewer-Address",
    "Sec-GPC",
    "DNT",
    "Sec-CH-UA",
    "Sec-Fetch-Site",
    "Upgrade",
    "Range",
    "Via",
    "X",
]
VALUES = (
    b"_pid=" + b"7" * 32,
    b"_pid=%00; _pcs=2; _pno=; =; ;;_pid",
    b"Bearer " + TOKEN.encode(),
    b"gzip, br;q=x, ;;, *",
    b'W/"x", *, ""',
    b"1.2.3.4, [::1]:99999, unknown, 010.0.0.1",
    b"chunked",
    b"100-continue",
    b"18446744073709551616",
    b"-1",
    b"bytes=0-",
    b"\xff\xfe\xfd",
    b"\xed\xa0\x80",
    "ü".encode(),
    b"a" * 9000,
    b"",
)
TAME = st.tuples(
    st.sampled_from(NAMES).map(str.encode),
    st.sampled_from(VALUES) | st.text(st.characters(min_codepoint=32, codec="utf-8"), max_size=30).map(str.encode),
)
WILD = st.tuples(st.binary(min_size=1, max_size=6), st.binary(max_size=30))
HEADER = st.one_of(TAME, TAME, TAME, WILD)
PATHS = st.sampled_from(
    [
        "/p.gif?s=demo",
        "/p.gif?s=demo&uid=%ff&x.%00=%zz&ts=-1&e=%e2%82",
        "/p.gif?" + "&".join(f"x.{n}=1" for n in range(40)),
        "/o.gif?s=hash",
        "/e",
        "/v1/events",
        "/c/yt-launch",
        "/c/%2e%2e%2f",
        "/c?" + links.sign("shop", "https://shop.example/?a=%C3%BC", LINK_KEY),
        "/c?s=%ff&u=%ff&k=%ff",
        "/t.js",
        "/opt-out",
        "/opt-in",
        "/robots.txt",
        "//evil.example",
        "/%00",
        "*",
        "http://evil.example/p.gif?s=demo",
    ]
)
METHODS = st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "PUT", "TRACE", "BREW"])
GOOD = st.sampled_from(
    [
        ("GET", "/p.gif?s=demo", b""),
        ("POST", "/e", b'{"site":"demo"}'),
        ("POST", "/v1/events", b'{"site":"shop"}'),
        ("GET", "/c/yt-launch", b""),
        ("GET", "/t.js", b""),
        ("OPTIONS", "/e", b""),
        ("GET", "/opt-out", b""),
        ("GET", "/nothing", b""),
    ]
)
BODIES = st.sampled_from([b"", b"{}", b'{"site":"demo"}', b"\x1f\x8b\x08\x00", b"\xff"])


@pytest.mark.parametrize("cdn", ["nginx", "cloudfront"])
async def test_odd_headers(collector: Callable[..., Running], cdn: str, capsys: pytest.CaptureFixture[str]) -> None:
    running = collector(
        kafka="127.0.0.1:1", drain_s=0.1, trusted_proxies="127.0.0.1", cdn=cdn, link_key=LINK_KEY.decode()
    )
    (running.folder / "sites.toml").write_text(SITES)
    (running.folder / "links.toml").write_text(LINKS)
    await running.start(links=running.folder / "links.toml")
    statuses: Counter[str] = Counter()

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(GOOD | st.tuples(METHODS, PATHS, BODIES), st.lists(HEADER, max_size=6))
    def ask(request: tuple[str, str, bytes], headers: list[tuple[bytes, bytes]]) -> None:
        method, path, body = request
        head = f"{method} {path} HTTP/1.1\r\nHost: px.example.com\r\nContent-Length: {len(body)}\r\n".encode()
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        status = exchange(running.port, head + lines + b"Connection: close\r\n\r\n" + body)
        statuses[status] += 1
        assert status in ALLOWED, status

    await asyncio.to_thread(ask)
    with capsys.disabled():
        print(f"\n{cdn}: {dict(sorted(statuses.items()))}")
    assert {"200", "202", "302", "204", "404", "400"} <= statuses.keys(), "every kind of answer was seen"
    output = running.program.output()
    assert "Traceback" not in output
    assert '"level":"error"' not in output


ALLOWED = [
    "closed",
    "200",
    "202",
    "204",
    "302",
    "304",
    "400",
    "401",
    "403",
    "404",
    "405",
    "408",
    "413",
    "414",
    "417",
    "431",
    "501",
    "505",
]


def exchange(port: int, request: bytes) -> str:
    """Send a request and close our half; return the answer's status, or "closed" where there is none."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        except ConnectionError:
            return "closed"
    answer = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert b"Traceback" not in answer
    if not answer:
        return "closed"
    assert answer.startswith(b"HTTP/1."), answer[:100]
    return answer[9:12].decode()
