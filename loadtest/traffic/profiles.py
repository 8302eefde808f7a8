"""What a load test sends: realistic requests by profile, and the same as hits. Pure and seeded.

A profile draws kinds of arrivals; a visit is some pages of one visitor. The profile `mix` is mix.py's.
"""

import itertools
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

import msgspec

from collector.contract import Hit
from loadtest.traffic import mix, raw_hits
from loadtest.traffic.request_template import ID_SLOT, PID_SLOT, Request, RequestKind, Template, wire
from loadtest.traffic.visitors import Surface as Surface
from loadtest.traffic.visitors import Visitors, data

MIX: Final = "mix"


def profiles() -> tuple[str, ...]:
    """Return the names of the profiles."""
    return (*data()["profiles"], MIX)


def _pixel(v: Visitors, page: str, referrer: str, event: str, identified: str) -> str:
    title = quote("Blue mug, 350 ml")
    target = f"/p.gif?s={v.surface.site}&e={event}&u={quote(page, safe='')}&t={title}&{identified}={ID_SLOT}"
    return f"{target}&r={quote(referrer, safe='')}" if referrer else target


def _visit(v: Visitors, kind: RequestKind) -> Iterator[Request]:
    """Yield the requests of one visit: some pages in a row, of one visitor with one cookie."""
    agent = next(v.bots) if kind == "bot" else next(v.browsers)
    new = v.rng.random() < v.new_share
    visit = next(v.visits) if new else -1
    known = "" if new else v.cookie()
    referrer, page = next(v.referrers), v.landing()
    length = 1 if kind in ("server", "pixel") else min(1 + int(v.rng.expovariate(0.5)), 12)
    for step in range(length):
        cookie = PID_SLOT if new and step else known
        headers = v.headers(agent, page)
        if cookie:
            headers.append(("Cookie", f"_pid={cookie}"))
        base: dict[str, Any] = {"kind": kind, "visit": visit, "learns": new and step == 0}
        last = step == length - 1
        if kind == "purchase" and last:
            value = f"{v.rng.randrange(500, 20_000) / 100:.2f}"
            money = f"&v={value}&c=EUR&uid=u-{v.rng.randrange(9_000)}&x.plan=pro"
            target = _pixel(v, page, referrer, "purchase", "id") + money
            yield Request(target=target, headers=tuple(headers), **base)
        elif kind in ("tag", "tag_batch", "server"):
            size = 1 if kind == "server" else 40 if kind == "tag_batch" else v.rng.choice((1, 1, 1, 3, 8))
            yield _posted(v, headers, page, referrer, size, base)
        else:
            yield Request(target=_pixel(v, page, referrer, "pageview", "x.lt"), headers=tuple(headers), **base)
        referrer, page = page, v.page()


def _posted(
    v: Visitors, headers: list[tuple[str, str]], page: str, referrer: str, size: int, base: dict[str, Any]
) -> Request:
    """Return a POST of `size` events, with the site's token for `server`."""
    events: list[dict[str, object]] = []
    for _ in range(size):
        event: dict[str, object] = {"site": v.surface.site, "event": "pageview", "url": page}
        event["title"] = "Blue mug, 350 ml"
        if referrer:
            event["referrer"] = referrer
        if v.rng.random() < 0.2:
            event |= {"event": "add_to_cart", "value": "12.90", "currency": "EUR", "id": ID_SLOT}
        else:
            event["props"] = {"lt": ID_SLOT, "list": "related"}
        events.append(event)
    server = base["kind"] == "server" and v.surface.token
    headers = [*headers, ("Content-Type", "application/json" if server else "text/plain;charset=UTF-8")]
    if server:
        headers.append(("Authorization", f"Bearer {v.surface.token}"))
        base = {**base, "visit": -1, "learns": False}
    else:
        headers.append(("Origin", v.surface.page_origin))
    body = msgspec.json.encode(events if size > 1 else events[0]).decode()
    return Request(
        method="POST",
        target="/v1/events" if server else "/e",
        headers=tuple(headers),
        body=body,
        status=202,
        expected=(True,) * size,
        **base,
    )


