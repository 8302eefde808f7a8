"""What the collector keeps of refused hits, on every route: enough for the fix, nothing of the visitor."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from collector.process import refusals
from tests.collector.surface import TOKEN, Surface, running

SECRETS = ("203.0.113.77", "SecretBrowser", "secret-cookie", "kim@shop.example", "secret-path", "u-4711", "secret-prop")
"""Parts of the requests below that must not be kept."""
VISITOR = "9f86d081884c7d659a2feaa0c55ad015"
HEADERS = {
    "X-Forwarded-For": "203.0.113.77",
    "User-Agent": "SecretBrowser/1.0 (iPhone)",
    "Referer": "https://www.shop.example/secret-path?mail=kim@shop.example",
    "Cookie": f"_pid={VISITOR}; session=secret-cookie",
    "Accept-Language": "tlh",
}


@pytest.fixture
async def surface(tmp_path: Path) -> AsyncIterator[Surface]:
    async with running(tmp_path) as found:
        yield found


def kept(surface: Surface) -> list[dict[str, object]]:
    """Return what the admin port would show, newest first."""
    text = refusals.as_json("a", [[*surface.ingest.refused_hits.all()]])
    for secret in (*SECRETS, VISITOR, "tlh", "203.0.113"):
        assert secret not in text.decode(), secret
    found: list[dict[str, object]] = orjson.loads(text)["refused"]
    for one in found:
        assert set(one) == {"route", "reason", "name", "origin", "hits", "first_ms", "last_ms"}
    return found


def what(surface: Surface) -> list[tuple[object, ...]]:
    return [(one["route"], one["reason"], one["name"], one["origin"]) for one in kept(surface)]


EVENT = {"user_id": "u-4711", "props": {"secret-prop": "x"}, "url": "https://www.shop.example/secret-path"}


@pytest.mark.parametrize(
    ("event", "reason", "name"),
    [
        ({"site": "shopp"}, "unknown_site", "shopp"),
        ({}, "unknown_site", "(none)"),
        ({"site": "kim@shop.example"}, "unknown_site", "(unreadable)"),
        ({"site": "demo", "event": "not good"}, "bad_event", "demo"),
        ({"site": "demo", "id": ["kim@shop.example"]}, "bad_id", "demo"),
        ({"site": "closed"}, "origin", "closed"),
        ({"site": "guarded", "event": "purchase"}, "unauthorized", "guarded"),
    ],
)
async def test_an_event_of_a_page(surface: Surface, event: dict[str, object], reason: str, name: str) -> None:
    body = json.dumps({**EVENT, **event})
    for _ in range(2):
        answer = await surface.client.post("/e", data=body, headers={**HEADERS, "Origin": "https://other.example"})
        assert f"refused; {reason}" in answer.headers["X-Pharos"]
    assert what(surface) == [("tag", reason, name, "https://other.example")]
    assert kept(surface)[0]["hits"] == 2
    assert surface.hits == []


@pytest.mark.parametrize(
    ("path", "entry"),
    [
        ("/p.gif?s=shopp&uid=u-4711", ("pixel", "unknown_site", "shopp", "https://www.shop.example")),
        ("/p.gif?s=%7B%7Bsite%7D%7D", ("pixel", "unknown_site", "(unreadable)", "https://www.shop.example")),
        ("/p.gif?uid=u-4711", ("pixel", "unknown_site", "(none)", "https://www.shop.example")),
        ("/o.gif?s=demo&e=not+good&m=secret-prop", ("pixel", "bad_event", "demo", "https://www.shop.example")),
        ("/c/yt-launched", ("link", "unknown_link", "yt-launched", "https://www.shop.example")),
        (
            "/c?s=demo&u=https%3A%2F%2Fsecret-path.example&k=x",
            ("link", "bad_signature", "demo", "https://www.shop.example"),
        ),
    ],
)
async def test_a_pixel_or_a_link(surface: Surface, path: str, entry: tuple[str, ...]) -> None:
    await surface.client.get(path, headers=HEADERS, allow_redirects=False)
    assert what(surface) == [entry]


async def test_a_server(surface: Surface) -> None:
    headers = {**HEADERS, "Authorization": "Bearer secret-cookie"}
    await surface.client.post("/v1/events", data=json.dumps({"site": "shop", **EVENT}), headers=headers)
    body = json.dumps([{"site": "demo", **EVENT}, {"site": "shop", "id": 1.5}])
    await surface.client.post("/v1/events", data=body, headers={"Authorization": f"Bearer {TOKEN}"})
    await surface.client.post("/v1/events", data="secret-prop", headers={"Authorization": f"Bearer {TOKEN}"})
    assert sorted(what(surface)) == [
        ("server", "bad_body", "(none)", ""),
        ("server", "bad_id", "shop", ""),
        ("server", "unauthorized", "(none)", ""),
        ("server", "unauthorized", "demo", ""),
    ]


async def test_what_a_visitor_refused_is_counted_and_not_kept(surface: Surface) -> None:
    """`_pno`: nothing is recorded. A site that drops hits without consent: only counted in metrics."""
    opted_out = {**HEADERS, "Cookie": f"_pid={VISITOR}; _pno=1"}
    await surface.client.post("/e", data='{"site":"demo"}', headers=opted_out)
    await surface.client.get("/p.gif?s=demo", headers=opted_out)
    await surface.client.get("/p.gif?s=strict", headers=HEADERS)
    assert surface.counted("demo", "opted_out") == 2
    assert surface.counted("strict", "no_consent") == 1
    assert kept(surface) == []


async def test_an_accepted_hit_leaves_nothing(surface: Surface) -> None:
    await surface.client.get("/p.gif?s=demo&u=undefined", headers=HEADERS)
    assert len(surface.hits) == 1
    assert kept(surface) == []
