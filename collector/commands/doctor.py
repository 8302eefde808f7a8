"""`python -m collector doctor`: look at a live deployment as a browser and a CDN see it, and say what to mend.

It sends a handful of hits called `doctor`, with a user agent that says so: leave them out, or count them, as you like.
Rule: `look` asks and keeps the answers; the judges below are pure. Over 250 lines because each judge is one reading.
"""

import argparse
import asyncio
import contextlib
import ipaddress
import secrets
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Literal, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import msgspec
from publicsuffixlist import PublicSuffixList

from collector.http.doctor_probe import MARK, PATH, SeenAs
from collector.policy.client_address import canonical, truncate
from stage import version

AGENT: Final = "PharosDoctor/1 (deployment check)"
TIMEOUT_S: Final = 15
STRANGER: Final = "https://stranger.invalid"
FORGED: Final = "203.0.113.9"
"""Of a network for documentation: no visitor has it."""
FORGERIES: Final = {
    "X-Forwarded-For": FORGED,
    "Forwarded": f"for={FORGED}",
    "X-Real-IP": FORGED,
    "CF-Connecting-IP": FORGED,
    "True-Client-IP": FORGED,
    "Fastly-Client-IP": FORGED,
    "CloudFront-Viewer-Address": f"{FORGED}:443",
}
_LEAST_TLS_DAYS: Final = 14
_MOST_SKEW_S: Final = 30
_COOKIE_S: Final = 34_128_000


class Finding(NamedTuple):
    """One result; `mend` says what to do where it is bad."""

    level: Literal["ok", "note", "bad"]
    topic: str
    says: str
    mend: str = ""


class Answer(NamedTuple):
    """What came back; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    cookies: tuple[str, ...]
    body: bytes
    at: float
    """Our clock, seconds since the epoch, when the answer came."""


class Tls(NamedTuple):
    """The connection's own words."""

    version: str
    protocol: str
    """What ALPN chose; empty: nothing."""
    days_left: float


class Place(NamedTuple):
    """Where a name leads."""

    host: str
    canonical: str
    addresses: tuple[str, ...]


class Seen(NamedTuple):
    """Everything that was asked."""

    url: str
    site: str
    origin: str
    first: Answer
    again: Answer
    """The same pixel, with the first answer's cookie and a foreign one."""
    refused: Answer
    """A pixel of a site that nobody configured."""
    posted: Answer
    preflight_stranger: Answer
    preflight_own: Answer | None
    tag: Answer
    tag_again: Answer
    """With the first one's ETag."""
    hidden: Mapping[str, Answer]
    """Paths that belong to the admin port."""
    plain: Answer | None
    """`http://` instead of `https://`; None where nobody listens, or the URL is plain itself."""
    tls: Tls | None
    place: Place
    page: Place | None
    seen_as: SeenAs | None
    """Whose address the collector believes to be ours; None: it does not say."""
    forged: Mapping[str, SeenAs | None]
    """The same with one forged header each."""
    own: tuple[str, ...]
    """Our own addresses, as far as we know them: behind a NAT we know none."""


def judge(seen: Seen) -> Iterator[Finding]:
    """Yield every finding, in the order in which one would mend them."""
    for one in (_reach, _dns, _tls, _cache, _cookie, _address, _refusal, _post, _cors, _tag, _clock, _hidden):
        yield from one(seen)


def _reach(seen: Seen) -> Iterator[Finding]:
    told = seen.first.headers.get("x-pharos", "")
    if seen.first.status != 200 or not seen.first.body.startswith(b"GIF89a"):
        mend = "Is this the collector's name, and does the edge pass /p.gif on?"
        yield Finding("bad", "pixel", f"/p.gif answers {seen.first.status} and is no GIF", mend)
    elif not told:
        yield Finding(
            "bad", "pixel", "the header X-Pharos is missing", "Let the edge pass every header of the answer on."
        )
    elif told != "accepted":
        mend = f"Is the site {seen.site!r} in sites.toml? docs/http.md lists the reasons."
        yield Finding("bad", "pixel", f"the hit was {told}", mend)
    else:
        yield Finding("ok", "pixel", f"a hit of {seen.site} was accepted")


