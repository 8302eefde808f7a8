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
from typing import Any, Final
from urllib.parse import urlencode

from loadtest.traffic.story_requests import (
    BROWSERS,
    CLICK_MS,
    ID_PREFIX,
    SHOP,
    StoryRequest,
    click,
    click_id,
    landing,
    mail_open,
    milliseconds,
    payment,
    tuesday,
    visit,
)

DAYS: Final = 30

_CRAWLER: Final = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
_LINKED_VIDEO: Final = "how-mugs-are-made"
_LINKED_PAGE: Final = "/mugs"
_VISIT: Final = timedelta(hours=1)
"""Longer than any visit."""
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


def links(end: datetime, *, site: str = "demo") -> str:
    """Return the `links.toml` of the month before `end`: the video's link, and one for each letter."""
    letter = tuesday(end - timedelta(days=DAYS + 7))
    campaigns = [("youtube", "video", _LINKED_VIDEO)]
    while letter < end:
        campaigns.append(("newsletter", "email", f"letter-{letter:%Y-%m-%d}"))
        letter += timedelta(days=7)
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
    for fault in ({"event": "no spaces, please"}, {"event": "straße"}, {"price": "19.90"}):
        at = begin + timedelta(seconds=luck.uniform(0, DAYS * 86_400 - 60))
        page = {"event": "pageview", "url": SHOP + "/", **fault}
        yield visit(site, [(at, page)], BROWSERS[0], f"{luck.getrandbits(128):032x}", refused=True)


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
        yield payment(site, at, f"{ID_PREFIX}telephone-{number}-{milliseconds(at)}", "24.90", "EUR")
    for number in range(visitors * 7 // (12 * DAYS) if day == tuesday(day) else 0):
        yield mail_open(luck, site, day + timedelta(hours=luck.uniform(7, 22)), f"u-{5000 + number}")
    for _ in range(today(visitors // 10)):
        at = day + timedelta(seconds=luck.uniform(0, 86_400))
        page = {"event": "pageview", "url": SHOP + luck.choice(_PAGES)}
        yield visit(site, [(at, page)], _CRAWLER, "")


def _visitor(luck: random.Random, site: str, day: datetime, number: int) -> Iterator[StoryRequest]:
    browser, cookie = luck.choice(BROWSERS), f"{luck.getrandbits(128):032x}"
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
        agent, visitor = BROWSERS[2] if on_phone else browser, phone if on_phone else cookie
        if "_pcl=" in events[0][1]["url"]:
            yield click(at, events[0][1]["url"], agent, visitor)
        yield visit(site, events, agent, visitor)
        named = named or subscribes
        if luck.random() < 0.45:
            return
        # A visitor who returns comes directly, reads the letter or sees another video, and is likelier to buy.
        at += timedelta(days=luck.expovariate(1 / 4), seconds=luck.uniform(3600, 20_000))
        way = luck.choices(("direct", "letter" if named and reader else "search", "video", "ad"), (50, 30, 12, 8))[0]
        chance = min(0.25, chance * 1.8)
        if way == "letter":
            at = tuesday(at) + timedelta(days=7, hours=luck.uniform(9, 20))
            yield mail_open(luck, site, at - timedelta(minutes=luck.uniform(1, 4)), user)


def _visit(
    luck: random.Random, at: datetime, way: str, user: str, subscribes: bool, buys: bool, number: int
) -> list[tuple[datetime, dict[str, Any]]]:
    """Return a visit's events with their times."""
    query, referrer = landing(luck, at, way)
    page = luck.choice(_PAGES)
    if way == "letter" or query.get("utm_campaign") == _LINKED_VIDEO:
        page = _LINKED_PAGE
        query["_pcl"] = click_id(milliseconds(at) - CLICK_MS)
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
        yield payment(
            event["site"],
            paid,
            event["id"],
            event["value"],
            event["currency"],
            visitor_id=sending.visitor,
            user_id=event.get("user_id", ""),
        )
