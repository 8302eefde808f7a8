"""The public surface over HTTP: every route, its answers and headers, as in docs/http.md.

Long, because it is a list: every route of the page.
"""

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from aiohttp import ClientResponse

from collector.contract import Hit
from collector.http.pixel import GIF
from collector.policy import links
from tests.collector.surface import LINK_KEY, OTHER_TOKEN, TOKEN, Surface, running

THEIRS = "7" * 32


@pytest.fixture
async def surface(tmp_path: Path) -> AsyncIterator[Surface]:
    async with running(tmp_path) as run:
        yield run


async def get(surface: Surface, path: str, **headers: str) -> ClientResponse:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await surface.client.get(path, headers=sent, allow_redirects=False)
    await answer.read()
    return answer


async def post(surface: Surface, path: str, body: object, **headers: str) -> tuple[ClientResponse, object]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with surface.client.post(path, data=data, headers=sent) as answer:
        text = await answer.read()
    assert_counted(answer)
    return answer, json.loads(text)


SUPPRESSION = '{"event":"consent"}'


def assert_counted(answer: ClientResponse) -> None:
    assert answer.headers["Cache-Control"] == "no-store, no-cache, must-revalidate, private, max-age=0"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Timing-Allow-Origin"] == "*"
    assert "X-Pharos" in answer.headers
    for validator in ("ETag", "Last-Modified", "Expires", "Server"):
        assert validator not in answer.headers


@pytest.mark.parametrize(("path", "kind"), [("/p.gif", "pixel"), ("/o.gif", "open")])
async def test_pixels(surface: Surface, path: str, kind: str) -> None:
    answer = await get(surface, f"{path}?s=demo&m=mail-1&l=list", Referer="https://shop.example/p")
    assert (answer.status, answer.headers["X-Pharos"], answer.content_type) == (200, "accepted", "image/gif")
    assert await answer.read() == GIF
    assert_counted(answer)
    (hit,) = surface.hits
    assert (hit.kind, hit.site, hit.query) == (kind, "demo", "s=demo&m=mail-1&l=list")
    async with surface.client.head(f"{path}?s=demo") as head:
        assert (head.status, head.headers.get("X-Pharos")) == (200, "accepted" if kind == "pixel" else None)
    refused = await get(surface, f"{path}?s=nobody")
    assert (refused.status, refused.headers["X-Pharos"]) == (200, "refused; unknown_site")
    assert await refused.read() == GIF
    assert surface.counted("", "unknown_site") == 1


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"site": "demo", "event": "a"}, {"Content_Type": "application/json"}),
        ([{"site": "demo", "event": "a"}], {"Content_Type": "text/plain;charset=UTF-8"}),
        ({"events": [{"site": "demo", "event": "a"}]}, {}),
        (gzip.compress(b'{"site":"demo","event":"a"}', mtime=0), {"Content_Encoding": "gzip"}),
    ],
)
async def test_one_event_in_every_form(surface: Surface, body: object, headers: dict[str, str]) -> None:
    answer, said = await post(surface, "/e", body, **headers)
    assert (answer.status, said) == (202, {"accepted": 1, "refused": []})
    assert (answer.headers["X-Pharos"], answer.content_type) == ("accepted", "application/json")
    (hit,) = surface.hits
    assert (hit.kind, hit.site, json.loads(hit.body), hit.query) == ("tag", "demo", {"event": "a"}, "")


async def test_good_events_of_a_batch_are_accepted_among_bad_ones(surface: Surface) -> None:
    batch: list[object] = [
        {"site": "demo", "event": "first"},
        {"site": "nobody", "event": "x"},
        {"site": "demo", "event": "not good"},
        7,
        {"site": "strict", "event": "x"},
        {"site": "demo", "event": "last", "time": "2001-01-01T00:00:00Z"},
        {"site": "demo", "event": "second"},
    ]
    answer, said = await post(surface, "/e", batch)
    assert answer.status == 202
    assert answer.headers["X-Pharos"] == "accepted"
    assert said == {
        "accepted": 2,
        "refused": [
            {"index": 1, "reason": "unknown_site"},
            {"index": 2, "reason": "bad_event"},
            {"index": 3, "reason": "bad_body"},
            {"index": 4, "reason": "no_consent"},
            {"index": 5, "reason": "bad_time"},
        ],
    }
    assert [json.loads(hit.body)["event"] for hit in surface.hits] == ["first", "second"]
    assert len({hit.id for hit in surface.hits}) == 2
    assert len({hit.visitor_id for hit in surface.hits}) == 1, "one visitor sent it"
    assert surface.counted("demo", "accepted") == 2
    assert surface.counted("demo", "bad_event") == 1
    assert surface.counted("strict", "no_consent") == 1


