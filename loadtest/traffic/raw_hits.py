"""Accepted requests as the collector would write them to `hits.raw`. Pure and seeded."""

import itertools
import random
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from collector.contract import Hit
from collector.contract.hit import Kind
from loadtest.traffic.request_template import ID_SLOT, PID_SLOT, UUID_SLOT, Request, hit_id, uuid7
from loadtest.traffic.visitors import Surface

_TAKEN_OUT: Final = ("visitor_id", "user_agent", "ip")
"""What the collector takes out of a server's event into fields of the hit."""


def of(requests: Iterable[Request], surface: Surface, seed: int, at_ms: int) -> Iterator[Hit]:
    """Yield the hits of the requests that are accepted whole, one a millisecond from `at_ms`.

    Hit ids, and the ids of events, are UUIDs of version 7 with that time. The visitors of one visit keep their cookie.
    """
    rng, numbers = random.Random(f"hits {seed}"), itertools.count()
    run = f"{seed & 0xFFFFFFFF:08x}"
    cookies: dict[int, str] = {}
    for request in requests:
        if not all(request.expected):
            continue
        fields = {name.lower(): value for name, value in request.headers}
        path, _, query = request.target.partition("?")
        cookie = fields.get("cookie", "").removeprefix("_pid=")
        if not cookie or cookie == PID_SLOT:
            cookie = f"{rng.getrandbits(128):032x}"
            if request.visit >= 0:
                cookie = cookies.setdefault(request.visit, cookie)
        for event in _events(request, path, surface):
            number = next(numbers)
            at = at_ms + number
            hit = f"{at:012x}7{rng.getrandbits(12):03x}{0x8 | rng.getrandbits(2):x}{rng.getrandbits(60):015x}"
            own = {name: event.pop(name) for name in _TAKEN_OUT if name in event} if path == "/v1/events" else {}
            if path.startswith("/c/"):
                event |= {"url": f"{event['url']}&_pcl={hit}", "click_id": hit}
            body = msgspec.json.encode(event).decode() if event else ""
            text = body if body else query
            text = text.replace(ID_SLOT, hit_id(run, 0, number)).replace(UUID_SLOT, uuid7(rng, at))
            yield Hit(
                id=hit,
                at=at,
                kind=_kind(path),
                site=surface.site,
                query="" if body else text,
                body=text if body else "",
                user_agent=own.get("user_agent", fields.get("user-agent", "")),
                referer=fields.get("referer", ""),
                accept_language=fields.get("accept-language", ""),
                sec_ch_ua=fields.get("sec-ch-ua", ""),
                sec_ch_ua_mobile=fields.get("sec-ch-ua-mobile", ""),
                sec_ch_ua_platform=fields.get("sec-ch-ua-platform", ""),
                ip=f"203.0.{rng.randrange(256)}.0",
                visitor_id=own.get("visitor_id", cookie),
                visitor_kind="cookie",
                consent="assumed",
            )


def _kind(path: str) -> Kind:
    kinds: dict[str, Kind] = {"/v1/events": "server", "/e": "tag", "/o.gif": "open", "/p.gif": "pixel"}
    return kinds.get(path, "click")


def _events(request: Request, path: str, surface: Surface) -> list[dict[str, Any]]:
    """Return the events of a body; of a click the one that the collector makes; of a pixel an empty one."""
    if path.startswith("/c/"):
        campaign = "utm_source=newsletter&utm_medium=email&utm_campaign=2026-11-launch"
        return [{"event": "click", "link_code": path[3:], "url": f"{surface.page_origin}/landing?{campaign}"}]
    if not request.body:
        return [{}]
    found = msgspec.json.decode(request.body)
    return found if isinstance(found, list) else [found]
