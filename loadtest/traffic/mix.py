"""The one mix of all benchmarks: tag, pixel, mail, link and server hits in the shares of `mix.toml`. Pure and seeded.

No two requests are alike. An event of the tag and of a server has an id; `audited` gives every other hit a mark by
which the load test finds it again.
"""

import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Final
from urllib.parse import quote

import msgspec

from loadtest.traffic import tag_visits
from loadtest.traffic.request_template import ID_SLOT, Request, hit_id, uuid7, wire
from loadtest.traffic.shop import Site, Visitor, settings
from loadtest.traffic.visitors import Surface

PRESENT: Final = 64
"""Visitors on the site at a time; their requests alternate."""


def _pixels(site: Site) -> Iterator[Request]:
    """Yield the pixels of a visit to pages that carry only the image."""
    visitor = Visitor(site)
    page, referrer = site.landing(), next(site.referrers)
    for _ in range(min(1 + int(site.rng.expovariate(0.5)), 12)):
        cookie, more = visitor.next_cookie()
        headers = site.headers(visitor.agent, page) + ([("Cookie", f"_pid={cookie}")] if cookie else [])
        target = f"/p.gif?s={site.surface.site}&e=pageview&u={quote(page, safe='')}&t={quote(site.title(page))}"
        target += f"&r={quote(referrer, safe='')}" if referrer else ""
        yield Request(kind="pixel", target=target + site.mark(), headers=tuple(headers), **more)
        page, referrer = site.page(), page


def _open(site: Site) -> Iterator[Request]:
    rng = site.rng
    query = (
        f"s={site.surface.site}&m=2026-11-launch-{rng.randrange(40)}&l={next(site.lists)}&uid=u-{rng.randrange(90_000)}"
    )
    headers = [header for header in site.headers(next(site.mail_clients), "") if header[0] != "Referer"]
    yield Request(kind="mail", target=f"/o.gif?{query}{site.mark()}", headers=tuple(headers))


def _click(site: Site) -> Iterator[Request]:
    click_id = ID_SLOT if site.audited else f"{site.rng.getrandbits(160):040x}"
    headers = site.headers(next(site.browsers), next(site.referrers))
    target = f"/c/{site.surface.link_code}?gclid={click_id}"
    yield Request(kind="click", target=target, headers=tuple(h for h in headers if h[1]), status=302)


def _orders(site: Site) -> Iterator[Request]:
    """Yield a request of the shop's server: an order, or several."""
    rng = site.rng
    events = []
    for _ in range(rng.randrange(2, 12) if rng.random() < settings()["server"]["batch"] else 1):
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


_ARRIVALS: Final[dict[str, Callable[[Site], Iterator[Request]]]] = {
    "tag": tag_visits.visit,
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
    site = Site(seed, surface, audited)
    shares = dict(settings()["hits"] if shares is None else shares)
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