def _dns(seen: Seen) -> Iterator[Finding]:
    suffixes = PublicSuffixList()
    own, canonical = seen.place.host, seen.place.canonical
    if canonical and suffixes.privatesuffix(canonical) != suffixes.privatesuffix(own):
        mend = "Use A and AAAA records of your own edge, or the CDN's alias records: Safari keeps cookies 7 days only."
        yield Finding("bad", "dns", f"{own} is a CNAME to another party, {canonical}", mend)
    else:
        yield Finding("ok", "dns", f"{own} leads to {', '.join(seen.place.addresses)}")
    if not any(":" in address for address in seen.place.addresses):
        yield Finding("note", "dns", "no IPv6 address", "Phones on IPv6 alone pass a translator; an AAAA record helps.")
    if seen.page is not None:
        yield _neighbours(seen.place, seen.page)


def _neighbours(place: Place, page: Place) -> Finding:
    """Safari compares the first half of the addresses: IPv4 /16, IPv6 /64."""

    def halves(addresses: Sequence[str]) -> set[str]:
        networks = set()
        for address in addresses:
            version = ipaddress.ip_address(address).version
            network = ipaddress.ip_network(f"{address}/{16 if version == 4 else 64}", strict=False)
            networks.add(str(network))
        return networks

    if halves(place.addresses) & halves(page.addresses):
        return Finding("ok", "dns", f"{place.host} and {page.host} are neighbours: Safari keeps the cookie")
    mend = "Put both behind the same CDN or load balancer; otherwise Safari keeps the cookie 7 days."
    return Finding("bad", "dns", f"{place.host} and {page.host} have addresses of different halves", mend)


def _tls(seen: Seen) -> Iterator[Finding]:
    if seen.tls is None:
        mend = "Serve it by https://: the cookie is Secure, browsers drop it here."
        yield Finding("bad", "tls", "no TLS", mend)
        return
    if seen.tls.days_left < _LEAST_TLS_DAYS:
        left = f"the certificate ends in {seen.tls.days_left:.0f} days"
        yield Finding("bad", "tls", left, "Renew it, and see why that did not happen by itself.")
    else:
        yield Finding("ok", "tls", f"{seen.tls.version}, certificate for {seen.tls.days_left:.0f} more days")
    if seen.tls.protocol != "h2":
        yield Finding("note", "tls", "no HTTP/2", "Switch it on at the edge: the page's connection is then shared.")
    if "h3" not in seen.first.headers.get("alt-svc", ""):
        yield Finding("note", "tls", "HTTP/3 is not offered (Alt-Svc)", "Switch it on at the edge where it has it.")
    if seen.plain is not None and seen.plain.status not in (301, 302, 307, 308):
        mend = "Redirect http:// to https://, or close port 80."
        yield Finding("bad", "tls", f"http:// answers {seen.plain.status} itself", mend)


def _cache(seen: Seen) -> Iterator[Finding]:
    held = seen.first.headers.get("cache-control", "")
    faults = []
    if "no-store" not in held:
        faults.append(f"Cache-Control is {held!r}")
    validators = ("age", "etag", "last-modified", "expires")
    faults += [f"{name.title()} is sent" for name in validators if seen.first.headers.get(name, "0") not in ("0", "-1")]
    for name in ("x-cache", "cf-cache-status", "x-cache-status"):
        word = seen.again.headers.get(name, "").lower()
        if "hit" in word or "stale" in word:
            faults.append(f"{name} says {word!r}")
    if faults:
        mend = "Let the edge cache /t.js alone, and pass Cache-Control on as it is: cached hits are not counted."
        yield Finding("bad", "cache", "pixels can be cached: " + "; ".join(faults), mend)
    else:
        yield Finding("ok", "cache", "pixels are never cached")


