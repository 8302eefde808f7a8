"""Both paths answer alike: same status, headers, cookie and Hit, for any request; and the fast one is really used.

Long, because it is a list: the kinds of requests.
"""

import json
import re
from collections.abc import Iterator, Sized
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector import contract
from collector.contract import Hit
from collector.contract.fields import TABLE
from collector.policy import links
from collector.policy.client_address import Trusted
from tests.collector import scale
from tests.collector.http.both_paths import LINK_KEY, RULESET, TOKEN, Answer, One, both

UA = b"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
ID = b"9f86d081884c7d659a2feaa0c55ad015"


@pytest.fixture
def paths(tmp_path: Path) -> Iterator[tuple[One, One]]:
    with both(tmp_path) as pair:
        yield pair


def request(target: bytes, *lines: bytes, method: bytes = b"GET") -> bytes:
    return b"\r\n".join((method + b" " + target + b" HTTP/1.1", b"Host: px.example", *lines, b"", b""))


def post(body: object, *lines: bytes, target: bytes = b"/e") -> bytes:
    raw = body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
    return request(target, *lines, b"Content-Length: %d" % len(raw), method=b"POST") + raw


PAGE = (b"Origin: https://shop.example", b"Referer: https://shop.example/", b"User-Agent: " + UA)
BEARER = b"Authorization: Bearer " + TOKEN.encode()
SIGNED = links.sign("listed", "https://shop.example/?a=%C3%BC", LINK_KEY).encode()

_FRESH = re.compile(r"_pid=([0-9a-f]{32})")


def comparable(answers: list[Answer], hits: list[Hit], sent: bytes) -> tuple[object, ...]:
    """Leave out what must differ: ids and times; a visitor's fresh id becomes a word."""

    def fresh(match: re.Match[str]) -> str:
        return "_pid=FRESH" if match[1].encode() not in sent else match[0]

    made = {hit.id: "MADE" for hit in hits}

    def told_of(value: str) -> str:
        value = _FRESH.sub(fresh, value)
        for hit_id in made:
            value = value.replace(hit_id, "MADE")
        return value

    told = [(a.status, tuple(sorted((n, told_of(v)) for n, v in a.headers)), a.body) for a in answers]
    kept = []
    for hit in hits:
        assert re.fullmatch(r"[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}", hit.id), hit.id
        assert int(hit.id[:12], 16) == hit.at
        # A server's id is its own, also in the record of a refusal, and may be escaped in what was sent.
        theirs = sent.startswith(b"POST /v1/events")
        known = hit.visitor_kind != "cookie" or theirs or hit.visitor_id.encode() in sent
        fields = {f: getattr(hit, f) for f in hit.__struct_fields__}
        kept.append({**fields, "id": "", "at": 0, "body": told_of(hit.body)})
        if not known:
            assert len(hit.visitor_id) == 32
            kept[-1]["visitor_id"] = "FRESH"
    return told, kept


def agree(paths: tuple[One, One], raw: bytes) -> bool:
    """Send it both ways, compare; return whether the fast path answered itself."""
    fast, full = paths
    before = fast.fast()
    first = comparable(fast.ask(raw, wait_s=60)[0], fast.hits(), raw)
    second = comparable(full.ask(raw, wait_s=60)[0], full.hits(), raw)
    assert first == second
    assert first[0], "no answer at all"
    return fast.fast() > before