@pytest.mark.parametrize(
    ("body", "headers", "status", "reason"),
    [
        (b"not json", {}, 400, "bad_body"),
        (b"", {}, 400, "bad_body"),
        (b"{}", {"Content_Encoding": "br"}, 400, "bad_body"),
        (b"{}", {"Content_Encoding": "gzip"}, 400, "unknown_site"),
        (b"\x1f\x8b{}", {}, 400, "bad_body"),
        ({"site": "demo", "id": "x" * 257}, {}, 400, "bad_id"),
        ({"site": "strict"}, {}, 403, "no_consent"),
        ({"site": "demo"}, {"Cookie": "_pno=1"}, 403, "opted_out"),
        ({"site": "closed"}, {"Origin": "https://evil.example"}, 403, "origin"),
        ([{"site": "demo"}] * 501, {}, 413, "too_large"),
        (b" " * (1 << 20) + b"{}", {}, 413, "too_large"),
        (gzip.compress(b" " * (1 << 20) + b"{}", mtime=0), {"Content_Encoding": "gzip"}, 413, "too_large"),
    ],
)
async def test_refused_posts(surface: Surface, body: object, headers: dict[str, str], status: int, reason: str) -> None:
    answer, said = await post(surface, "/e", body, **headers)
    assert (answer.status, answer.headers["X-Pharos"]) == (status, f"refused; {reason}")
    assert isinstance(said, dict)
    assert said["accepted"] == 0
    assert reason in (said.get("reason"), *(refused["reason"] for refused in said.get("refused", [])))
    assert surface.hits == []
    surface.ingest.count()
    assert sum(count for key, count in surface.ingest.tally.values.items() if key[::2] == ("hits_total", reason)) > 0


