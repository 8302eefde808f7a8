"""What is sent: realistic requests by profile. Pure and seeded.

Rule: everything random comes from the seed, everything real from `traffic.toml` and `user_agents.toml`. The way from
top to bottom: a profile draws sorts of arrivals; a visit is some pages of one visitor; `wire` makes a request bytes.
"""

import itertools
import random
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from collector.contract import Hit
from loadtest.traffic import user_agents
from loadtest.traffic.request_template import ID_SLOT, PID_SLOT, Request, RequestKind, Template, hit_id, wire


class Surface(msgspec.Struct, frozen=True, kw_only=True):
    """What the target knows, so that traffic asks for nothing it has not got."""

    site: str = "demo"
    """Key of a configured site."""
    host: str = "127.0.0.1"
    """The Host header."""
    page_origin: str = "http://localhost:8088"
    """Origin of the pages that carry the pixel."""
    token: str = ""
    """Bearer token of the site for `/v1/events`; empty: server hits become tag hits."""
    link_code: str = ""
    """A code of the links file; empty: clicks are page views."""


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "traffic.toml").read_text())


def profiles() -> tuple[str, ...]:
    """Return the names of the profiles."""
    return tuple(_data()["profiles"])


def _draws(table: dict[str, float], rng: random.Random) -> Iterator[str]:
    names, weights = list(table), list(itertools.accumulate(table.values()))
    while True:
        yield from rng.choices(names, cum_weights=weights, k=256)


class _Visitors:
    """The draws of one profile: what a visitor, a page, a campaign look like. One method a question."""

    def __init__(self, profile: str, seed: int, surface: Surface) -> None:
        data = _data()
        settings = dict(data["profiles"][profile])
        self.rng = rng = random.Random(f"{profile} {seed}")
        self.surface = surface
        self.new_share: float = settings.pop("new_visitors")
        self.campaign_share: float = settings.pop("campaign")
        self.sorts = _draws(settings, rng)
        self.pages = _draws(data["pages"], rng)
        self.referrers = _draws(data["referrers"], rng)
        self.campaigns = _draws(data["campaigns"], rng)
        self.languages = _draws(data["languages"], rng)
        self.lists = _draws(data["lists"], rng)
        self.browsers = user_agents.stream(seed)
        self.mail_clients = user_agents.weighted("mail", seed)
        self.bots = user_agents.weighted("bots", seed)
        self.visits = itertools.count()

    def page(self) -> str:
        return self.surface.page_origin + next(self.pages)

    def landing(self) -> str:
        page = self.page()
        if self.rng.random() < self.campaign_share:
            page += ("&" if "?" in page else "?") + next(self.campaigns)
        return page

    def headers(self, agent: str, page: str) -> list[tuple[str, str]]:
        headers = [
            ("User-Agent", agent),
            ("Accept", "image/avif,image/webp,*/*;q=0.8"),
            ("Accept-Encoding", "gzip, br"),
        ]
        headers.append(("Accept-Language", next(self.languages)))
        brands, mobile, platform = user_agents.client_hints(agent)
        if brands:
            headers += [("Sec-CH-UA", brands), ("Sec-CH-UA-Mobile", mobile), ("Sec-CH-UA-Platform", platform)]
        headers.append(("Referer", page))
        return headers

    def cookie(self) -> str:
        return f"{self.rng.getrandbits(128):032x}"


def _pixel(v: _Visitors, page: str, referrer: str, event: str, identified: str) -> str:
    title = quote("Blue mug, 350 ml")
    target = f"/p.gif?s={v.surface.site}&e={event}&u={quote(page, safe='')}&t={title}&{identified}={ID_SLOT}"
    return f"{target}&r={quote(referrer, safe='')}" if referrer else target


def _visit(v: _Visitors, sort: RequestKind) -> Iterator[Request]:
    """Yield the requests of one visit: some pages in a row, of one visitor with one cookie."""
    agent = next(v.bots) if sort == "bot" else next(v.browsers)
    new = v.rng.random() < v.new_share
    visit = next(v.visits) if new else -1
    known = "" if new else v.cookie()
    referrer, page = next(v.referrers), v.landing()
    length = 1 if sort in ("server", "pixel") else min(1 + int(v.rng.expovariate(0.5)), 12)
    for step in range(length):
        cookie = PID_SLOT if new and step else known
        headers = v.headers(agent, page)
        if cookie:
            headers.append(("Cookie", f"_pid={cookie}"))
        base: dict[str, Any] = {"sort": sort, "visit": visit, "learns": new and step == 0}
        last = step == length - 1
        if sort == "purchase" and last:
            value = f"{v.rng.randrange(500, 20_000) / 100:.2f}"
            money = f"&v={value}&c=EUR&uid=u-{v.rng.randrange(9_000)}&x.plan=pro"
            target = _pixel(v, page, referrer, "purchase", "id") + money
            yield Request(target=target, headers=tuple(headers), **base)
        elif sort in ("tag", "tag_batch", "server"):
            size = 1 if sort == "server" else 40 if sort == "tag_batch" else v.rng.choice((1, 1, 1, 3, 8))
            yield _posted(v, headers, page, referrer, size, base)
        else:
            yield Request(target=_pixel(v, page, referrer, "pageview", "x.lt"), headers=tuple(headers), **base)
        referrer, page = page, v.page()