QUICK = [
    request(b"/p.gif?s=demo"),
    request(b"/p.gif?s=demo", method=b"HEAD"),
    request(b"/o.gif?s=demo&m=2026-11&l=customers", b"User-Agent: " + UA),
    request(b"/p.gif?s=demo&e=signup&u=https%3A%2F%2Fa.example%2F&r=&t=A%20b&id=7&v=9.90&c=EUR&n=1"),
    request(b"/p.gif?s=demo&x.plan=pro&ts=1"),
    request(b"/p.gif?s=nobody"),
    request(b"/p.gif?e=x"),
    request(b"/p.gif?s=demo&e=bad!name"),
    request(b"/p.gif?s=shop&n=0", b"Cookie: _pid=" + ID),
    request(b"/p.gif?s=shop", b"Cookie: _pid=" + ID + b"; _pcs=1"),
    request(b"/p.gif?s=shop", b"Cookie: _ga=1; _pcs=0; theme=dark; _pid=" + ID),
    request(b"/p.gif?s=strict", b"Cookie: theme=dark"),
    request(b"/p.gif?s=strict&n=1", b"Cookie: theme=dark"),
    request(b"/p.gif?s=quiet", b"Cookie: _pid=" + ID),
    request(b"/p.gif?s=hash", b"User-Agent: " + UA),
    request(b"/p.gif?s=hash", b"user-agent: " + UA, b"referer: https://a.example/x", b"cookie: a=b"),
    request(b"/p.gif?s=shop&n=1", b"Sec-Fetch-Mode: no-cors", b"Sec-Fetch-Site: same-site"),
    request(b"/p.gif?s=demo", b"Sec-GPC: 1", b"Cookie: _pid=" + ID),
    request(b"/p.gif?s=demo", b"DNT: 1", b"Sec-GPC: 0"),
    request(b"/p.gif?s=demo", b"Cookie: _pid=" + ID, b"Referer: https://a.example/?q=1#x", b"Accept-Language: de"),
    request(b"/p.gif?s=demo", b'Sec-CH-UA: "Chromium";v="142"', b"Sec-CH-UA-Mobile: ?0", b'Sec-CH-UA-Platform: "X"'),
    request(b"/p.gif?s=demo", b"X-Forwarded-For: 203.0.113.9, 127.0.0.9", b"CF-IPCountry: AT", b"CF-IPCity: Wien"),
    request(b"/p.gif?s=demo", b"x-forwarded-for: 2001:db8::77", b"Connection: keep-alive", b"Accept:"),
]

