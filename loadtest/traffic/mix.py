"""The one mix of all benchmarks: tag, pixel, mail, link and server hits in the shares of `mix.toml`. Pure and seeded.

The tag's requests are those that tag.js made in Chromium (tag_requests.json: headers, fields, batches), with other
pages, visitors, browsers and ids. No two requests are alike. An event of the tag and of a server has an id; `audited`
gives every other hit a mark by which the load test finds it again.
"""

import itertools
import json
import random
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec

from loadtest.traffic import user_agents
from loadtest.traffic.request_template import ID_SLOT, PID_SLOT, UUID_SLOT, Request, hit_id, uuid7, wire
from loadtest.traffic.visitors import Surface, Visitors

PRESENT: Final = 64
"""Visitors on the site at a time; their requests alternate."""
_HERE: Final = Path(__file__).parent
_WORDS: Final = ("blue", "enamel", "travel", "tall", "little", "striped", "speckled", "winter", "garden", "harbour")
_THINGS: Final = ("mug", "poster", "bowl", "plate", "teapot", "tray", "print", "candle")


@cache
def _settings() -> dict[str, Any]:
    return tomllib.loads((_HERE / "mix.toml").read_text())


@cache
def _recording() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((_HERE / "tag_requests.json").read_text())
    return found


class _Site(Visitors):
    """The visitors of the mix, on a site of thousands of pages with click ids that never repeat."""

    def __init__(self, seed: int, surface: Surface, audited: bool) -> None:
        super().__init__("mix", seed, surface, _settings()["visitors"])
        self.audited = audited
        self.servers = _settings()["server"]["user_agents"]

    def page(self) -> str:
        if self.rng.random() < 0.4:
            return super().page()
        number = min(int(self.rng.paretovariate(0.9)), 5_000)
        name = f"{_WORDS[number % 10]}-{_THINGS[number % 8]}-{number}"
        return f"{self.surface.page_origin}/products/{name}"

    def landing(self) -> str:
        page = super().landing()
        for name in ("gclid=", "fbclid=", "msclkid=", "ttclid="):
            if name in page:  # the last parameter of its campaign
                return page[: page.index(name) + len(name)] + f"{self.rng.getrandbits(160):040x}"
        return page

    def title(self, page: str) -> str:
        return page.rpartition("/")[2].partition("?")[0].replace("-", " ").capitalize() or "Lighthouse shop"

    def mark(self) -> str:
        return f"&x.lt={ID_SLOT}" if self.audited else ""


class _Visitor:
    """One visitor with one browser: what the requests of a visit have in common."""

    def __init__(self, site: _Site) -> None:
        self.site = site
        self.agent = next(site.browsers)
        self.language = next(site.languages)
        self.new = site.rng.random() < site.new_share
        self.visit = next(site.visits) if self.new else -1
        self.cookie = "" if self.new else site.cookie()
        self.consent = "1" if site.rng.random() < _settings()["tag"]["consent"] else ""
        self.asked = False

    def next_cookie(self) -> tuple[str, dict[str, Any]]:
        """Return the cookie of the next request, and what the request must know of it."""
        first, self.asked = not self.asked, True
        cookie = self.cookie or ("" if first else PID_SLOT)
        return cookie, {"visit": self.visit, "learns": self.new and first}


def _tag_request(visitor: _Visitor, step: str, pages: list[tuple[str, str]]) -> Request:
    """Return a request of the recording; `pages` gives page and referrer of each event, in order."""
    site, recorded = visitor.site, _recording()[step]
    events = [
        _tag_event(visitor, event, page, referrer)
        for event, (page, referrer) in zip(recorded["events"], pages, strict=True)
    ]
    return _tag_post(visitor, recorded["headers"], events, site.surface.page_origin)


def _tag_post(visitor: _Visitor, recorded: list[list[str]], events: list[dict[str, Any]], origin: str) -> Request:
    cookie, more = visitor.next_cookie()
    brands, mobile, platform = user_agents.client_hints(visitor.agent)
    values = {
        "user-agent": visitor.agent,
        "sec-ch-ua": brands,
        "sec-ch-ua-mobile": mobile,
        "sec-ch-ua-platform": platform,
        "origin": origin,
        "referer": f"{origin}/",
        "accept-language": visitor.language,
    }
    names = [(name, value) for name, value in recorded if name.lower() not in ("host", "content-length", "cookie")]
    headers = [(name, values.get(name.lower(), value)) for name, value in names]
    if cookie:
        headers.append(("Cookie", f"_pid={cookie}"))
    return Request(
        kind="tag",
        method="POST",
        target="/e",
        headers=tuple((name, value) for name, value in headers if value),
        body=msgspec.json.encode(events).decode(),
        status=202,
        expected=(True,) * len(events),
        **more,
    )