async def test_servers_need_a_token_of_the_site(surface: Surface) -> None:
    event = {
        "site": "shop",
        "event": "refund",
        "visitor_id": "v",
        "ip": "203.0.113.9",
        "user_agent": "UA",
        "consent": "1",
    }
    for authorization in ("", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"):
        answer, said = await post(surface, "/v1/events", event, Authorization=authorization)
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert said == {"accepted": 0, "reason": "unauthorized"}
    answer, said = await post(surface, "/v1/events", event, Authorization=f"Bearer {OTHER_TOKEN}")
    assert (answer.status, said) == (401, {"accepted": 0, "refused": [{"index": 0, "reason": "unauthorized"}]})
    assert surface.hits == []
    answer, said = await post(surface, "/v1/events", event, Authorization=f"bearer {TOKEN}", Cookie=f"_pid={THEIRS}")
    assert (answer.status, said) == (202, {"accepted": 1, "refused": []})
    assert "Set-Cookie" not in answer.headers
    (hit,) = surface.hits
    assert (hit.kind, hit.site, json.loads(hit.body)) == ("server", "shop", {"event": "refund"})
    assert (hit.visitor_id, hit.visitor_kind, hit.ip, hit.user_agent) == ("v", "cookie", "203.0.113.0", "UA")
    assert (hit.consent, hit.referer, hit.accept_language) == ("given", "", "")


async def test_a_servers_visitor_obeys_the_sites_policy(surface: Surface) -> None:
    event = {"site": "shop", "visitor_id": "v", "user_id": "u", "ip": "203.0.113.9"}
    await post(surface, "/v1/events", [event, {**event, "consent": "0"}], Authorization=f"Bearer {TOKEN}")
    assert [(hit.visitor_id, hit.visitor_kind, hit.consent) for hit in surface.hits if hit.body != SUPPRESSION] == [
        ("", "none", "unknown"),
        ("", "none", "refused"),
    ]
    assert all("user_id" not in hit.body for hit in surface.hits)


async def test_a_servers_address_is_an_address(surface: Surface) -> None:
    sent = {
        "::ffff:203.0.113.9": "203.0.113.0",
        "203.0.113.7:4411": "203.0.113.0",
        "203.0.113.7, 10.0.0.1": "203.0.113.0",
        " unknown ,198.51.100.4:80,203.0.113.7": "198.51.100.0",
        "2001:DB8::1": "2001:db8::",
        "[2001:db8::1]:443,10.0.0.1": "2001:db8::",
        "unknown": "",
        "203.0.113.7:x": "",
        ",": "",
    }
    events = [{"site": "shop", "ip": ip} for ip in sent]
    answer, said = await post(surface, "/v1/events", events, Authorization=f"Bearer {TOKEN}")
    without = [{"index": at, "fields": ["ip"]} for at, ip in enumerate(sent.values()) if not ip]
    assert said == {"accepted": len(sent), "refused": [], "dropped": without}
    assert answer.headers["X-Pharos"] == "accepted; ip dropped"
    assert [hit.ip for hit in surface.hits] == list(sent.values())
    assert [hit.dropped for hit in surface.hits] == [() if ip else ("ip",) for ip in sent.values()]


async def test_without_consent_nobody_is_named(surface: Surface) -> None:
    await post(surface, "/e", {"site": "shop", "user_id": "u-17", "event": "a"})
    await get(surface, "/p.gif?s=shop&uid=u-17&e=a&id=uid=1", Cookie=f"_pid={THEIRS}")
    tag, pixel = surface.hits
    assert (tag.body, tag.visitor_id) == ('{"event":"a"}', "")
    assert (pixel.query, pixel.visitor_id) == ("s=shop&e=a&id=uid=1", "")
    await get(surface, "/p.gif?s=shop&uid=u-17&n=1", Cookie=f"_pid={THEIRS}")
    assert (surface.hits[2].query, surface.hits[2].visitor_id) == ("s=shop&uid=u-17&n=1", THEIRS)


async def test_an_address_header_that_is_not_believed_is_counted_and_costs_nothing(surface: Surface) -> None:
    for forwarded in ("unknown", "1.2.3.4, nonsense", "203.0.113.9"):
        for path in ("/p.gif?s=demo", "/c/yt-launch"):
            await get(surface, path, X_Forwarded_For=forwarded)
        await post(surface, "/e", {"site": "demo"}, X_Forwarded_For=forwarded)
    surface.ingest.count()
    assert surface.ingest.tally.values["address_faults_total", "broken"] == 6
    assert [hit.ip for hit in surface.hits] == ["127.0.0.0"] * 6 + ["203.0.113.0"] * 3


LISTED, OTHER = "https://shop.example", "https://evil.example"


async def test_cors_of_a_pixel(surface: Surface) -> None:
    for site, origin in (("shop", LISTED), ("shop", OTHER), ("closed", LISTED)):
        answer = await get(surface, f"/p.gif?s={site}", Origin=origin)
        assert answer.headers["X-Pharos"] == "accepted"
        assert_cors(answer, origin)
    answer = await get(surface, "/p.gif?s=closed", Origin=OTHER)
    assert (answer.status, answer.headers["X-Pharos"]) == (200, "refused; origin")
    assert len(surface.hits) == 3


@pytest.mark.parametrize("origin", [LISTED, OTHER, "null", ""])
async def test_cors_of_a_post(surface: Surface, origin: str) -> None:
    headers = {"Origin": origin} if origin else {}
    answer, _ = await post(surface, "/e", {"site": "shop"}, **headers)
    assert answer.status == 202
    assert_cors(answer, origin)
    answer, _ = await post(surface, "/e", [{"site": "shop"}, {"site": "demo"}], **headers)
    assert_cors(answer, "", "a site of the batch does not list it")


@pytest.mark.parametrize(("fetch_site", "echoed"), [("same-site", True), ("same-origin", True), ("cross-site", False)])
@pytest.mark.parametrize("site", ["shop", "unknown"])
async def test_a_page_of_the_collectors_own_site_may_read_the_answer(
    surface: Surface, fetch_site: str, echoed: bool, site: str
) -> None:
    origin = "https://www.unlisted.example"
    answer, _ = await post(surface, "/e", {"site": site}, Origin=origin, Sec_Fetch_Site=fetch_site)
    assert answer.headers["Access-Control-Allow-Origin"] == (origin if echoed else "*")
    assert ("Access-Control-Allow-Credentials" in answer.headers) == echoed


@pytest.mark.parametrize(
    ("age", "verdict"),
    [
        ("0", "accepted"),
        (259_200_000, "accepted"),
        (259_200_001, "refused; bad_time"),
        (-1, "accepted; age dropped"),
        (1.5, "accepted; age dropped"),
    ],
)
async def test_an_event_says_how_old_it_is(surface: Surface, age: object, verdict: str) -> None:
    answer, _ = await post(surface, "/e", {"site": "demo", "age": age})
    assert answer.status == (400 if "refused" in verdict else 202)
    pixel = await get(surface, f"/p.gif?s=demo&a={age}")
    assert [answer.headers["X-Pharos"], pixel.headers["X-Pharos"]] == [verdict] * 2


DROPPED_BY_QUERY = [
    ("v=1,50&c=EUR", "value", "c=EUR"),
    ("v=5&amp;v=x&c=EUR", "value", "c=EUR"),
    ("c=euros&v=1", "currency", "v=1"),
    ("uid=a%40b.example&e=x", "user_id", "e=x"),
    ("uid=u-1&%75id=a@b.example", "user_id", ""),
    ("ts=yesterday&a=5", "time", "a=5"),
    ("ts=4000000000&a=5", "time", "a=5"),
    ("a=-1&w=yes", "age, webdriver", ""),
    ("x.a=" + "1" * 1025 + "&x.b=1", "props", "x.b=1"),
    ("x.=1&x.b=1&x.c=", "props", "x.b=1&x.c="),
    ("&".join(f"x.n{n}=1" for n in range(33)) + "&x.n0=2", "props",
     "&".join(f"x.n{n}=1" for n in range(32)) + "&x.n0=2"),
    ("v=x&c=x&uid=a@b.c&ts=x&a=x&w=x&x.=x&u=x", "url, value, currency, user_id, time, age, webdriver, props", "u=x"),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "names", "kept"), DROPPED_BY_QUERY)
async def test_a_parameter_that_cannot_be_used_costs_itself_only(
    surface: Surface, sent: str, names: str, kept: str
) -> None:
    for path in ("p", "o"):
        answer = await get(surface, f"/{path}.gif?s=demo&{sent}")
        assert answer.headers["X-Pharos"] == f"accepted; {names} dropped"
    for hit in surface.hits:
        assert [part for part in hit.query.split("&") if part] == ["s=demo", *filter(None, kept.split("&"))]
        assert ", ".join((*(["url"] if "u=" in kept else []), *hit.dropped)) == names
    assert sum(surface.dropped().values()) == 2 * len(names.split(", "))