QUICK += [
    request(b"/p.gif?s=demo", b'Referer: "https://a.example/"'),
    request(b"/p.gif?s=demo", b"Cookie: _pno=1; _pid=" + ID),
    request(b"/p.gif?s=demo", b"Cookie: _pid=" + ID + b"; _pid=" + ID[::-1]),
    request(b"/p.gif?s=demo", b"Cookie: _pid=short; _pk_id=1"),
    request(b"/p.gif?s=demo&uid=42"),
    request(b"/p.gif?s=shop&n=1", b"Sec-Fetch-Mode: navigate"),
    request(b"/p.gif?s=demo&uid=a@b.example"),
    request(b"/p.gif?s=demo", b"Origin: https://a.example"),
    request(b"/p.gif?s=demo", method=b"OPTIONS"),
    request(b"/p.gif?s=closed", b"Origin: https://a.example"),
    request(b"/p.gif?s=listed", b"Origin: https://shop.example"),
    request(b"/p.gif?s=shop&uid=42&n=0&x.plan=a%20b"),
    post({"site": "demo"}),
    post([{"site": "demo", "event": "pageview", "url": 'https://a.example/"q"', "title": "Grüße \\ ♥"}], *PAGE),
    post([{"site": "demo", "id": str(n), "props": {"n": n, "on": True}} for n in range(10)], *PAGE),
    post({"events": [{"site": "listed"}, {"site": "demo"}, {"site": "x"}, 1, {"site": "demo", "value": "x"}]}, *PAGE),
    post({"site": "listed", "consent": True, "user_id": "u", "value": 0.1 + 0.2}, *PAGE, b"Cookie: _pid=" + ID),
    post({"site": "shop", "user_id": "u"}, *PAGE, b"Cookie: a=b; _pcs=0; _pid=" + ID),
    post({"site": "hash"}, *PAGE),
    post({"site": "strict"}, *PAGE),
    post({"site": "closed"}, *PAGE[1:], b"Origin: https://evil.example"),
    post({"site": "demo", "unknown": 1}),
    post({"site": "demo", "consent": "1"}, b"Sec-Fetch-Mode: navigate"),
    post([]),
    post(b"{"),
    post(b"\xff"),
    post(b'{"site":"demo"}' * 2, b"X-Request-Id: theirs"),
    post([{"site": "listed", "visitor_id": "v-1", "ip": "203.0.113.9", "consent": "1"}], BEARER, target=b"/v1/events"),
    post([{"site": "listed", "ip": "x"}, {"site": "demo"}], BEARER, target=b"/v1/events"),
    post([{"site": "listed", "ip": "203.0.113.7:4411, 10.0.0.1"}], BEARER, target=b"/v1/events"),
    post([{"site": "listed"}], b"Authorization: Bearer wrong", target=b"/v1/events"),
    post([{"site": "listed"}], target=b"/v1/events"),
    request(b"/p.gif?s=guarded"),
    request(b"/p.gif?s=guarded&e=purchase&v=1", b"Origin: https://shop.example"),
    request(b"/p.gif?s=guarded&e=signup"),
    request(b"/p.gif?s=guarded&amp;e=purch%61se", method=b"HEAD"),
    request(b"/o.gif?s=guarded&m=x"),
    post([{"site": "guarded", "event": "purchase"}, {"site": "guarded"}, {"site": "guarded", "event": "a"}], *PAGE),
    post([{"site": "guarded", "event": "purchase"}, {"site": "guarded"}], *PAGE),
    post([{"site": "guarded", "event": "purchase"}, {"site": "guarded"}], BEARER, target=b"/v1/events"),
    post({"site": "listed", "visitor_id": '\\"\n', "consent": "0"}, BEARER, target=b"/v1/events"),
    request(b"/p.gif?s=capped&e=purchase&v=1000.00&c=EUR"),
    request(b"/p.gif?s=capped&e=purchase&v=1000.01&c=EUR"),
    request(b"/p.gif?s=capped&v=1000.01", method=b"HEAD"),
    request(b"/p.gif?s=capped&u=nowhere&v=-1001&amp;v=3&x.v=5", b"Origin: https://shop.example"),
    request(b"/p.gif?s=demo&v=99999999999999.9999"),
    post([{"site": "capped", "value": 1000.01, "currency": "EUR"}, {"site": "capped", "value": "9"}], *PAGE),
    post({"site": "demo", "value": "-99999999999999.9999"}),
    post([{"site": "capped", "value": 1001, "url": "x"}, {"site": "capped"}], BEARER, target=b"/v1/events"),
    request(b"/c/yt-launch"),
    request(b"/c/yt-launch", method=b"HEAD"),
    request(b"/c/yt-launch?gclid=a%20b&fbclid=0123456789abcdef0123456789abcdef", b"Cookie: _pid=" + ID, b"Sec-GPC: 1"),
    request(b"/c/strict"),
    request(b"/c/shop?n=1", b"Cookie: _pcs=1"),
    request(b"/c/nothing"),
    request(b"/c/nothing", method=b"HEAD"),
    request(b"/c?" + SIGNED),
    request(b"/c?" + SIGNED + b"&gclid=7", b"Cookie: _pno=1"),
    request(b"/c?" + SIGNED, method=b"HEAD"),
    request(b"/c?" + SIGNED + b"x"),
    request(b"/c"),
    request(b"/p.gif?s=demo", b"Sec-Purpose: prefetch;prerender"),
    request(b"/c/yt-launch", b"X-Purpose: preview", b"Sec-Purpose: "),
    request(b"/o.gif?s=demo", b"Purpose: other", b"x-moz: Prefetch"),
    request(b"//p.gif?s=demo"),
    request(b"/p.gif/?s=demo&u=https://a.example//x/"),
    request(b"/c/yt-launch/"),
    request(b"//c//yt-launch//?gclid=1"),
    request(b"/c/?" + SIGNED),
    post({"site": "demo"}, target=b"//e/"),
    request(b"/p.gif?s=demo&t=Gr\xfc\xdfe&e=a"),
    request(b"/p.gif?s=demo&t=Gr\xc3\xbc\xc3\x9fe&x.\xe9=\xe9"),
    request(b"/p.gif?s=d\xe9mo"),
    request(b"/o.gif?s=demo&m=\xa0\xff", method=b"GET"),
    request(b"/c/yt-launch?gclid=\xfc"),
    request(b"/e", b"Origin: https://shop.example", b"Access-Control-Request-Method: POST", method=b"OPTIONS"),
    request(b"/c/yt-launch", b"Origin: https://evil.example", method=b"OPTIONS"),
]

