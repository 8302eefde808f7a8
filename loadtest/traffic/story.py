"""A month of a plausible shop, as the requests that browsers, mails, crawlers and its own server would send. Pure.

What a day's new visitors do follows from the seed and that day alone; a browser is known by the cookie that it would
carry, and every event has an id. So a story sent twice counts once, and one sent a day later adds a day. The shop
sells mugs. It posts on LinkedIn, has three videos on YouTube, sends a newsletter every Tuesday, buys search ads and
lets a partner link to it; buyers tend to come back directly, which is what attribution is about. Its server reports
each payment, with the order's id that the browser reported too, if it did; a few orders come by telephone, and have no
browser. Letters and one video lead through named links, which count the click: `links` writes the file.
"""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

DAYS: Final = 30
ID_PREFIX: Final = "demo-"
SHOP: Final = "https://shop.example"

_BROWSERS: Final = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 "
    "Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 "
    "Safari/605.1.15",
)
_CRAWLER: Final = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
_MAIL_READERS: Final = (
    # user agent, share of the newsletter's readers
    (_BROWSERS[2], 5),
    ("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)", 3),
    ("Mozilla/5.0", 3),
)
_LINKED_VIDEO: Final = "how-mugs-are-made"
_LINKED_PAGE: Final = "/mugs"
_PICTURE: Final = "/o.gif?"
_VISIT: Final = timedelta(hours=1)
"""Longer than any visit."""
_CLICK_MS: Final = 400
"""From a click to the page that it leads to."""
_BLOCKED: Final = 0.08
"""The part of purchases of which the browser says nothing."""
_PAGES: Final = ("/", "/mugs", "/mugs/blue", "/mugs/red", "/mugs/travel", "/plates", "/about")

# What brings a visitor: name, share of first visits, chance that such a visit leads to a purchase.
_WAYS: Final = (
    ("video", 22, 0.045),
    ("post", 16, 0.035),
    ("search", 20, 0.03),
    ("ad", 14, 0.05),
    ("direct", 14, 0.04),
    ("partner", 7, 0.06),
    ("assistant", 4, 0.05),
    ("social ad", 3, 0.02),
)


class StoryRequest(NamedTuple):
    """One request, and when it would have been sent."""

    at: datetime
    method: str
    target: str
    body: str
    user_agent: str
    visitor: str
    """32 hex digits of the browser's cookie; empty: none."""
    refused: bool
    """Whether the collector is meant to refuse it."""
    leads_to: str = ""
    """Of a click: the page behind the link, with the click's id as `_pcl`."""

    @property
    def events(self) -> frozenset[tuple[str, str]]:
        """Name and id of each event of ours, of a mail open too; copies of the same count once."""
        if self.target.startswith(_PICTURE):
            return frozenset({("open", parse_qs(urlsplit(self.target).query)["id"][0])})
        return frozenset((each["event"], each["id"]) for each in json.loads(self.body or "[]"))


def links(end: datetime, *, site: str = "demo") -> str:
    """Return the `links.toml` of the month before `end`: the video's link, and one for each letter."""
    tuesday = _tuesday(end - timedelta(days=DAYS + 7))
    campaigns = [("youtube", "video", _LINKED_VIDEO)]
    while tuesday < end:
        campaigns.append(("newsletter", "email", f"letter-{tuesday:%Y-%m-%d}"))
        tuesday += timedelta(days=7)
    return "\n".join(
        f'[links.{campaign}]\nsite = "{site}"\nto = "{SHOP}{_LINKED_PAGE}"\n'
        f'source = "{source}"\nmedium = "{medium}"\ncampaign = "{campaign}"\n'
        for source, medium, campaign in campaigns
    )


def month(seed: int, end: datetime, *, site: str = "demo", visitors: int = 1500) -> Iterator[StoryRequest]:
    """Yield the DAYS days before `end`, a midnight, visitor by visitor; what begins in the last hour is left out.

    Each request holds one visit's events, one mail open, one click or one payment. The counts are of the same order for
    every seed: some 5 events and 0.1 purchases a visitor. Two months that overlap have the same requests in common,
    but for visitors who were there before the later one began.
    """
    begin = end - timedelta(days=DAYS)
    for back in range(DAYS, 0, -1):
        day = end - timedelta(days=back)
        for sending in _begun(seed, site, day, visitors):
            if sending.at < end - _VISIT:
                yield sending
    luck = random.Random(f"{seed} faults")
    for fault in ({"event": "no spaces, please"}, {"value": "nineteen"}, {"user_id": "ann@example.com"}):
        at = begin + timedelta(seconds=luck.uniform(0, DAYS * 86_400 - 60))
        page = {"event": "pageview", "url": SHOP + "/", **fault}
        yield _post(site, [(at, page)], _BROWSERS[0], f"{luck.getrandbits(128):032x}", refused=True)