def _single(v: Visitors, kind: RequestKind) -> Request:
    """Return a request that is no visit: a mail open, a click, a refusal, nonsense, the worst a browser may send."""
    agent = next(v.mail_clients) if kind == "mail" else next(v.browsers)
    page = v.landing()
    headers = tuple(v.headers(agent, page))
    match kind:
        case "mail":
            query = f"s={v.surface.site}&m=2026-11-launch-{v.rng.randrange(40)}&l={next(v.lists)}&x.lt={ID_SLOT}"
            without_referer = tuple(header for header in headers if header[0] != "Referer")
            return Request(kind=kind, target=f"/o.gif?{query}", headers=without_referer)
        case "click" if v.surface.link_code:
            return Request(kind=kind, target=f"/c/{v.surface.link_code}?gclid={ID_SLOT}", headers=headers, status=302)
        case "refused":
            target = _pixel(v, page, "", "pageview", "x.lt")
            wrong = v.rng.choice(("site", "event", "id"))
            if wrong == "site":
                target = target.replace(f"s={v.surface.site}&", "s=no-such-site&")
            elif wrong == "event":
                target = target.replace("e=pageview", "e=%3Cscript%3E")
            else:
                target += f"&id={'9' * 257}"
            return Request(kind=kind, target=target, headers=headers, expected=(False,))
        case "nonsense":
            target = v.rng.choice(("/wp-login.php?lt=", "/.env?lt=", "/p.gif/../../etc/passwd?lt=", "/favicon.ico?lt="))
            return Request(kind=kind, target=target + ID_SLOT, headers=headers, status=404, expected=(False,))
        case "worst":
            props = "".join(f"&x.p{n}={quote('ünïcödé ' * 3)}" for n in range(31))
            long_page = f"{page}{'&' if '?' in page else '?'}q={'%F0%9F%8D%B5' * 40}"
            agent += " " + "Padding/1.0 " * 20
            headers = (*v.headers(agent, page), ("X-Padding", "p" * 2_000))
            return Request(kind=kind, target=_pixel(v, long_page, page, "pageview", "x.lt") + props, headers=headers)
        case _:
            return Request(kind="click", target=_pixel(v, page, "", "pageview", "x.lt"), headers=headers)


def requests(profile: str, seed: int, surface: Surface) -> Iterator[Request]:
    """Yield requests without end. Visits overlap: 64 visitors are on the site at a time, each in its own order.

    Raises:
        KeyError: no such profile.
    """
    if profile == MIX:
        yield from mix.requests(seed, surface)
        return
    v = Visitors(profile, seed, surface, data()["profiles"][profile])

    def arrival() -> Iterator[Request]:
        kind: Any = next(v.kinds)
        alone = kind in ("mail", "click", "refused", "nonsense", "worst")
        return iter((_single(v, kind),)) if alone else _visit(v, kind)

    present = [arrival() for _ in range(64)]
    while True:
        place = v.rng.randrange(64)
        request = next(present[place], None)
        if request is None:
            present[place] = arrival()
        else:
            yield request


def pool(profile: str, seed: int, surface: Surface, size: int, most_bytes: int = 24_000_000) -> list[Template]:
    """Return `size` templates, fewer when they would hold `most_bytes`, to be sent round and round with new ids.

    New visitors are new again in each round.
    """
    templates: list[Template] = []
    for request in itertools.islice(requests(profile, seed, surface), size):
        templates.append(wire(request, surface.host))
        most_bytes -= sum(map(len, templates[-1].parts))
        if most_bytes < 0:
            break
    return templates


def hits(profile: str, seed: int, surface: Surface, at_ms: int = 1_795_334_400_000) -> Iterator[Hit]:
    """Yield the profile's accepted hits as the collector would write them, one a millisecond from `at_ms`.

    Benchmarks of the stages behind the collector read these.
    """
    source = mix.requests(seed, surface, audited=False) if profile == MIX else requests(profile, seed, surface)
    return raw_hits.of(source, surface, seed, at_ms)