FULL = [
    post({"site": "demo"}, b"Content-Encoding: gzip"),
    post({"site": "demo"}, target=b"/e?x=1"),
    post({"site": "demo", "title": "x" * 17_000}),
    post({"site": "demo"}, b"Connection: close"),
    request(b"/e", b"Content-Length: 0", b"content-length: 0", method=b"POST"),
    request(b"/e", method=b"POST"),
    request(b"/nowhere", method=b"OPTIONS"),
    request(b"/c/a/b"),
    request(b"/c/%79t-launch"),
    request(b"/p.gif"),
    request(b'/p.gif?s=demo&t=a%22b"c'),
    request(b"/p.gif?s=demo&t=a\\b"),
    request(b"/p.gif?s=demo#frag"),
    request(b"/p.gif?s=demo", b"User-Agent: caf\xc3\xa9"),
    request(b"/p.gif?s=demo", b"User-Agent: caf\xe9"),
    request(b"/p.gif?s=demo", b"User-Agent:  two blanks"),
    request(b"/p.gif?s=demo", b"REFERER: https://a.example/"),
    request(b"/p.gif?s=demo", b"Referer: https://a.example/", b"Referer: https://b.example/"),
    request(b"/p.gif?s=demo", b"Cookie: _pid=" + ID, b"Cookie: _pcs=0"),
    request(b"/p.gif?s=demo", b"X-Forwarded-For: nonsense"),
    request(b"/p.gif?s=demo", b"X-Forwarded-For: 1.2.3.4", b"X-Forwarded-For: 5.6.7.8"),
    request(b"/p.gif?s=demo", b"Connection: close"),
    request(b"/p.gif?s=demo", b"Content-Length: 3") + b"abc",
    request(b"/nowhere"),
    request(b"/p%2Egif?s=demo"),
]


@pytest.mark.parametrize("raw", QUICK)
def test_the_fast_path_answers_what_is_usual_as_the_full_path_would(paths: tuple[One, One], raw: bytes) -> None:
    assert agree(paths, raw)


@pytest.mark.parametrize("raw", FULL)
def test_the_fast_path_leaves_what_is_odd_to_the_full_path(paths: tuple[One, One], raw: bytes) -> None:
    assert not agree(paths, raw)


@pytest.mark.parametrize("title", [b"Gr\xfc\xdfe", "Grüße".encode(), b"\x80", b"\xff%FC\xfc"])
def test_raw_bytes_in_a_query_are_read_as_their_escaped_form_is(paths: tuple[One, One], title: bytes) -> None:
    escaped = b"".join(b"%%%02X" % byte if byte > 0x7F else bytes([byte]) for byte in title)
    for one in paths:
        for target in (b"/p.gif?s=demo&t=" + title, b"/p.gif?s=demo&t=" + escaped):
            answers, _ = one.ask(request(target))
            assert (answers[0].status, answers[0].body[:3]) == (200, b"GIF")
        assert [hit.query for hit in one.hits()] == ["s=demo&t=" + escaped.decode()] * 2


