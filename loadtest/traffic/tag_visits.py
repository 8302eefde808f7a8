"""Visits to pages with the tag: the requests that tag.js made in Chromium, with other pages, visitors and ids. Pure.

tag_requests.json is the recording: headers, fields in their order, and which events leave together.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from loadtest.traffic import user_agents
from loadtest.traffic.request_template import ID_SLOT, UUID_SLOT, Request
from loadtest.traffic.shop import Site, Visitor, settings


@cache
def recording() -> dict[str, Any]:
    """Return the recording: by step, headers and events."""
    found: dict[str, Any] = json.loads((Path(__file__).parent / "tag_requests.json").read_text())
    return found


def _request(visitor: Visitor, step: str, pages: list[tuple[str, str]]) -> Request:
    """Return a request of the recording; `pages` gives page and referrer of each event, in order."""
    site, recorded = visitor.site, recording()[step]
    events = [
        _event(visitor, event, page, referrer)
        for event, (page, referrer) in zip(recorded["events"], pages, strict=True)
    ]
    return _post(visitor, recorded["headers"], events, site.surface.page_origin)


def _post(visitor: Visitor, recorded: list[list[str]], events: list[dict[str, Any]], origin: str) -> Request:
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


def _event(visitor: Visitor, recorded: dict[str, Any], page: str, referrer: str) -> dict[str, Any]:
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


def visit(site: Site) -> Iterator[Request]:
    """Yield the requests of one visit to pages with the tag."""
    rng, shares, visitor = site.rng, settings()["tag"], Visitor(site)
    single_page = rng.random() < shares["single_page"]
    page, referrer = site.landing(), next(site.referrers)
    if rng.random() < shares["offline"]:
        yield _offline(visitor, page, referrer)
        return
    yield _request(visitor, "page_view", [(page, referrer)])
    for _ in range(min(int(rng.expovariate(0.5)), 11)):
        if rng.random() < shares["event_a_page"]:
            yield _request(visitor, "event", [(page, referrer)])
        following = site.page()
        if single_page:
            yield _request(visitor, "navigation", [(page, referrer), (following, page)])
        else:
            yield _request(visitor, "leave", [(page, referrer)])
            yield _request(visitor, "page_view", [(following, page)])
        page, referrer = following, page
    yield _request(visitor, "leave", [(page, referrer)])


def _offline(visitor: Visitor, page: str, referrer: str) -> Request:
    """Return the events of several pages in one batch."""
    site, recorded = visitor.site, recording()
    events = []
    for _ in range(visitor.site.rng.randrange(2, 6)):
        for step in ("page_view", "leave"):
            event = _event(visitor, recorded[step]["events"][0], page, referrer)
            events.append(event | ({"age": site.rng.randrange(40, 120_000)} if "age" in event else {}))
        page, referrer = site.page(), page
    return _post(visitor, recorded["leave"]["headers"], events, site.surface.page_origin)