def _tag_event(visitor: _Visitor, recorded: dict[str, Any], page: str, referrer: str) -> dict[str, Any]:
    """Return the recorded event with another page, visitor and id; the fields stay in their order."""
    site, rng = visitor.site, visitor.site.rng
    event = dict(recorded)
    event |= {"site": site.surface.site, "id": UUID_SLOT, "url": page, "referrer": referrer, "title": site.title(page)}
    if "age" in event:
        event["age"] = rng.randrange(1, 40)
    if event["event"] == "engagement":
        event["props"] = {"ms": str(min(100 + int(rng.expovariate(1 / 20_000)), 1_800_000))}
    elif "value" in event:
        event["value"] = f"{rng.randrange(400, 20_000) / 100:.2f}"
        if rng.random() < 0.1:  # the order's own id, which the shop's server sends too
            event |= {"event": "purchase", "id": ID_SLOT, "user_id": f"u-{rng.randrange(9_000)}"}
    if visitor.consent:
        event["consent"] = visitor.consent
    return {name: value for name, value in event.items() if value != ""}


def _tag_visit(site: _Site) -> Iterator[Request]:
    """Yield the requests of one visit to pages with the tag."""
    rng, settings, visitor = site.rng, _settings()["tag"], _Visitor(site)
    single_page = rng.random() < settings["single_page"]
    page, referrer = site.landing(), next(site.referrers)
    if rng.random() < settings["offline"]:
        yield _offline(visitor, page, referrer)
        return
    yield _tag_request(visitor, "page_view", [(page, referrer)])
    for _ in range(min(int(rng.expovariate(0.5)), 11)):
        if rng.random() < settings["event_a_page"]:
            yield _tag_request(visitor, "event", [(page, referrer)])
        following = site.page()
        if single_page:
            yield _tag_request(visitor, "navigation", [(page, referrer), (following, page)])
        else:
            yield _tag_request(visitor, "leave", [(page, referrer)])
            yield _tag_request(visitor, "page_view", [(following, page)])
        page, referrer = following, page
    yield _tag_request(visitor, "leave", [(page, referrer)])


def _offline(visitor: _Visitor, page: str, referrer: str) -> Request:
    """Return the events of several pages in one batch."""
    site, recorded = visitor.site, _recording()
    events = []
    for _ in range(visitor.site.rng.randrange(2, 6)):
        for step in ("page_view", "leave"):
            event = _tag_event(visitor, recorded[step]["events"][0], page, referrer)
            events.append(event | ({"age": site.rng.randrange(40, 120_000)} if "age" in event else {}))
        page, referrer = site.page(), page
    return _tag_post(visitor, recorded["leave"]["headers"], events, site.surface.page_origin)


def _pixels(site: _Site) -> Iterator[Request]:
    """Yield the pixels of a visit to pages that carry only the image."""
    visitor = _Visitor(site)
    page, referrer = site.landing(), next(site.referrers)
    for _ in range(min(1 + int(site.rng.expovariate(0.5)), 12)):
        cookie, more = visitor.next_cookie()
        headers = site.headers(visitor.agent, page) + ([("Cookie", f"_pid={cookie}")] if cookie else [])
        target = f"/p.gif?s={site.surface.site}&e=pageview&u={quote(page, safe='')}&t={quote(site.title(page))}"
        target += f"&r={quote(referrer, safe='')}" if referrer else ""
        yield Request(kind="pixel", target=target + site.mark(), headers=tuple(headers), **more)
        page, referrer = site.page(), page


def _open(site: _Site) -> Iterator[Request]:
    rng = site.rng
    query = (
        f"s={site.surface.site}&m=2026-11-launch-{rng.randrange(40)}&l={next(site.lists)}&uid=u-{rng.randrange(90_000)}"
    )
    headers = [header for header in site.headers(next(site.mail_clients), "") if header[0] != "Referer"]
    yield Request(kind="mail", target=f"/o.gif?{query}{site.mark()}", headers=tuple(headers))