def _begun(seed: int, site: str, day: datetime, visitors: int) -> Iterator[StoryRequest]:
    """Yield what the visitors who first come on `day` do, then and later, and that day's other requests."""

    def today(a_month: int) -> int:
        """Return the day's part; any DAYS days in a row have `a_month`."""
        return (day.toordinal() + 1) * a_month // DAYS - day.toordinal() * a_month // DAYS

    for number in range(today(visitors)):
        luck = random.Random(f"{seed} {day:%Y-%m-%d} {number}")
        for sending in _visitor(luck, site, day, number):
            yield from _with_the_server(luck, sending)
    luck = random.Random(f"{seed} {day:%Y-%m-%d}")
    for number in range(today(visitors // 250)):
        at = day + timedelta(seconds=luck.uniform(0, 86_400))
        yield _payment(site, at, f"{ID_PREFIX}telephone-{number}-{_ms(at)}", "24.90", "EUR")
    for number in range(visitors * 7 // (12 * DAYS) if day == _tuesday(day) else 0):
        yield _open(luck, site, day + timedelta(hours=luck.uniform(7, 22)), f"u-{5000 + number}")
    for _ in range(today(visitors // 10)):
        at = day + timedelta(seconds=luck.uniform(0, 86_400))
        page = {"event": "pageview", "url": SHOP + luck.choice(_PAGES)}
        yield _post(site, [(at, page)], _CRAWLER, "")


def _visitor(luck: random.Random, site: str, day: datetime, number: int) -> Iterator[StoryRequest]:
    browser, cookie = luck.choice(_BROWSERS), f"{luck.getrandbits(128):032x}"
    phone = f"{luck.getrandbits(128):032x}"
    way, _, chance = luck.choices(_WAYS, [share for _, share, _ in _WAYS])[0]
    at = day + timedelta(seconds=luck.uniform(0, 86_400))
    reader = luck.random() < 0.3
    user = f"u-{day:%y%m%d}-{number}" if reader or luck.random() < 0.1 else ""
    named = False
    while True:
        buys = luck.random() < chance
        subscribes = bool(user) and not named
        on_phone = named and luck.random() < 0.25
        events = _visit(luck, at, way, user if named or subscribes else "", subscribes, buys, number)
        agent, visitor = _BROWSERS[2] if on_phone else browser, phone if on_phone else cookie
        if "_pcl=" in events[0][1]["url"]:
            yield _click(at, events[0][1]["url"], agent, visitor)
        yield _post(site, events, agent, visitor)
        named = named or subscribes
        if luck.random() < 0.45:
            return
        # A visitor who returns comes directly, reads the letter or sees another video, and is likelier to buy.
        at += timedelta(days=luck.expovariate(1 / 4), seconds=luck.uniform(3600, 20_000))
        way = luck.choices(("direct", "letter" if named and reader else "search", "video", "ad"), (50, 30, 12, 8))[0]
        chance = min(0.25, chance * 1.8)
        if way == "letter":
            at = _tuesday(at) + timedelta(days=7, hours=luck.uniform(9, 20))
            yield _open(luck, site, at - timedelta(minutes=luck.uniform(1, 4)), user)


def _visit(
    luck: random.Random, at: datetime, way: str, user: str, subscribes: bool, buys: bool, number: int
) -> list[tuple[datetime, dict[str, Any]]]:
    """Return a visit's events with their times."""
    query, referrer = _landing(luck, at, way)
    page = luck.choice(_PAGES)
    if way == "letter" or query.get("utm_campaign") == _LINKED_VIDEO:
        page = _LINKED_PAGE
        query["_pcl"] = _click_id(_ms(at) - _CLICK_MS)
    url = SHOP + page + (f"?{urlencode(query)}" if query else "")
    seen: dict[str, Any] = {"event": "pageview", "url": url, "referrer": referrer}
    events = [(at, seen)]

    def then(event: str, path: str, **more: str) -> None:
        last = events[-1][0] + timedelta(seconds=luck.uniform(5, 240))
        events.append((last, {"event": event, "url": SHOP + path, "referrer": SHOP + "/", **more}))

    for _ in range(min(6, int(luck.expovariate(0.7)))):
        then("pageview", luck.choice(_PAGES))
    if subscribes:
        then("signup", "/newsletter")
    if buys or luck.random() < 0.08:
        then("add_to_cart", "/cart")
    if buys:
        cents = luck.choice((1290, 1990, 2490, 3990, 4980, 7450))
        currency = "USD" if number % 6 == 0 else "EUR"
        then("purchase", "/thanks", value=f"{cents / 100:.2f}", currency=currency)
    for _, event in events:
        if user:
            event["user_id"] = user
    return events


def _landing(luck: random.Random, at: datetime, way: str) -> tuple[dict[str, str], str]:
    """Return the landing page's query and referrer."""
    week = f"{_tuesday(at):%Y-%m-%d}"
    match way:
        case "video":
            video = luck.choice(("how-mugs-are-made", "ten-mugs", "unboxing"))
            query = {"utm_source": "youtube", "utm_medium": "video", "utm_campaign": video}
            return query, "https://www.youtube.com/"
        case "post":
            post = luck.choice(("post-launch", "post-team"))
            return {"utm_source": "linkedin", "utm_medium": "social", "utm_campaign": post}, "https://www.linkedin.com/"
        case "letter":
            return {"utm_source": "newsletter", "utm_medium": "email", "utm_campaign": f"letter-{week}"}, ""
        case "ad":
            click = f"Cj0K{luck.getrandbits(64):016x}"
            query = {"utm_source": "google", "utm_medium": "cpc", "utm_campaign": "mugs", "gclid": click}
            return query, "https://www.google.com/"
        case "social ad":
            query = {"utm_source": "facebook", "utm_medium": "paid_social", "utm_campaign": "gifts"}
            return query, "https://www.facebook.com/"
        case "partner":
            return {
                "utm_source": "mugblog",
                "utm_medium": "affiliate",
                "utm_campaign": "review",
            }, "https://mugblog.example/"
        case "search":
            return {}, luck.choice(("https://www.google.com/", "https://www.bing.com/", "https://duckduckgo.com/"))
        case "assistant":
            return {}, "https://chatgpt.com/"
    return {}, ""


def _tuesday(at: datetime) -> datetime:
    """Return the last Tuesday, midnight UTC: the letter's day."""
    return datetime(at.year, at.month, at.day, tzinfo=UTC) - timedelta(days=(at.weekday() - 1) % 7)


def _open(luck: random.Random, site: str, at: datetime, user: str) -> StoryRequest:
    agent = luck.choices([a for a, _ in _MAIL_READERS], [share for _, share in _MAIL_READERS])[0]
    query = {"s": site, "m": f"letter-{_tuesday(at):%Y-%m-%d}", "l": "customers", "uid": user}
    query |= {"ts": str(_ms(at)), "id": f"{ID_PREFIX}{user}-{_ms(at)}"}
    return StoryRequest(at, "GET", _PICTURE + urlencode(query), "", agent, "", refused=False)


def _click(at: datetime, url: str, agent: str, visitor: str) -> StoryRequest:
    code = parse_qs(urlsplit(url).query)["utm_campaign"][0]
    clicked = at - timedelta(milliseconds=_CLICK_MS)
    return StoryRequest(clicked, "GET", f"/c/{code}", "", agent, visitor, refused=False, leads_to=url)


def _click_id(ms: int) -> str:
    """Return a UUID of version 7, as the collector would give the click."""
    return f"{ms:012x}7{random.Random(ms).getrandbits(76) & ~(3 << 62) | 2 << 62:019x}"


def _with_the_server(luck: random.Random, sending: StoryRequest) -> Iterator[StoryRequest]:
    """Yield the visit, and the server's copy of a purchase in it; of some purchases there is only the server's."""
    said = json.loads(sending.body or "[]")
    bought = [event for event in said if event["event"] == "purchase"]
    if bought and luck.random() < _BLOCKED:
        rest = [event for event in said if event["event"] != "purchase"]
        yield sending._replace(body=json.dumps(rest))
    else:
        yield sending
    for event in bought:
        paid = datetime.fromtimestamp(event["time"] / 1000, UTC) + timedelta(seconds=luck.uniform(2, 40))
        yield _payment(
            event["site"],
            paid,
            event["id"],
            event["value"],
            event["currency"],
            visitor_id=sending.visitor,
            user_id=event.get("user_id", ""),
        )


def _payment(site: str, at: datetime, order: str, value: str, currency: str, **known: str) -> StoryRequest:
    """Return a server's `purchase`; `known` says whose, where anybody knows."""
    event = {"site": site, "event": "purchase", "id": order, "value": value, "currency": currency, "time": _ms(at)}
    event |= {"consent": "1"} | {name: text for name, text in known.items() if text}
    return StoryRequest(at, "POST", "/v1/events", json.dumps([event]), "", "", refused=False)


def _post(
    site: str, events: list[tuple[datetime, dict[str, Any]]], agent: str, visitor: str, *, refused: bool = False
) -> StoryRequest:
    bodies = [
        {"site": site, "id": f"{ID_PREFIX}{visitor[:12]}-{_ms(at)}-{place}", **event, "time": _ms(at)}
        for place, (at, event) in enumerate(events)
    ]
    return StoryRequest(events[0][0], "POST", "/e", json.dumps(bodies), agent, visitor, refused)


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