def _cookie(seen: Seen) -> Iterator[Finding]:
    found = next((cookie for cookie in seen.first.cookies if cookie.startswith("_pid=")), "")
    if not found:
        mend = "Right for cookieless sites and before consent (this hit said n=1); else the edge drops Set-Cookie."
        yield Finding("note", "cookie", "no cookie _pid is set", mend)
        return
    parts = [part.strip() for part in found.split(";")]
    names = {part.partition("=")[0].lower(): part.partition("=")[2] for part in parts[1:]}
    wrong = [name for name in ("secure", "httponly") if name not in names]
    if names.get("samesite", "").lower() != "lax" or names.get("path") != "/":
        wrong.append("samesite=lax and path=/")
    if names.get("max-age") != str(_COOKIE_S):
        wrong.append(f"max-age={_COOKIE_S}")
    if wrong:
        mend = "Something between changes Set-Cookie: let it pass untouched."
        yield Finding("bad", "cookie", f"_pid lacks {', '.join(wrong)}", mend)
    back = next((cookie for cookie in seen.again.cookies if cookie.startswith("_pid=")), "")
    if back.partition(";")[0] != parts[0]:
        mend = "Pass _pid, _pcs and _pno to the collector; every visit makes a new visitor now."
        yield Finding("bad", "cookie", "the cookie is not recognised on the second hit", mend)
    elif not wrong:
        yield Finding("ok", "cookie", "_pid is set, and recognised on the second hit")


def _address(seen: Seen) -> Iterator[Finding]:
    found = seen.seen_as
    if found is None:
        mend = f"Let the edge pass {PATH} and the header {MARK} on; is this collector older than this doctor?"
        yield Finding("note", "address", "the collector does not say which address it believes", mend)
        return
    believed = [name for name, told in seen.forged.items() if told and told.address == truncate(FORGED, "truncate")]
    if believed:
        mend = "Let the edge overwrite it; trust no network in PHAROS_COLLECTOR_TRUSTED_PROXIES but the edge's own."
        yield Finding("bad", "address", f"a forged address is believed, from {', '.join(believed)}", mend)
    broken = [name for name, told in seen.forged.items() if told and told.source == "broken"]
    if broken and found.source == "header":
        mend = "Let the edge overwrite it: whoever sends it hides behind the proxy's address."
        yield Finding("bad", "address", f"a forged {', '.join(broken)} spoils the true address", mend)
    if fault := _foreign(seen, found):
        says, mend = fault
        yield Finding("bad", "address", f"everybody has the address of a proxy: {says}", mend)
    elif not believed and not _ours(seen, found):
        mend = "Is that you? Say --address YOURS to have it compared; behind a NAT the doctor does not know."
        yield Finding("note", "address", f"we are seen in the network of {found.address}", mend)
    elif not believed and not broken:
        yield Finding("ok", "address", f"ours is known ({found.address}, by the {found.source}), and no forged one is")


def _foreign(seen: Seen, found: SeenAs) -> tuple[str, str] | None:
    """Return why the address is a proxy's, and the mend; None where it may be ours."""
    ours = _ours(seen, found)
    if found.source == "untrusted":
        return "it tells the client's, and is not believed", "Name it in PHAROS_COLLECTOR_TRUSTED_PROXIES."
    if found.source == "broken":
        return "what it tells is no address", "Is PHAROS_COLLECTOR_CDN the one whose headers arrive?"
    if found.others:
        told = ", ".join(found.others)
        return (
            f"{told} tells another one than the collector believes",
            "Let the proxy behind the CDN take the client's address from the CDN (deploy/edge/cdn).",
        )
    if found.source == "peer" and seen.url.startswith("https:") and not ours:
        return (
            "TLS ends before the collector, but nobody tells it the client's address",
            "Let the edge set X-Forwarded-For, and name it in PHAROS_COLLECTOR_TRUSTED_PROXIES.",
        )
    if ours is False:
        return (
            f"the collector sees {found.address} where we are",
            "Let every proxy pass the client's address on; docs/operations.md, The edge.",
        )
    return None


def _ours(seen: Seen, found: SeenAs) -> bool | None:
    """Tell whether the address is one of ours; None: we know none of its kind."""
    alike = {truncate(own, "truncate") for own in seen.own if (":" in own) == (":" in found.address)}
    return found.address in alike if alike else None


