"""The requests of the story, as browsers, mail programs and the shop's server send them. Pure."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

ID_PREFIX: Final = "demo-"
SHOP: Final = "https://shop.example"
BROWSERS: Final = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 "
    "Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 "
    "Safari/605.1.15",
)
_MAIL_READERS: Final = (
    # user agent, share of the newsletter's readers
    (BROWSERS[2], 5),
    ("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)", 3),
    ("Mozilla/5.0", 3),
)
_PICTURE: Final = "/o.gif?"
CLICK_MS: Final = 400
"""From a click to the page that it leads to."""


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


def landing(luck: random.Random, at: datetime, way: str) -> tuple[dict[str, str], str]:
    """Return the landing page's query and referrer."""
    week = f"{tuesday(at):%Y-%m-%d}"
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


def tuesday(at: datetime) -> datetime:
    """Return the last Tuesday, midnight UTC: the letter's day."""
    return datetime(at.year, at.month, at.day, tzinfo=UTC) - timedelta(days=(at.weekday() - 1) % 7)


def mail_open(luck: random.Random, site: str, at: datetime, user: str) -> StoryRequest:
    agent = luck.choices([a for a, _ in _MAIL_READERS], [share for _, share in _MAIL_READERS])[0]
    query = {"s": site, "m": f"letter-{tuesday(at):%Y-%m-%d}", "l": "customers", "uid": user}
    query |= {"ts": str(milliseconds(at)), "id": f"{ID_PREFIX}{user}-{milliseconds(at)}"}
    return StoryRequest(at, "GET", _PICTURE + urlencode(query), "", agent, "", refused=False)


def click(at: datetime, url: str, agent: str, visitor: str) -> StoryRequest:
    code = parse_qs(urlsplit(url).query)["utm_campaign"][0]
    clicked = at - timedelta(milliseconds=CLICK_MS)
    return StoryRequest(clicked, "GET", f"/c/{code}", "", agent, visitor, refused=False, leads_to=url)


def click_id(ms: int) -> str:
    """Return a UUID of version 7, as the collector would give the click."""
    return f"{ms:012x}7{random.Random(ms).getrandbits(76) & ~(3 << 62) | 2 << 62:019x}"


def payment(site: str, at: datetime, order: str, value: str, currency: str, **known: str) -> StoryRequest:
    """Return a server's `purchase`; `known` names the visitor and the user, if the server knows them."""
    event = {
        "site": site,
        "event": "purchase",
        "id": order,
        "value": value,
        "currency": currency,
        "time": milliseconds(at),
    }
    event |= {"consent": "1"} | {name: text for name, text in known.items() if text}
    return StoryRequest(at, "POST", "/v1/events", json.dumps([event]), "", "", refused=False)


def visit(
    site: str, events: list[tuple[datetime, dict[str, Any]]], agent: str, visitor: str, *, refused: bool = False
) -> StoryRequest:
    bodies = [
        {"site": site, "id": f"{ID_PREFIX}{visitor[:12]}-{milliseconds(at)}-{place}", **event, "time": milliseconds(at)}
        for place, (at, event) in enumerate(events)
    ]
    return StoryRequest(events[0][0], "POST", "/e", json.dumps(bodies), agent, visitor, refused)


def milliseconds(at: datetime) -> int:
    return round(at.timestamp() * 1000)