async def test_a_posts_answer_says_what_each_event_is_stored_without(surface: Surface) -> None:
    sale = {"site": "demo", "event": "purchase", "id": "o-1", "value": "12,50", "currency": "€", "url": "nowhere"}
    batch = [{"site": "demo"}, sale, {"site": "nobody"}, {"site": "demo", "title": ["x"], "props": {"a": [], "b": 1}}]
    answer, said = await post(surface, "/e", batch)
    assert answer.status == 202
    assert answer.headers["X-Pharos"] == "accepted; url, value, currency, title, props dropped"
    assert said == {
        "accepted": 3,
        "refused": [{"index": 2, "reason": "unknown_site"}],
        "dropped": [
            {"index": 1, "fields": ["url", "value", "currency"]},
            {"index": 3, "fields": ["title", "props"]},
        ],
    }
    assert [json.loads(hit.body) for hit in surface.hits[1:]] == [
        {"event": "purchase", "url": "nowhere", "id": "o-1"},
        {"props": {"b": "1"}},
    ]
    assert [hit.dropped for hit in surface.hits] == [(), ("value", "currency"), ("title", "props")]


def assert_cors(answer: ClientResponse, origin: str, why: str = "") -> None:
    allowed = answer.headers.get("Access-Control-Allow-Origin")
    if origin == LISTED:
        assert (allowed, answer.headers["Access-Control-Allow-Credentials"]) == (LISTED, "true"), why
    else:
        assert allowed == "*", why
        assert "Access-Control-Allow-Credentials" not in answer.headers, why
    assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize(
    "path", ["/e", "/p.gif", "/o.gif", "/t.js", "/x.js", "/c", "/c/x", "/opt-out", "/opt-in", "/v1/events"]
)
@pytest.mark.parametrize("origin", [LISTED, OTHER])
async def test_preflight(surface: Surface, path: str, origin: str) -> None:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    async with surface.client.options(path, headers=asked) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Max-Age"] == "600"
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
        assert "authorization" not in answer.headers["Access-Control-Allow-Headers"].lower(), "tokens stay on servers"
        assert_cors(answer, origin)


async def test_a_named_link(surface: Surface) -> None:
    answer = await get(surface, "/c/yt-launch?gclid=G1&utm_source=evil&n=0")
    assert (answer.status, answer.headers["X-Pharos"]) == (302, "accepted")
    assert_counted(answer)
    to = urlsplit(answer.headers["Location"])
    (hit,) = surface.hits
    assert (to.scheme, to.netloc, to.path, to.fragment) == ("https", "shop.example", "/p/1", "reviews")
    assert parse_qsl(to.query) == [
        ("color", "blue"),
        ("utm_source", "youtube"),
        ("utm_medium", "video"),
        ("utm_campaign", "launch"),
        ("gclid", "G1"),
        ("_pcl", hit.id),
    ]
    assert (hit.kind, hit.site, hit.consent, hit.visitor_kind) == ("click", "demo", "assumed", "cookie")
    assert json.loads(hit.body) == {
        "event": "click",
        "link_code": "yt-launch",
        "click_id": hit.id,
        "url": answer.headers["Location"],
    }
    assert answer.headers["Set-Cookie"].startswith(f"_pid={hit.visitor_id};")


async def test_a_link_leads_on_without_counting_whom_it_may_not(surface: Surface) -> None:
    answer = await get(surface, "/c/yt-launch", Cookie="_pno=1")
    assert (answer.status, answer.headers["X-Pharos"]) == (302, "refused; opted_out")
    assert "_pcl" not in answer.headers["Location"]
    assert "utm_source=youtube" in answer.headers["Location"]
    answer = await get(surface, "/c/strict")
    assert (answer.status, answer.headers["X-Pharos"]) == (302, "refused; no_consent")
    assert surface.hits == []
    answer = await get(surface, "/c/yt-launch", Sec_GPC="1")
    assert (answer.status, answer.headers["X-Pharos"]) == (302, "accepted")
    assert "_pcl" not in answer.headers["Location"]
    assert "click_id" not in surface.hits[0].body
    async with surface.client.head("/c/yt-launch", allow_redirects=False) as head:
        assert (head.status, "X-Pharos" in head.headers) == (302, False)
    assert len(surface.hits) == 1, "a HEAD is no click"


async def test_a_signed_link(surface: Surface) -> None:
    query = links.sign("shop", "https://shop.example/p?utm_source=qr", LINK_KEY)
    answer = await get(surface, f"/c?{query}&fbclid=F1")
    assert (answer.status, answer.headers["X-Pharos"]) == (302, "accepted")
    (hit,) = surface.hits
    assert answer.headers["Location"] == f"https://shop.example/p?utm_source=qr&fbclid=F1&_pcl={hit.id}"
    assert (hit.site, hit.consent, hit.visitor_id) == ("shop", "unknown", "")


@pytest.mark.parametrize(
    "query",
    [
        "",
        "s=shop&u=https%3A%2F%2Fshop.example%2F",
        f"s=shop&u={quote('https://evil.example/', safe='')}&k=AAAAAAAAAAAAAAAAAAAAAA",
        links.sign("shop", "https://shop.example/", b"another key"),
        links.sign("shop", "https://not-listed.example/", LINK_KEY),
        links.sign("nobody", "https://shop.example/", LINK_KEY),
        links.sign("shop", "https://shop.example/", LINK_KEY).replace("shop.example", "evil.example"),
    ],
)
async def test_a_link_that_nobody_signed(surface: Surface, query: str) -> None:
    answer = await get(surface, f"/c?{query}")
    assert (answer.status, answer.headers["X-Pharos"]) == (403, "refused; bad_signature")
    assert "Location" not in answer.headers
    assert surface.counted("", "bad_signature") == 1