@pytest.mark.parametrize(
    ("lines", "purpose"),
    [
        ([b"Sec-Purpose: prefetch;prerender"], "prefetch;prerender"),
        ([b"X-Purpose: preview"], "preview"),
        ([b"Purpose: other", b"X-Moz: Prefetch"], "Prefetch"),
        ([b"Sec-Purpose: other"], ""),
    ],
)
def test_a_hit_says_that_the_browser_fetches_ahead(paths: tuple[One, One], lines: list[bytes], purpose: str) -> None:
    for one in paths:
        for target in (b"/p.gif?s=demo", b"/o.gif?s=demo", b"/c/yt-launch", b"/c?" + SIGNED):
            one.ask(request(target, *lines))
        one.ask(post([{"site": "listed"}], *lines, BEARER, target=b"/v1/events"))
        assert [hit.purpose for hit in one.hits()] == [purpose] * 4 + [""]


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /p.gif?s=demo HTTP/1.1\r\nX: 1\r\n\r\n",
        b"GET /p gif HTTP/1.1\r\nHost: a\r\n\r\n",
        b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://[/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://a:x/p.gif HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\xfc HTTP/1.0\r\n\r\n",
        request(b"/e", b"Transfer-Encoding: chunked", method=b"POST") + b"zz\r\n",
        request(b"/e", b"Transfer-Encoding: chunked", method=b"POST") + b"2\r\n{}\r\nzz\r\n",
        request(b"/e", b"Transfer-Encoding: chunked, chunked", method=b"POST"),
        request(b"/e", b"Expect: x", b"Content-Length: 2", method=b"POST") + b"{}",
        request(b"/e", b"Content-Length: 2000000", method=b"POST"),
        request(b"/v1/events", b"Content-Length: 2", method=b"POST") + b"{}",
        request(b"/p.gif?" + b"x" * 9000),
        request(b"/p.gif", b"X: " + b"x" * 17_000),
        request(b"/nowhere"),
        request(b"/c/nothing"),
        request(b"a:443", method=b"CONNECT"),
        request(b"/e", b"Upgrade: websocket", b"Connection: upgrade"),
        request(b"/e", b"Upgrade: h2c", b"Connection: upgrade", method=b"POST") + b"\x00\xff",
    ],
)
def test_no_refusal_names_a_library(paths: tuple[One, One], raw: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    for one in paths:
        answers, _ = one.ask(raw, wait_s=2)
        assert answers
        for answer in answers:
            assert 400 <= answer.status < 500
            assert not answer.header("server")
            for word in (b"aiohttp", b"python", b"<html", b"llhttp", b"Error"):
                assert word not in answer.body
    assert capfd.readouterr().err == ""


VALUES = st.one_of(
    st.sampled_from(
        [b"demo", b"shop", b"quiet", b"strict", b"hash", b"", b"1", b"0", b"a%40b.c", b"9.90", b"1000.5", b"EUR"]
    ),
    st.binary(min_size=0, max_size=12).map(lambda raw: bytes(b for b in raw if b > 0x20 and b not in b"\x7f#")),
    st.text(max_size=8).map(lambda text: "".join(f"%{b:02X}" for b in text.encode("utf-8", "replace")).encode()),
)
NAMES = st.sampled_from([b"s", b"e", b"u", b"r", b"t", b"id", b"v", b"c", b"n", b"ts", b"uid", b"x.a", b"x%2Eb", b"zz"])
QUERIES = st.builds(
    lambda site, pairs: b"&".join((b"s=" + site, *(name + b"=" + value for name, value in pairs))),
    st.sampled_from([b"demo", b"shop", b"quiet", b"strict", b"hash", b"capped", b"guarded", b"none"]),
    st.lists(st.tuples(NAMES, VALUES), max_size=5),
)
COOKIES = st.lists(
    st.sampled_from(
        [b"_pid=" + ID, b"_pcs=1", b"_pcs=0", b"_pno=1", b"_pid=x", b"_ga=GA1.2", b"a=b", b"x_pid=1", b"_p"]
    ),
    min_size=1,
    max_size=4,
).map(b"; ".join)
TEXTS = st.one_of(
    st.sampled_from(
        [
            UA,
            b"https://a.example/?q=%20",
            b'"Chromium";v="142"',
            b"1",
            b"0",
            b"?0",
            b"",
            b"203.0.113.5",
            b"navigate",
            b"prefetch",
        ]
    ),
    st.binary(max_size=20).map(lambda raw: raw.translate(None, bytes(range(9)) + bytes(range(10, 32)) + b"\x7f")),
)
HEADER_NAMES = st.sampled_from(
    b"User-Agent Referer Accept-Language Sec-CH-UA sec-ch-ua-mobile Sec-CH-UA-Platform DNT Sec-GPC "
    b"X-Forwarded-For x-forwarded-for CF-IPCountry CF-IPCity Accept X-Other Sec-Fetch-Mode Sec-Purpose X-Moz".split()
)
LINES = st.one_of(
    st.builds(lambda n, v: n + b": " + v, HEADER_NAMES, TEXTS),
    st.builds(lambda n, v: n + b": " + v, st.sampled_from([b"Cookie", b"cookie"]), COOKIES),
)


def test_any_pixel_request_means_the_same_in_both_paths(tmp_path: Path) -> None:
    with both(tmp_path) as paths:
        tried = answered = 0

        @settings(max_examples=scale.of(small=250, full=20_000), deadline=None, suppress_health_check=list(HealthCheck))
        @given(
            st.sampled_from([b"GET", b"HEAD"]),
            st.sampled_from([b"/p.gif?", b"/o.gif?"]),
            QUERIES,
            st.lists(LINES, max_size=5),
        )
        def alike(method: bytes, path: bytes, query: bytes, lines: list[bytes]) -> None:
            nonlocal tried, answered
            tried += 1
            answered += agree(paths, request(path + query, *lines, method=method))

        alike()
        assert answered > tried / 10, "the fast path hardly took part"


JSON_TEXTS = st.one_of(
    st.sampled_from(["demo", "shop", "hash", "listed", "closed", "", "1", "0", "9.90", "EUR", "a@b.c", '\\"\n']),
    st.text(max_size=8).filter(lambda text: text.encode("utf-8", "ignore").decode() == text),
)
JSON_VALUES = st.one_of(JSON_TEXTS, st.integers(-10, 10**13), st.booleans(), st.none(), st.floats(allow_nan=False))
SENT = st.builds(
    lambda site, rest, props: {"site": site, **rest, **({"props": props} if props is not None else {})},
    st.sampled_from(["demo", "shop", "quiet", "strict", "hash", "listed", "closed", "capped", "guarded", "none"]),
    st.dictionaries(
        st.sampled_from([*(field.name for field in TABLE if field.name != "site"), "zz"]),
        JSON_VALUES,
        max_size=4,
    ),
    st.none() | st.dictionaries(JSON_TEXTS, JSON_VALUES, max_size=3),
)
BODIES = st.one_of(
    SENT,
    st.lists(SENT | JSON_VALUES, max_size=4),
    st.lists(SENT, max_size=4).map(lambda events: {"events": events}),
    st.binary(max_size=12),
)
ORIGINS = st.sampled_from([[], [b"Origin: https://shop.example"], [b"Origin: https://evil.example"]])
TOKENS = st.sampled_from([[], [BEARER], [b"authorization: bearer " + TOKEN.encode()], [b"Authorization: Bearer x"]])


def test_any_post_means_the_same_in_both_paths(tmp_path: Path) -> None:
    with both(tmp_path, body_timeout_s=60) as paths:
        tried = answered = 0

        @settings(max_examples=scale.of(small=250, full=20_000), deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.sampled_from([b"/e", b"/e", b"/v1/events"]), BODIES, ORIGINS, TOKENS, st.lists(LINES, max_size=4))
        def alike(target: bytes, body: object, origin: list[bytes], token: list[bytes], lines: list[bytes]) -> None:
            nonlocal tried, answered
            tried += 1
            answered += agree(paths, post(body, *origin, *token, *lines, target=target))

        alike()
        assert answered > tried / 10, "the fast path hardly took part"


CLICKS = st.builds(
    lambda path, pairs: path + b"&".join(name + b"=" + value for name, value in pairs),
    st.sampled_from([b"/c/yt-launch?", b"/c/strict?", b"/c/shop?", b"/c/none?", b"/c?" + SIGNED + b"&", b"/c?"]),
    st.lists(
        st.tuples(st.sampled_from([b"gclid", b"awc", b"ScCid", b"_pcl", b"utm_source", b"n", b"k"]), VALUES), max_size=3
    ),
)


def test_any_click_and_preflight_means_the_same_in_both_paths(tmp_path: Path) -> None:
    with both(tmp_path) as paths:
        tried = answered = 0

        @settings(max_examples=scale.of(small=250, full=20_000), deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.sampled_from([b"GET", b"GET", b"HEAD", b"OPTIONS"]), CLICKS, ORIGINS, st.lists(LINES, max_size=4))
        def alike(method: bytes, target: bytes, origin: list[bytes], lines: list[bytes]) -> None:
            nonlocal tried, answered
            tried += 1
            answered += agree(paths, request(target, *origin, *lines, method=method))

        alike()
        assert answered > tried / 10, "the fast path hardly took part"


def test_every_record_is_what_the_contract_writes(paths: tuple[One, One]) -> None:
    for raw in (*QUICK, *FULL):
        for one in paths:
            one.ask(raw)
    for one in paths:
        assert len(one.written) > 40
        for record in one.written:
            assert record == contract.encode(contract.decode(record))


def test_what_the_fast_path_remembers_has_an_end(tmp_path: Path) -> None:
    with both(tmp_path) as (one, _):
        fast = one.ingest.fast
        fast.tick(1)
        for number in range(10_000):
            name = str(number).encode()
            target = b"/p.gif?s=demo&t=" + name + b"&n=" + name
            lines = (b"User-Agent: " + name, b"Referer: https://a.example/" + name, b"Origin: https://x" + name)
            forwarded = f"X-Forwarded-For: 10.1.{number >> 8}.{number & 255}".encode()
            fast.decide(request(target, *lines[:2]), b"", f"10.0.{number >> 8}.{number & 255}")
            fast.decide(request(b"/p.gif?s=demo&t=" + name, *lines, forwarded), b"", "127.0.0.1")
            body = b'{"site":"demo"}'
            fast.decide(request(b"/e", *lines, b"Content-Length: %d" % len(body), method=b"POST"), body, "127.0.0.1")
        long = request(b"/p.gif?s=demo", b"Referer: https://a.example/" + b"a" * 200)
        assert fast.decide(long, b"", "127.0.0.1") is not None
        verdicts = [verdict for group in fast.outcomes.verdicts._groups.values() for verdict in group.values()]
        kept: list[Sized] = [*fast._blocks.known, *(verdict.ip_json for verdict in verdicts)]
        assert max(len(memory) for memory in kept) > 1000
        assert all(len(memory) <= 8192 for memory in kept)
        assert 0 < len(fast._referers) <= 1000
        assert max(map(len, fast._referers)) < 200
        assert len(verdicts) < 10
        assert all(len(verdict.answers) < 5 for verdict in verdicts)


@pytest.mark.parametrize("fsync_fails", [False, True])
def test_under_always_answers_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], fsync_fails: bool
) -> None:
    with both(tmp_path, fsync="always") as (fast, full):
        for one in (fast, full):
            synced: list[bool] = []

            def sync(one: One = one, synced: list[bool] = synced) -> None:
                if fsync_fails:
                    raise OSError("EIO")
                synced.append(True)

            monkeypatch.setattr(one.spool, "sync", sync)
            answers, _ = one.ask(QUICK[0] * 5, expected=5)
            assert [answer.status for answer in answers] == [503 if fsync_fails else 200] * 5
            assert bool(synced) != fsync_fails
            assert all(answer.header("retry-after") for answer in answers) == fsync_fails
            assert [answer.header("x-request-id") for answer in answers] == ["(made)" if fsync_fails else ""] * 5
    said = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert ("answered 503" in {line["msg"] for line in said}) == fsync_fails


@pytest.mark.parametrize(("proxies", "country"), [(["127.0.0.0/8"], "AT"), (["192.0.2.0/24"], ""), ([], "")])
def test_a_place_counts_only_from_a_trusted_proxy(tmp_path: Path, proxies: list[str], country: str) -> None:
    raw = request(b"/p.gif?s=shop", b"User-Agent: " + UA, b"CF-IPCountry: AT")
    with both(tmp_path, RULESET._replace(trusted=Trusted(proxies))) as pair:
        for one in pair:
            for _ in range(2):  # the second finds the block of lines remembered
                one.ask(raw)
            assert {hit.geo_country for hit in one.hits()} == {country}