def _refusal(seen: Seen) -> Iterator[Finding]:
    told = seen.refused.headers.get("x-pharos", "")
    if seen.refused.status == 200 and told.startswith("refused"):
        yield Finding("ok", "refusals", f"an unknown site gets the pixel and the truth ({told})")
    else:
        mend = "The edge answers for the collector, or changes the query."
        yield Finding("bad", "refusals", f"an unknown site gets {seen.refused.status}, X-Pharos {told!r}", mend)


def _post(seen: Seen) -> Iterator[Finding]:
    if seen.posted.status == 202:
        yield Finding("ok", "tag's way", "POST /e is accepted")
    else:
        mend = "Let the edge pass POST with its body, and its Content-Type, on."
        yield Finding("bad", "tag's way", f"POST /e answers {seen.posted.status}", mend)


def _cors(seen: Seen) -> Iterator[Finding]:
    allowed = seen.preflight_stranger.headers.get("access-control-allow-origin", "")
    if allowed == STRANGER and "access-control-allow-credentials" in seen.preflight_stranger.headers:
        mend = "Let nothing between add CORS headers: any page could act for your visitors."
        yield Finding("bad", "cors", "a stranger's origin is allowed with credentials", mend)
    else:
        yield Finding("ok", "cors", f"a stranger's origin gets {allowed or 'nothing'!r} without credentials")
    own = seen.preflight_own
    if own is not None:
        headers = own.headers
        right = headers.get("access-control-allow-origin") == seen.origin
        if right and headers.get("access-control-allow-credentials") == "true":
            yield Finding("ok", "cors", f"{seen.origin} is allowed with credentials")
        else:
            mend = "Is it among the site's `origins`? Does the edge pass OPTIONS and Origin on?"
            yield Finding("bad", "cors", f"{seen.origin} is not allowed with credentials", mend)


def _tag(seen: Seen) -> Iterator[Finding]:
    if seen.tag.status != 200:
        yield Finding("bad", "tag", f"/t.js answers {seen.tag.status}", "Let the edge pass it on.")
    elif "max-age" not in seen.tag.headers.get("cache-control", "") or seen.tag_again.status != 304:
        mend = "Pass Cache-Control and ETag of /t.js on, and If-None-Match in."
        yield Finding("bad", "tag", "/t.js is not cached by browsers", mend)
    else:
        yield Finding("ok", "tag", "/t.js is cached, and checked by its ETag")


def _clock(seen: Seen) -> Iterator[Finding]:
    try:
        skew = parsedate_to_datetime(seen.first.headers["date"]).timestamp() - seen.first.at
    except (KeyError, ValueError):
        yield Finding("note", "clock", "no usable Date header")
        return
    if abs(skew) > _MOST_SKEW_S:
        mend = "Mend the clocks (NTP): events with a time of their own are refused by them."
        yield Finding("bad", "clock", f"the collector's clock and ours are {abs(skew):.0f} s apart", mend)
    else:
        yield Finding("ok", "clock", "the clocks agree")


def _hidden(seen: Seen) -> Iterator[Finding]:
    open_paths = [path for path, answer in seen.hidden.items() if answer.status == 200]
    if open_paths:
        mend = "The edge leads to the admin port too: close 9100 to 9102 to the world."
        yield Finding("bad", "admin", f"{', '.join(open_paths)} can be read by everybody", mend)
    else:
        yield Finding("ok", "admin", "health and metrics are not public")


