"""A server of each platform: it checks each request by the platform's documented rules, and misbehaves on demand."""

import asyncio
import contextlib
import json
import re
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

HASH = re.compile(r"[0-9a-f]{64}")
NOW_S = 1_795_334_400


class PlatformServer:
    """Requests that came, what they carried, and what to do wrong next."""

    def __init__(self) -> None:
        self.url = ""
        self.faults: deque[web.Response | str] = deque()
        """Answers to give before any is right: a response; "reset" closes the connection before the request is taken,
        "lost" after it."""
        self.refuse: set[str] = set()
        """Ids of events that are refused, each with the whole request."""
        self.bodies: dict[str, list[dict[str, Any]]] = {}
        """Bodies that were taken, by path."""
        self.heads: list[dict[str, str]] = []
        self.wrong: list[str] = []
        """Rules that a request broke."""
        self.arrived = asyncio.Event()

    async def take(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        self.heads.append(dict(request.headers))
        fault = self.faults.popleft() if self.faults else None
        if fault == "reset":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if isinstance(fault, web.Response):
            return web.Response(status=fault.status, headers=fault.headers, body=fault.body)
        body = json.loads(text)
        path = request.path
        wrong = next(rules for end, rules in _RULES.items() if path.endswith(end))(request, body)
        if wrong:
            self.wrong += wrong
            return web.json_response({"error": {"message": wrong[0], "code": 100}}, status=400)
        if bad := self.refuse & {str(each) for each in _ids(body)}:
            return web.json_response({"error": {"message": f"no such thing as {min(bad)}", "code": 100}}, status=400)
        self.bodies.setdefault(path, []).append(body)
        self.arrived.set()
        if fault == "lost":
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({"events_received": len(_ids(body)), "code": 0})

    def events(self, path: str) -> list[dict[str, Any]]:
        """Return what came to a path, over all requests."""
        return [each for body in self.bodies.get(path, []) for each in body.get("data", body.get("events", []))]


def _ids(body: dict[str, Any]) -> list[Any]:
    events = body.get("data", body.get("events", []))
    if not isinstance(events, list):
        events = events["events"]
    return [
        each.get("event_id", each.get("transactionId", each.get("params", {}).get("transaction_id"))) for each in events
    ]


def _meta(request: web.Request, body: dict[str, Any]) -> list[str]:
    wrong = []
    if not request.query.get("access_token"):
        wrong.append("access_token is missing")
    if not 0 < len(body["data"]) <= 1000:
        wrong.append("1 to 1,000 events")
    for event in body["data"]:
        wrong += [
            f"{name} is missing"
            for name in ("event_name", "event_time", "user_data", "action_source")
            if name not in event
        ]
        if event["action_source"] == "website" and not (
            "event_source_url" in event and "client_user_agent" in event["user_data"]
        ):
            wrong.append("a website's event needs event_source_url and client_user_agent")
        if not isinstance(event["event_time"], int) or event["event_time"] > 10_000_000_000:
            wrong.append("event_time is seconds")
        for name in ("em", "ph"):
            wrong += [f"{name} is not hashed" for each in event["user_data"].get(name, []) if not HASH.fullmatch(each)]
        if "fbc" in event["user_data"] and not re.fullmatch(r"fb\.1\.\d{13}\..+", event["user_data"]["fbc"]):
            wrong.append("fbc is fb.1.milliseconds.fbclid")
        if event["event_name"] == "Purchase" and not {"currency", "value"} <= event["custom_data"].keys():
            wrong.append("a purchase needs currency and value")
    return wrong


def _google(request: web.Request, body: dict[str, Any]) -> list[str]:
    wrong = []
    if not request.headers.get("Authorization", "").startswith("Bearer "):
        wrong.append("no access token")
    references = {each["reference"] for each in body["destinations"]}
    if body.get("encoding") != "HEX" or not 0 < len(body["events"]) <= 2000:
        wrong.append("encoding, 1 to 2,000 events")
    for event in body["events"]:
        if not set(event["destinationReferences"]) <= references:
            wrong.append("unknown destination")
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["eventTimestamp"]):
            wrong.append("eventTimestamp is RFC 3339")
        if not event.get("transactionId"):
            wrong.append("transactionId is missing")
        for one in event.get("userData", {}).get("userIdentifiers", []):
            wrong += [f"{name} is not hashed" for name, text in one.items() if not HASH.fullmatch(text)]
    return wrong