@pytest.mark.parametrize("code", ["nothing", "yt-launch/", "%2F%2Fevil.example", "..", "yt-launch%00", "ü"])
async def test_an_unknown_link(surface: Surface, code: str) -> None:
    answer = await get(surface, f"/c/{code}")
    assert answer.status == 404
    assert "Location" not in answer.headers


async def test_the_opt_out_switch(surface: Surface) -> None:
    out = await get(surface, "/opt-out", Cookie=f"_pid={THEIRS}")
    assert (out.status, out.content_type) == (200, "text/html")
    assert [cookie.partition(";")[0] for cookie in out.headers.getall("Set-Cookie")] == ["_pno=1", "_pid=", "_pcs="]
    assert "default-src 'none'" in out.headers["Content-Security-Policy"]
    assert 'href="/opt-in"' in await out.text()
    hit = await get(surface, "/p.gif?s=demo&n=1", Cookie=f"_pno=1; _pid={THEIRS}")
    assert hit.headers["X-Pharos"] == "refused; opted_out"
    forced = await get(surface, "/opt-in", Cookie="_pno=1", Sec_Fetch_Site="cross-site")
    assert (forced.status, "Set-Cookie" in forced.headers) == (200, False), "another site cannot undo it"
    back = await get(surface, "/opt-in", Cookie="_pno=1", Sec_Fetch_Site="same-origin")
    assert back.headers["Set-Cookie"].startswith("_pno=; Max-Age=0")


@pytest.mark.parametrize(
    ("headers", "undone"),
    [
        ({}, False),
        ({"Referer": "https://evil.example/"}, False),
        ({"Referer": "not a URL : //"}, False),
        ({"Referer": "http://px.example.evil.example/opt-out"}, False),
        ({"Referer": "http://px.example/opt-out"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "cross-site", "Referer": "http://px.example/opt-out"}, False),
    ],
)
async def test_an_opt_out_is_undone_only_from_this_site(
    surface: Surface, headers: dict[str, str], undone: bool
) -> None:
    asked = {"Host": "px.example", "Cookie": "_pno=1", **headers}
    async with surface.client.get("/opt-in", headers=asked) as answer:
        assert ("Set-Cookie" in answer.headers) is undone
        assert ("Do you want" in await answer.text()) is not undone
        assert answer.headers["Referrer-Policy"] == "same-origin", "else its own link would not show where it stands"


@pytest.mark.parametrize(
    "header", [("Sec-Purpose", "prefetch;prerender"), ("X-Purpose", "preview"), ("X-Moz", "prefetch")]
)
@pytest.mark.parametrize("path", ["/opt-out", "/opt-in"])
async def test_a_prefetch_switches_nothing(surface: Surface, path: str, header: tuple[str, str]) -> None:
    asked = {"Sec-Fetch-Site": "same-origin", "Cookie": "_pno=1", header[0]: header[1]}
    async with surface.client.get(path, headers=asked) as answer:
        assert (answer.status, "Set-Cookie" in answer.headers) == (403, False)


def suppressions(surface: Surface) -> list[tuple[str, str]]:
    """Return site and visitor of each suppression, which has to hold nothing else; no other hit knows the visitor."""
    found = []
    for hit in surface.hits:
        if hit.body == SUPPRESSION:
            assert hit == Hit(
                id=hit.id,
                at=hit.at,
                kind="tag",
                site=hit.site,
                body=hit.body,
                visitor_id=hit.visitor_id,
                visitor_kind="cookie",
                consent="refused",
            )
            found.append((hit.site, hit.visitor_id))
        else:
            assert THEIRS not in (hit.visitor_id, hit.query, hit.body)
    return found


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/p.gif?s=demo&n=0", {}),
        ("/o.gif?s=demo&n=0", {}),
        ("/p.gif?s=demo", {"Sec_GPC": "1"}),
        ("/p.gif?s=demo", {"DNT": "1"}),
        ("/p.gif?s=demo", {"More": "_pcs=0"}),
        ("/p.gif?s=demo", {"More": "_pno=1"}),
        ("/c/yt-launch", {"Sec_GPC": "1"}),
    ],
)
async def test_a_refusal_suppresses_the_id_that_was_known_once(
    surface: Surface, path: str, headers: dict[str, str]
) -> None:
    more = headers.pop("More", "a=b")
    for times in (1, 2):
        answer = await get(surface, path, Cookie=f"{more}; _pid={THEIRS}", **headers)
        assert len(suppressions(surface)) == times
        assert any(cookie.startswith("_pid=; Max-Age=0") for cookie in answer.headers.getall("Set-Cookie"))
    assert set(suppressions(surface)) == {("demo", THEIRS)}
    await get(surface, path, Cookie=more, **headers)
    assert len(suppressions(surface)) == 2, "without the id there is nothing to suppress"


async def test_a_batch_that_refuses_suppresses_once_a_site(surface: Surface) -> None:
    events = [{"site": site, "consent": "0"} for site in ("demo", "shop", "demo", "hash")]
    async with surface.client.post("/e", json=events, headers={"Cookie": f"_pid={THEIRS}"}):
        assert suppressions(surface) == [("demo", THEIRS), ("shop", THEIRS)]