def _posted(
    v: _Visitors, headers: list[tuple[str, str]], page: str, referrer: str, size: int, base: dict[str, Any]
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
    server = base["sort"] == "server" and v.surface.token
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


def _single(v: _Visitors, sort: RequestKind) -> Request:
    """Return a request that is no visit: a mail open, a click, a refusal, nonsense, the worst a browser may send."""
    agent = next(v.mail_clients) if sort == "mail" else next(v.browsers)
    page = v.landing()
    headers = tuple(v.headers(agent, page))
    match sort:
        case "mail":
            query = f"s={v.surface.site}&m=2026-11-launch-{v.rng.randrange(40)}&l={next(v.lists)}&x.lt={ID_SLOT}"
            without_referer = tuple(header for header in headers if header[0] != "Referer")
            return Request(sort=sort, target=f"/o.gif?{query}", headers=without_referer)
        case "click" if v.surface.link_code:
            return Request(sort=sort, target=f"/c/{v.surface.link_code}?gclid={ID_SLOT}", headers=headers, status=302)
        case "refused":
            target = _pixel(v, page, "", "pageview", "x.lt")
            wrong = v.rng.choice(("site", "event", "mail"))
            if wrong == "site":
                target = target.replace(f"s={v.surface.site}&", "s=no-such-site&")
            elif wrong == "event":
                target = target.replace("e=pageview", "e=%3Cscript%3E")
            else:
                target += "&uid=ann%40example.org"
            return Request(sort=sort, target=target, headers=headers, expected=(False,))
        case "nonsense":
            target = v.rng.choice(("/wp-login.php?lt=", "/.env?lt=", "/p.gif/../../etc/passwd?lt=", "/favicon.ico?lt="))
            return Request(sort=sort, target=target + ID_SLOT, headers=headers, status=404, expected=(False,))
        case "worst":
            props = "".join(f"&x.p{n}={quote('ünïcödé ' * 3)}" for n in range(31))
            long_page = f"{page}{'&' if '?' in page else '?'}q={'%F0%9F%8D%B5' * 40}"
            agent += " " + "Padding/1.0 " * 20
            headers = (*v.headers(agent, page), ("X-Padding", "p" * 2_000))
            return Request(sort=sort, target=_pixel(v, long_page, page, "pageview", "x.lt") + props, headers=headers)
        case _:
            return Request(sort="click", target=_pixel(v, page, "", "pageview", "x.lt"), headers=headers)


def requests(profile: str, seed: int, surface: Surface) -> Iterator[Request]:
    """Yield requests without end. Visits overlap: some 64 visitors are on the site at a time, each in its own order.

    Raises:
        KeyError: no such profile.
    """
    v = _Visitors(profile, seed, surface)

    def arrival() -> Iterator[Request]:
        sort: Any = next(v.sorts)
        alone = sort in ("mail", "click", "refused", "nonsense", "worst")
        return iter((_single(v, sort),)) if alone else _visit(v, sort)

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
    """Yield the profile's accepted hits as the collector would write them (benchmarks of the stages behind it).

    A hit a millisecond from `at_ms`; ids are UUIDs of version 7 made of the seed.
    """
    rng = random.Random(f"hits {seed}")
    counter = itertools.count()
    for request in requests(profile, seed, surface):
        if not all(request.expected):
            continue
        fields = {name.lower(): value for name, value in request.headers}
        path, _, query = request.target.partition("?")
        bodies: list[str] = [""]
        if request.method == "POST":
            events = msgspec.json.decode(request.body)
            bodies = [msgspec.json.encode(e).decode() for e in (events if isinstance(events, list) else [events])]
        for body in bodies:
            number = next(counter)
            at = at_ms + number
            identifier = f"{at:012x}7{rng.getrandbits(12):03x}{0x8 | rng.getrandbits(2):x}{rng.getrandbits(60):015x}"
            own = hit_id(f"{seed & 0xFFFFFFFF:08x}", 0, number)
            pid = fields.get("cookie", "").removeprefix("_pid=") or f"{rng.getrandbits(128):032x}"
            yield Hit(
                id=identifier,
                at=at,
                kind="server" if path == "/v1/events" else "tag" if body else "open" if path == "/o.gif" else "pixel",
                site=surface.site,
                query="" if body else query.replace(ID_SLOT, own),
                body=body.replace(ID_SLOT, own),
                user_agent=fields.get("user-agent", ""),
                referer=fields.get("referer", ""),
                accept_language=fields.get("accept-language", ""),
                sec_ch_ua=fields.get("sec-ch-ua", ""),
                sec_ch_ua_mobile=fields.get("sec-ch-ua-mobile", ""),
                sec_ch_ua_platform=fields.get("sec-ch-ua-platform", ""),
                ip=f"203.0.{rng.randrange(256)}.0",
                visitor_id=pid if PID_SLOT not in pid else f"{rng.getrandbits(128):032x}",
                visitor_kind="cookie",
                consent="assumed",
            )