def _ga4(request: web.Request, body: dict[str, Any]) -> list[str]:
    wrong = [f"{name} is missing" for name in ("api_secret", "measurement_id") if not request.query.get(name)]
    wrong += [f"{name} is missing" for name in ("client_id", "events") if not body.get(name)]
    if not 0 < len(body["events"]) <= 25:
        wrong.append("1 to 25 events")
    for event in body["events"]:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,39}", event["name"]) or len(event["params"]) > 25:
            wrong.append("name of 1-40, at most 25 parameters")
        if event["name"] == "refund" and "transaction_id" not in event["params"]:
            wrong.append("a refund needs transaction_id")
    return wrong


def _hook(request: web.Request, body: dict[str, Any]) -> list[str]:
    return [name for name in ("Pharos-Timestamp", "Pharos-Signature") if name not in request.headers]


def _bearer(request: web.Request) -> list[str]:
    return [] if request.headers.get("Authorization", "").startswith("Bearer ") else ["no access token"]


def _missing(one: dict[str, Any], *names: str) -> list[str]:
    return [f"{name} is missing" for name in names if one.get(name) in (None, "", [], {})]


def _tiktok(request: web.Request, body: dict[str, Any]) -> list[str]:
    wrong = _missing(dict(request.headers), "Access-Token") + _missing(body, "event_source", "event_source_id", "data")
    for event in body["data"]:
        wrong += _missing(event, "event", "event_time", "event_id", "user") + _missing(event["page"], "url")
        wrong += [f"{name} is not hashed" for name in ("email", "phone", "external_id")
                  if name in event["user"] and not HASH.fullmatch(event["user"][name])]  # fmt: skip
    return wrong


def _pinterest(request: web.Request, body: dict[str, Any]) -> list[str]:
    wrong = _bearer(request)
    for event in body["data"]:
        wrong += _missing(event, "event_name", "action_source", "event_time", "event_id", "user_data")
        user = event["user_data"]
        if "em" not in user and not {"client_ip_address", "client_user_agent"} <= user.keys():
            wrong.append("em, or an address with a user agent")
        wrong += ["em is not hashed" for each in user.get("em", []) if not HASH.fullmatch(each)]
        if not isinstance(event["custom_data"].get("value", ""), str):
            wrong.append("value is a text")
    return wrong


def _reddit(request: web.Request, body: dict[str, Any]) -> list[str]:
    wrong = _bearer(request)
    for event in body["data"]["events"]:
        wrong += _missing(event, "event_at", "action_source", "type")
        if event["event_at"] < 10_000_000_000:
            wrong.append("event_at is milliseconds")
        if not event.get("click_id") and not event.get("user"):
            wrong.append("a click id or a match key")
    return wrong


def _linkedin(request: web.Request, body: dict[str, Any]) -> list[str]:
    wrong = _bearer(request) + _missing(
        dict(request.headers), "LinkedIn-Version", "X-Restli-Protocol-Version", "X-RestLi-Method"
    )
    for event in body["elements"]:
        wrong += _missing(event, "conversion", "conversionHappenedAt", "eventId") + _missing(event["user"], "userIds")
        if not event["conversion"].startswith("urn:lla:llaPartnerConversion:") or len(event["eventId"]) > 64:
            wrong.append("conversion is a URN, eventId at most 64 characters")
    return wrong


def _microsoft(request: web.Request, body: dict[str, Any]) -> list[str]:
    wrong = _bearer(request) + _missing(dict(request.headers), "DeveloperToken", "CustomerId", "CustomerAccountId")
    for event in body.get("OfflineConversions", body.get("OfflineConversionAdjustments", [{}])):
        wrong += _missing(event, "MicrosoftClickId", "ConversionName", "ConversionTime")
        if "OfflineConversionAdjustments" in body:
            wrong += _missing(event, "AdjustmentType", "AdjustmentTime")
    return wrong


_RULES = {
    "123/events": _meta,
    "1/events": _meta,
    "v1/events:ingest": _google,
    "mp/collect": _ga4,
    "/hook": _hook,
    "event/track/": _tiktok,
    "44/events": _pinterest,
    "/conversion_events": _reddit,
    "/conversionEvents": _linkedin,
    "/Apply": _microsoft,
}
"""Rules by the end of the path."""


@contextlib.asynccontextmanager
async def platform_server() -> AsyncIterator[PlatformServer]:
    """Run one on a free port of 127.0.0.1."""
    server = PlatformServer()
    app = web.Application()
    app.router.add_post("/{path:.*}", server.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()