def _click(site: _Site) -> Iterator[Request]:
    click_id = ID_SLOT if site.audited else f"{site.rng.getrandbits(160):040x}"
    headers = site.headers(next(site.browsers), next(site.referrers))
    target = f"/c/{site.surface.link_code}?gclid={click_id}"
    yield Request(kind="click", target=target, headers=tuple(h for h in headers if h[1]), status=302)


def _orders(site: _Site) -> Iterator[Request]:
    """Yield a request of the shop's server: an order, or several."""
    rng = site.rng
    events = []
    for _ in range(rng.randrange(2, 12) if rng.random() < _settings()["server"]["batch"] else 1):
        event = {"site": site.surface.site, "event": rng.choice(("purchase", "purchase", "refund", "renewal"))}
        event |= {"id": ID_SLOT, "value": f"{rng.randrange(400, 20_000) / 100:.2f}", "currency": "EUR"}
        event |= {"user_id": f"u-{rng.randrange(90_000)}", "visitor_id": site.cookie(), "consent": "1"}
        event |= {"user_agent": next(site.browsers), "ip": f"203.0.113.{rng.randrange(256)}"}
        events.append(event)
    yield Request(
        kind="server",
        method="POST",
        target="/v1/events",
        headers=(
            ("User-Agent", rng.choice(site.servers)),
            ("Accept", "*/*"),
            ("Content-Type", "application/json"),
            ("Authorization", f"Bearer {site.surface.token}"),
        ),
        body=msgspec.json.encode(events if len(events) > 1 else events[0]).decode(),
        status=202,
        expected=(True,) * len(events),
    )


_ARRIVALS: Final[dict[str, Callable[[_Site], Iterator[Request]]]] = {
    "tag": _tag_visit,
    "pixel": _pixels,
    "open": _open,
    "click": _click,
    "server": _orders,
}


def requests(
    seed: int, surface: Surface, *, audited: bool = True, shares: Mapping[str, float] | None = None
) -> Iterator[Request]:
    """Yield requests without end; the shares of hits are those of `mix.toml`, or `shares`, at any length.

    Without a token or a link the shares of servers or clicks fall to the tag.
    """
    site = _Site(seed, surface, audited)
    shares = dict(_settings()["hits"] if shares is None else shares)
    for kind, there in (("server", surface.token), ("click", surface.link_code)):
        if not there and kind in shares:
            shares["tag"] = shares.get("tag", 0) + shares.pop(kind)
    counts = dict.fromkeys(shares, 0)
    present: list[tuple[str, Iterator[Request]]] = []
    while True:
        if len(present) < PRESENT:
            # The kind that is furthest behind its share: an arrival may bring one hit or twenty.
            kind = min(shares, key=lambda name: counts[name] / shares[name])
            present.append((kind, _ARRIVALS[kind](site)))
        place = site.rng.randrange(len(present))
        kind, arrival = present[place]
        request = next(arrival, None)
        if request is None:
            present[place] = present[-1]
            present.pop()
        else:
            counts[kind] += len(request.expected)
            yield request


def raw(
    seed: int,
    surface: Surface,
    count: int,
    *,
    shares: Mapping[str, float] | None = None,
    keep: Callable[[Request], bool] = lambda request: True,
    at_ms: int = 1_795_334_400_000,
) -> Iterator[bytes]:
    """Yield `count` requests as bytes, all different, for clients that only repeat what they are given.

    `shares` are those of `requests`; of these requests `keep` chooses. The tag's event ids are UUIDs of version 7 from
    `at_ms` on, a millisecond a request.
    """
    rng, orders, run = random.Random(f"raw {seed}"), itertools.count(), f"{seed & 0xFFFFFFFF:08x}"
    cookies: dict[int, bytes] = {}
    seen: set[bytes] = set()
    for request in filter(keep, requests(seed, surface, audited=False, shares=shares)):
        template, at = wire(request, surface.host), at_ms + len(seen)
        ids = [
            (uuid7(rng, at) if slot == "uuid" else hit_id(run, 0, next(orders))).encode()
            for slot in template.slots
            if slot != "cookie"
        ]
        cookie = cookies.setdefault(request.visit, f"{rng.getrandbits(128):032x}".encode())
        one = template.render(ids, cookie)
        if one not in seen:
            seen.add(one)
            yield one
        if len(seen) == count:
            return