async def test_a_server_passes_a_refusal_on(surface: Surface) -> None:
    event = {"site": "demo", "consent": "0", "visitor_id": "customer-7"}
    async with surface.client.post(
        "/v1/events", json=event, headers={"Authorization": f"Bearer {OTHER_TOKEN}"}
    ) as answer:
        assert answer.status == 202
    assert suppressions(surface) == [("demo", "customer-7")]


async def test_an_opt_out_suppresses_the_id_on_every_site_with_a_cookie(surface: Surface) -> None:
    await get(surface, "/opt-out", Cookie=f"_pid={THEIRS}")
    known = surface.ingest.ruleset.sites
    assert suppressions(surface) == [(site, THEIRS) for site, policy in known.items() if policy.identity == "cookie"]
    await get(surface, "/opt-out")
    assert len(suppressions(surface)) == sum(policy.identity == "cookie" for policy in known.values())


@pytest.mark.parametrize(
    ("url", "verdict"),
    [
        ("https://shop.example/x", "accepted"),
        ("/x", "accepted"),
        ("", "accepted"),
        ("shop.example/x", "accepted; url dropped"),
        ("undefined", "accepted; url dropped"),
        ("{{page_url}}", "accepted; url dropped"),
        ("https:/shop.example/x", "accepted; url dropped"),
        ("https%3A%2F%2Fshop.example%2Fx", "accepted; url dropped"),
    ],
)
async def test_an_address_that_cannot_be_used_is_dropped_and_named(surface: Surface, url: str, verdict: str) -> None:
    pixel = await get(surface, f"/p.gif?s=demo&e=purchase&v=9.90&u={quote(url, safe='')}")
    assert pixel.headers["X-Pharos"] == verdict
    answer, said = await post(surface, "/e", {"site": "demo", "event": "purchase", "value": "9.90", "url": url})
    assert isinstance(said, dict)
    assert (answer.status, answer.headers["X-Pharos"], said["accepted"]) == (202, verdict, 1)
    refused = await get(surface, f"/p.gif?s=nobody&u={quote(url, safe='')}")
    assert refused.headers["X-Pharos"] == "refused; unknown_site"
    assert len(surface.hits) == 2


@pytest.mark.parametrize(
    ("site", "value", "verdict"),
    [
        ("capped", "1000.0000", "accepted"),
        ("capped", "-1000", "accepted"),
        ("capped", "00000000999.99", "accepted"),
        ("capped", "1000.0001", "accepted; value dropped"),
        ("capped", "-1000.01", "accepted; value dropped"),
        ("capped", "+1001", "accepted; value dropped"),
        ("capped", "99999999999999.9999", "accepted; value dropped"),
        ("demo", "1000000000000.0000", "accepted"),
        ("demo", "1000000000000.0001", "accepted; value dropped"),
        ("demo", "-99999999999999.9999", "accepted; value dropped"),
    ],
)
async def test_a_value_over_the_sites_bound_is_dropped_and_named(
    surface: Surface, site: str, value: str, verdict: str
) -> None:
    pixel = await get(surface, f"/p.gif?v=&s={site}&e=purchase&id=1&amp;v={quote(value, safe='')}&v=1&c=EUR")
    assert pixel.headers["X-Pharos"] == verdict
    event = {"site": site, "event": "purchase", "id": "1", "value": value, "currency": "EUR"}
    answer, said = await post(surface, "/e", [event, {**event, "value": "1"}])
    assert isinstance(said, dict)
    assert (answer.status, answer.headers["X-Pharos"], said["accepted"]) == (202, verdict, 2)
    is_dropped = "dropped" in verdict
    names = ("value",) if is_dropped else ()
    assert [hit.dropped for hit in surface.hits] == [names, names, ()]
    by_pixel, over, under = surface.hits
    assert ("v=" in by_pixel.query) != is_dropped
    assert by_pixel.query.startswith(f"s={site}&e=purchase&id=1" if is_dropped else f"v=&s={site}")
    assert by_pixel.query.endswith("&c=EUR")
    assert json.loads(over.body).get("value") == (None if is_dropped else value)
    assert json.loads(under.body)["value"] == "1"
    assert surface.dropped() == ({(site, "value"): 2} if is_dropped else {})


async def test_a_servers_value_has_the_same_bound(surface: Surface) -> None:
    event = {"site": "capped", "event": "purchase", "id": "1", "value": "1000.01", "url": "nowhere"}
    answer, _ = await post(surface, "/v1/events", [event], Authorization=f"Bearer {TOKEN}")
    assert answer.headers["X-Pharos"] == "accepted; url, value dropped"
    assert [(hit.dropped, json.loads(hit.body)) for hit in surface.hits] == [
        (("value",), {"event": "purchase", "url": "nowhere", "id": "1"})
    ]
    assert surface.dropped() == {("capped", "url"): 1, ("capped", "value"): 1}


async def test_a_repeated_value_counts_by_its_first(surface: Surface) -> None:
    answer = await get(surface, "/p.gif?s=capped&v=5&v=5000")
    assert (answer.headers["X-Pharos"], surface.hits[0].dropped) == ("accepted", ())