async def look(url: str, site: str, origin: str, page: str, authority: str | None, own: Sequence[str] = ()) -> Seen:
    """Ask everything; `own` are our public addresses, where somebody knows them.

    Raises:
        aiohttp.ClientError, OSError, TimeoutError: nobody answers at all.
    """
    base = url.rstrip("/")
    host = urlsplit(base).hostname or ""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    jar = aiohttp.DummyCookieJar()
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=authority))
    async with aiohttp.ClientSession(cookie_jar=jar, timeout=timeout, connector=connector) as http:

        async def ask(method: str, target: str, body: bytes | None = None, **headers: str) -> Answer:
            sent = {"User-Agent": AGENT} | {name.replace("_", "-"): value for name, value in headers.items()}
            async with http.request(method, target, data=body, headers=sent, allow_redirects=False) as got:
                lower = {name.lower(): value for name, value in got.headers.items()}
                cookies = tuple(got.headers.getall("Set-Cookie", []))
                return Answer(got.status, lower, cookies, await got.read(), time.time())

        async def preflight(asker: str) -> Answer:
            return await ask("OPTIONS", f"{base}/e", Origin=asker, Access_Control_Request_Method="POST")

        async def seen_as(**headers: str) -> SeenAs | None:
            told = await ask("GET", base + PATH, None, **headers, **{MARK: "address"})
            if told.status != 200:
                return None
            with contextlib.suppress(msgspec.DecodeError, msgspec.ValidationError):
                return msgspec.json.decode(told.body, type=SeenAs)
            return None

        place = await _resolve(base)
        pixel = f"{base}/p.gif?s={site}&e=doctor&n=1&u=https%3A%2F%2F{host}%2Fdoctor"
        first = await ask("GET", pixel)
        pair = next((cookie.partition(";")[0] for cookie in first.cookies if cookie.startswith("_pid=")), "_pid=")
        tag = await ask("GET", f"{base}/t.js")
        event = f'{{"site":"{site}","event":"doctor","url":"https://{host}/doctor"}}'.encode()
        plain = None
        if base.startswith("https:"):
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                plain = await ask("GET", f"http://{host}/robots.txt")
        return Seen(
            url=base,
            site=site,
            origin=origin,
            first=first,
            again=await ask("GET", pixel, Cookie=f"session=doctor; {pair}"),
            refused=await ask("GET", f"{base}/p.gif?s=no-such-site-{secrets.token_hex(4)}"),
            posted=await ask("POST", f"{base}/e", event, Content_Type="application/json"),
            preflight_stranger=await preflight(STRANGER),
            preflight_own=await preflight(origin) if origin else None,
            tag=tag,
            tag_again=await ask("GET", f"{base}/t.js", If_None_Match=tag.headers.get("etag", "")),
            hidden={path: await ask("GET", base + path) for path in ("/metrics", "/healthz", "/readyz")},
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
    """Return our addresses on the ways there, but for those that a NAT replaces. Sends nothing."""
    found = []
    for address in place.addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 443))
            own = str(probe.getsockname()[0])
            if ipaddress.ip_address(own).is_global or not ipaddress.ip_address(address).is_global:
                found.append(own)
    return tuple(found)


def _addresses(text: str) -> tuple[str, ...]:
    """Read the option --address."""
    found = tuple(canonical(part.strip()) or "" for part in text.split(","))
    if not all(found):
        raise argparse.ArgumentTypeError(f"not an address: {text}")
    return found


async def _resolve(url: str) -> Place:
    host = urlsplit(url).hostname or ""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_CANONNAME)
    canonical = next((name for *_, name, _ in found if name), "")
    return Place(host, canonical.rstrip("."), tuple(sorted({str(address[0]) for *_, address in found})))


def main(argv: Sequence[str], show: Callable[[str], object] = print) -> int:
    """Print every finding; return 0 where nothing is bad, 1 where something is, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m collector doctor", description=__doc__)
    version.add_option(parser)
    parser.add_argument("--url", required=True, help="the collector as browsers reach it: https://px.example.com")
    parser.add_argument("--site", required=True, help="key of a site; a few hits called `doctor` are sent to it")
    parser.add_argument("--origin", default="", help="an origin the site lists: https://www.example.com")
    parser.add_argument("--page", default="", help="a page of the site, to compare addresses as Safari does")
    parser.add_argument("--ca", default=None, help="PEM file of the authority, where it is not a public one")
    parser.add_argument(
        "--address", type=_addresses, default=(), help="our public addresses, with commas, where a NAT hides them"
    )
    given = parser.parse_args(argv)
    try:
        seen = asyncio.run(look(given.url, given.site, given.origin, given.page, given.ca, given.address))
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        print(f"{given.url}: {error or type(error).__name__}", file=sys.stderr)
        return 1
    bad = 0
    for finding in judge(seen):
        bad += finding.level == "bad"
        show(f"{finding.level:4}  {finding.topic:9}  {finding.says}")
        if finding.mend and finding.level != "ok":
            show(f"{'':17}{finding.mend}")
    return 1 if bad else 0
