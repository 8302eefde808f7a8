"""The requests of `python -m collector doctor`: a deployment as a browser and a CDN see it.

It sends a few hits called `doctor`, with a user agent that says so.
"""

import asyncio
import contextlib
import ipaddress
import secrets
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import msgspec

from collector.http.doctor_probe import MARK, PATH, SeenAs

AGENT: Final = "PharosDoctor/1 (deployment check)"
TIMEOUT_S: Final = 15
STRANGER: Final = "https://stranger.invalid"
FORGED: Final = "203.0.113.9"
"""An address of a network for documentation: no visitor has it."""
FORGERIES: Final = {
    "X-Forwarded-For": FORGED,
    "Forwarded": f"for={FORGED}",
    "X-Real-IP": FORGED,
    "CF-Connecting-IP": FORGED,
    "True-Client-IP": FORGED,
    "Fastly-Client-IP": FORGED,
    "CloudFront-Viewer-Address": f"{FORGED}:443",
}


class Answer(NamedTuple):
    """One response; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    cookies: tuple[str, ...]
    body: bytes
    at: float
    """Our clock when the response arrived, in seconds since the epoch."""


class Tls(NamedTuple):
    """Facts of the TLS connection."""

    version: str
    protocol: str
    """The protocol that ALPN chose, or empty."""
    days_left: float


class Place(NamedTuple):
    """DNS results of a host."""

    host: str
    canonical: str
    addresses: tuple[str, ...]


class Seen(NamedTuple):
    """Every result."""

    url: str
    site: str
    origin: str
    first: Answer
    again: Answer
    """The same pixel, with the cookie of the first response and a foreign one."""
    refused: Answer
    """A pixel of a site that is not configured."""
    posted: Answer
    preflight_stranger: Answer
    preflight_own: Answer | None
    tag: Answer
    tag_again: Answer
    """The tag again, with its ETag."""
    hidden: Mapping[str, Answer]
    """Paths that belong to the admin port."""
    plain: Answer | None
    """`http://` instead of `https://`; None if nothing listens there, or the URL itself is `http://`."""
    tls: Tls | None
    place: Place
    page: Place | None
    seen_as: SeenAs | None
    """Which address the collector believes to be ours; None if it does not answer that."""
    forged: Mapping[str, SeenAs | None]
    """The same with one forged header in each request."""
    own: tuple[str, ...]
    """Our own addresses, as far as we know them; behind a NAT none."""


async def look(url: str, site: str, origin: str, page: str, authority: str | None, own: Sequence[str] = ()) -> Seen:
    """Send every request; `own` are our public addresses, if the operator gave them.

    Raises:
        aiohttp.ClientError, OSError, TimeoutError: no response at all.
    """
    base = url.rstrip("/")
    host = urlsplit(base).hostname or ""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    jar = aiohttp.DummyCookieJar()
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=authority))
    async with aiohttp.ClientSession(cookie_jar=jar, timeout=timeout, connector=connector) as http:

        async def send(method: str, target: str, body: bytes | None = None, **headers: str) -> Answer:
            sent = {"User-Agent": AGENT} | {name.replace("_", "-"): value for name, value in headers.items()}
            async with http.request(method, target, data=body, headers=sent, allow_redirects=False) as got:
                lower = {name.lower(): value for name, value in got.headers.items()}
                cookies = tuple(got.headers.getall("Set-Cookie", []))
                return Answer(got.status, lower, cookies, await got.read(), time.time())

        async def preflight(sender: str) -> Answer:
            return await send("OPTIONS", f"{base}/e", Origin=sender, Access_Control_Request_Method="POST")

        async def seen_as(**headers: str) -> SeenAs | None:
            answer = await send("GET", base + PATH, None, **headers, **{MARK: "address"})
            if answer.status != 200:
                return None
            with contextlib.suppress(msgspec.DecodeError, msgspec.ValidationError):
                return msgspec.json.decode(answer.body, type=SeenAs)
            return None

        place = await _resolve(base)
        pixel = f"{base}/p.gif?s={site}&e=doctor&n=1&u=https%3A%2F%2F{host}%2Fdoctor"
        first = await send("GET", pixel)
        pair = next((cookie.partition(";")[0] for cookie in first.cookies if cookie.startswith("_pid=")), "_pid=")
        tag = await send("GET", f"{base}/t.js")
        event = f'{{"site":"{site}","event":"doctor","url":"https://{host}/doctor"}}'.encode()
        plain = None
        if base.startswith("https:"):
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                plain = await send("GET", f"http://{host}/robots.txt")
        return Seen(
            url=base,
            site=site,
            origin=origin,
            first=first,
            again=await send("GET", pixel, Cookie=f"session=doctor; {pair}"),
            refused=await send("GET", f"{base}/p.gif?s=no-such-site-{secrets.token_hex(4)}"),
            posted=await send("POST", f"{base}/e", event, Content_Type="application/json"),
            preflight_stranger=await preflight(STRANGER),
            preflight_own=await preflight(origin) if origin else None,
            tag=tag,
            tag_again=await send("GET", f"{base}/t.js", If_None_Match=tag.headers.get("etag", "")),
            hidden={path: await send("GET", base + path) for path in ("/metrics", "/healthz", "/readyz")},
            plain=plain,
            tls=await asyncio.to_thread(_handshake, base, authority) if base.startswith("https:") else None,
            place=place,
            page=await _resolve(page) if page else None,
            seen_as=await seen_as(),
            forged={name: await seen_as(**{name: value}) for name, value in FORGERIES.items()},
            own=tuple(own) or _own(place),
        )


def _handshake(base: str, authority: str | None) -> Tls:
    parts = urlsplit(base)
    trust = ssl.create_default_context(cafile=authority)
    trust.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection((parts.hostname or "", parts.port or 443), timeout=TIMEOUT_S) as plain,
        trust.wrap_socket(plain, server_hostname=parts.hostname) as line,
    ):
        certificate = line.getpeercert() or {}
        ends = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
        left = (datetime.fromtimestamp(ends, UTC) - datetime.now(UTC)).total_seconds() / 86400
        return Tls(line.version() or "", line.selected_alpn_protocol() or "", left)


def _own(place: Place) -> tuple[str, ...]:
    """Return our addresses on the routes there, without those that a NAT replaces. Sends nothing."""
    found = []
    for address in place.addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 443))
            own = str(probe.getsockname()[0])
            if ipaddress.ip_address(own).is_global or not ipaddress.ip_address(address).is_global:
                found.append(own)
    return tuple(found)


async def _resolve(url: str) -> Place:
    host = urlsplit(url).hostname or ""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_CANONNAME)
    canonical = next((name for *_, name, _ in found if name), "")
    return Place(host, canonical.rstrip("."), tuple(sorted({str(address[0]) for *_, address in found})))