async def test_fields_of_refused_events_are_not_counted_as_dropped(tmp_path: Path) -> None:
    async with running(tmp_path, most_bytes=100) as surface:
        for path in ("/p.gif?s=capped&v=1001", "/p.gif?s=strict&u=x&v=99999999999999", "/p.gif?s=nobody&u=x"):
            await get(surface, path)
        await post(surface, "/e", {"site": "capped", "value": 1001})
        assert surface.counted("capped", "spool") == 2
        assert surface.dropped() == {}


@pytest.mark.parametrize(
    ("path", "verdict"),
    [
        ("/p.gif?s=guarded&e=purchase&v=9.90", "refused; unauthorized"),
        ("/p.gif?s=guarded&e=Sale", "refused; unauthorized"),
        ("/p.gif?e=purch%61se&s=guarded", "refused; unauthorized"),
        ("/p.gif?s=guarded&%65=purchase", "refused; unauthorized"),
        ("/p.gif?s=guarded&amp;e=purchase", "refused; unauthorized"),
        ("/p.gif?s=guarded&e=&e=purchase", "refused; unauthorized"),
        ("/p.gif?s=guarded&e=signup&e=purchase", "refused; unauthorized"),
        ("/o.gif?s=guarded&m=x", "refused; unauthorized"),
        ("/o.gif?s=guarded&m=x&e=read", "accepted"),
        ("/p.gif?s=guarded&e=sale", "accepted"),
        ("/p.gif?s=guarded&t=purchase", "accepted"),
        ("/p.gif?s=demo&e=purchase", "accepted"),
        ("/p.gif?s=guarded&e=open!", "refused; bad_event"),
    ],
)
async def test_a_pixel_cannot_send_what_needs_a_token(surface: Surface, path: str, verdict: str) -> None:
    answer = await get(surface, path)
    assert (answer.status, answer.headers["X-Pharos"]) == (200, verdict)
    assert len(surface.hits) == (verdict == "accepted")
    assert surface.counted("guarded", "unauthorized") == (verdict == "refused; unauthorized")


async def test_an_event_that_needs_a_token_counts_from_the_server_only(surface: Surface) -> None:
    events = [{"site": "guarded", "event": event} for event in ("purchase", "signup", "open")]
    for headers in ({}, {"Authorization": f"Bearer {TOKEN}"}):
        answer, said = await post(surface, "/e", events, **headers)
        refused = [{"index": at, "reason": "unauthorized"} for at in (0, 2)]
        assert (answer.status, said) == (202, {"accepted": 1, "refused": refused})
    answer, _ = await post(surface, "/e", events[0], Origin="https://shop.example")
    assert (answer.status, answer.headers["X-Pharos"]) == (401, "refused; unauthorized")
    assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert [json.loads(hit.body)["event"] for hit in surface.hits] == ["signup"] * 2
    answer, said = await post(surface, "/v1/events", events, Authorization=f"Bearer {TOKEN}")
    assert (answer.status, said) == (202, {"accepted": 3, "refused": []})
    assert [hit.kind for hit in surface.hits] == ["tag"] * 2 + ["server"] * 3
    assert surface.counted("guarded", "unauthorized") == 5
    answer, _ = await post(surface, "/v1/events", events, Authorization=f"Bearer {OTHER_TOKEN}")
    assert (answer.status, len(surface.hits)) == (401, 5)


async def test_a_click_needs_no_token(surface: Surface) -> None:
    path = "/c?" + links.sign("guarded", "https://shop.example/", LINK_KEY)
    async with surface.client.get(path, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["X-Pharos"]) == (302, "accepted")
    assert [hit.kind for hit in surface.hits] == ["click"]
    assert (await get(surface, "/p.gif?s=guarded&e=click")).headers["X-Pharos"] == "refused; unauthorized"


async def test_a_head_of_the_mail_pixel_is_no_open(surface: Surface) -> None:
    async with surface.client.head("/o.gif?s=demo&m=x") as answer:
        assert (answer.status, answer.content_type) == (200, "image/gif")
        assert "X-Pharos" not in answer.headers
    assert surface.hits == []
    await get(surface, "/o.gif?s=demo&m=x")
    assert len(surface.hits) == 1


@pytest.mark.parametrize(
    "query", ["s=demo&amp;e=sale&amp;uid=u-1", "amp;s=demo&amp;amp;e=sale&amp;uid=u-1", "%73=demo&%65=sale&u%69d=u-1"]
)
async def test_a_query_that_a_mail_editor_escaped_is_read_as_meant(surface: Surface, query: str) -> None:
    answer = await get(surface, f"/p.gif?{query}&n=0")
    assert answer.headers["X-Pharos"] == "accepted"
    assert "u-1" not in surface.hits[-1].query, "the user of a visitor who has refused"
    answer = await get(surface, f"/p.gif?{query.replace('u-1', 'a@b.example')}")
    assert answer.headers["X-Pharos"] == "accepted; user_id dropped"
    assert "b.example" not in surface.hits[-1].query


async def test_the_tag(surface: Surface) -> None:
    answer = await get(surface, "/t.js", Accept_Encoding="gzip")
    assert (answer.status, answer.content_type) == (200, "text/javascript")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert b"pageview" in gzip.decompress(await answer.read())
    again = await get(surface, "/t.js", Accept_Encoding="gzip", If_None_Match=answer.headers["ETag"])
    assert (again.status, await again.read()) == (304, b"")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/robots.txt", 200),
        ("GET", "/", 404),
        ("GET", "/e", 404),
        ("POST", "/p.gif", 404),
        ("PUT", "/e", 404),
        ("GET", "/metrics", 404),
        ("GET", "/healthz", 404),
        ("GET", "/favicon.ico", 404),
        ("OPTIONS", "/nothing", 404),
        ("DELETE", "/", 404),
    ],
)
async def test_everything_else(surface: Surface, method: str, path: str, status: int) -> None:
    async with surface.client.request(method, path) as answer:
        assert answer.status == status
        assert "Traceback" not in await answer.text()


@pytest.mark.parametrize("path", ["/p.gif", "/o.gif"])
@pytest.mark.parametrize("consent", ["1", "0"])
async def test_a_link_to_the_pixel_gives_or_takes_no_consent(surface: Surface, path: str, consent: str) -> None:
    """Anybody may put such a link on a page; an image that the site's own page loads is another matter."""
    sent = {"Cookie": f"_pid={THEIRS}"}
    for mode in ("navigate", "no-cors"):
        answer = await get(surface, f"{path}?s=shop&n={consent}", Sec_Fetch_Mode=mode, **sent)
        assert any("_pcs=" in cookie for cookie in answer.headers.getall("Set-Cookie", [])) == (mode == "no-cors")
        event = {"site": "shop", "consent": consent}
        answer, _ = await post(surface, "/e", event, Sec_Fetch_Mode=mode, Content_Type="text/plain", **sent)
        assert any("_pcs=" in cookie for cookie in answer.headers.getall("Set-Cookie", [])) == (mode == "no-cors")
    word = "given" if consent == "1" else "refused"
    counted = [hit for hit in surface.hits if hit.body != SUPPRESSION]
    assert [hit.consent for hit in counted] == ["unknown", "unknown", word, word]


async def test_addresses_come_from_the_trusted_proxy_and_are_cut(surface: Surface) -> None:
    for site in ("demo", "full", "noip"):
        await get(surface, f"/p.gif?s={site}", X_Forwarded_For="6.6.6.6, 203.0.113.77")
        await post(surface, "/e", {"site": site}, X_Forwarded_For="2001:db8:1:2::3")
    assert [hit.ip for hit in surface.hits] == [
        "203.0.113.0",
        "2001:db8:1::",
        "203.0.113.77",
        "2001:db8:1:2::3",
        "",
        "",
    ]


async def test_a_full_spool_is_told(tmp_path: Path) -> None:
    async with running(tmp_path, most_bytes=0) as full:
        answer, said = await post(full, "/e", {"site": "demo"})
        assert (answer.status, answer.headers["X-Pharos"]) == (503, "refused; spool")
        assert int(answer.headers["Retry-After"]) > 0
        assert said == {"accepted": 0, "reason": "spool"}
        answer = await get(full, "/c/yt-launch")
        assert (answer.status, answer.headers["X-Pharos"]) == (302, "refused; spool"), "a person must arrive"
        assert full.counted("demo", "spool") == 2


SECRETS = (
    "session=hunter2",
    "hunter2",
    "_ga=GA1.2.3",
    "Bearer",
    TOKEN,
    "203.0.113.77",
    "2001:db8:1:2::3",
    THEIRS,
    "u-17",
)


async def test_what_a_policy_forbids_never_reaches_the_spool(surface: Surface) -> None:
    """Site shop, consent required: no identity, no full address; and of every site no foreign cookie, no token."""
    secret = {
        "Cookie": f"session=hunter2; _pid={THEIRS}; _ga=GA1.2.3",
        "Authorization": f"Bearer {TOKEN}",
        "Proxy_Authorization": "Bearer proxy",
        "X_Forwarded_For": "203.0.113.77",
    }
    event = {"site": "shop", "event": "seen", "user_id": "u-17", "url": "https://shop.example/"}
    await get(surface, "/p.gif?s=shop&uid=u-17&e=seen", **secret)
    await get(surface, "/o.gif?s=shop&uid=u-17", **{**secret, "X_Forwarded_For": "2001:db8:1:2::3"})
    await get(surface, f"/c?{links.sign('shop', 'https://shop.example/', LINK_KEY)}", **secret)
    await post(surface, "/e", [event, event], **secret)
    await post(
        surface,
        "/v1/events",
        {**event, "visitor_id": THEIRS, "ip": "203.0.113.77"},
        **{**secret, "Authorization": f"Bearer {TOKEN}"},
    )
    assert len(surface.hits) == 6
    written = surface.spool_bytes()
    assert written.count(b'"site":"shop"') == 6, "the spool is where it is looked for"
    for text in SECRETS:
        assert text.encode() not in written, text
    await get(surface, "/p.gif?s=hash", **secret)
    assert surface.hits[-1].visitor_kind == "cookieless"
    salts = [path.read_bytes() for path in (surface.folder.parent / "salt").iterdir()]
    assert len(salts) == 1
    assert salts[0] not in surface.spool_bytes()
    assert salts[0].hex().encode() not in surface.spool_bytes()
    assert b"203.0.113.77" not in surface.spool_bytes()
