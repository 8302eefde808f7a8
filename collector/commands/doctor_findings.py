"""The findings of `python -m collector doctor`: each function judges one aspect of what the probe has seen. No I/O.

Over 250 lines because each judgement carries its advice.
"""

import ipaddress
from collections.abc import Iterator, Sequence
from email.utils import parsedate_to_datetime
from typing import Final, Literal, NamedTuple

from publicsuffixlist import PublicSuffixList

from collector.commands.doctor_requests import FORGED, STRANGER, Place, Seen
from collector.http.doctor_probe import MARK, PATH, SeenAs
from collector.policy.client_address import truncate

_LEAST_TLS_DAYS: Final = 14
_MOST_SKEW_S: Final = 30
_COOKIE_S: Final = 34_128_000


class Finding(NamedTuple):
    """One result; `fix` is the advice."""

    level: Literal["ok", "note", "bad"]
    topic: str
    says: str
    fix: str = ""


def judge(seen: Seen) -> Iterator[Finding]:
    """Yield every finding, in the order in which an operator would fix them."""
    for one in (_reach, _dns, _tls, _cache, _cookie, _address, _refusal, _post, _cors, _tag, _clock, _hidden):
        yield from one(seen)


def _reach(seen: Seen) -> Iterator[Finding]:
    verdict = seen.first.headers.get("x-pharos", "")
    if seen.first.status != 200 or not seen.first.body.startswith(b"GIF89a"):
        fix = "Does this name lead to the collector, and does the edge pass /p.gif to it?"
        yield Finding("bad", "pixel", f"/p.gif answers {seen.first.status} and is no GIF", fix)
    elif not verdict:
        yield Finding(
            "bad", "pixel", "the header X-Pharos is missing", "Let the edge pass on every header of the answer."
        )
    elif verdict != "accepted":
        fix = f"Is the site {seen.site!r} in sites.toml? docs/http.md lists the reasons."
        yield Finding("bad", "pixel", f"the hit was {verdict}", fix)
    else:
        yield Finding("ok", "pixel", f"a hit of {seen.site} was accepted")


def _dns(seen: Seen) -> Iterator[Finding]:
    suffixes = PublicSuffixList()
    own, canonical = seen.place.host, seen.place.canonical
    if canonical and suffixes.privatesuffix(canonical) != suffixes.privatesuffix(own):
        fix = "Use A and AAAA records of your own edge, or the CDN's alias records: Safari keeps cookies 7 days only."
        yield Finding("bad", "dns", f"{own} is a CNAME to another party, {canonical}", fix)
    else:
        yield Finding("ok", "dns", f"{own} leads to {', '.join(seen.place.addresses)}")
    if not any(":" in address for address in seen.place.addresses):
        yield Finding(
            "note",
            "dns",
            "no IPv6 address",
            "Phones on IPv6 only need a translator; an AAAA record helps.",
        )
    if seen.page is not None:
        yield _neighbours(seen.place, seen.page)


def _neighbours(place: Place, page: Place) -> Finding:
    """Return whether page and collector share half of an address (IPv4 /16, IPv6 /64), as Safari compares them."""

    def halves(addresses: Sequence[str]) -> set[str]:
        networks = set()
        for address in addresses:
            version = ipaddress.ip_address(address).version
            network = ipaddress.ip_network(f"{address}/{16 if version == 4 else 64}", strict=False)
            networks.add(str(network))
        return networks

    if halves(place.addresses) & halves(page.addresses):
        return Finding("ok", "dns", f"{place.host} and {page.host} are neighbours: Safari keeps the cookie")
    fix = "Put both behind the same CDN or load balancer; otherwise Safari keeps the cookie 7 days."
    return Finding("bad", "dns", f"{place.host} and {page.host} have addresses of different halves", fix)


def _tls(seen: Seen) -> Iterator[Finding]:
    if seen.tls is None:
        fix = "Serve it by https://: the cookie is Secure, browsers drop it here."
        yield Finding("bad", "tls", "no TLS", fix)
        return
    if seen.tls.days_left < _LEAST_TLS_DAYS:
        left = f"the certificate ends in {seen.tls.days_left:.0f} days"
        yield Finding("bad", "tls", left, "Renew it, and find out why that did not happen automatically.")
    else:
        yield Finding("ok", "tls", f"{seen.tls.version}, certificate for {seen.tls.days_left:.0f} more days")
    if seen.tls.protocol != "h2":
        yield Finding("note", "tls", "no HTTP/2", "Switch it on at the edge: the page's connection is then shared.")
    if "h3" not in seen.first.headers.get("alt-svc", ""):
        yield Finding("note", "tls", "HTTP/3 is not offered (Alt-Svc)", "Switch it on at the edge where it has it.")
    if seen.plain is not None and seen.plain.status not in (301, 302, 307, 308):
        fix = "Redirect http:// to https://, or close port 80."
        yield Finding("bad", "tls", f"http:// answers {seen.plain.status} itself", fix)


def _cache(seen: Seen) -> Iterator[Finding]:
    held = seen.first.headers.get("cache-control", "")
    faults = []
    if "no-store" not in held:
        faults.append(f"Cache-Control is {held!r}")
    validators = ("age", "etag", "last-modified", "expires")
    faults += [f"{name.title()} is sent" for name in validators if seen.first.headers.get(name, "0") not in ("0", "-1")]
    for name in ("x-cache", "cf-cache-status", "x-cache-status"):
        state = seen.again.headers.get(name, "").lower()
        if "hit" in state or "stale" in state:
            faults.append(f"{name} is {state!r}")
    if faults:
        fix = "Let the edge cache only /t.js, and pass Cache-Control unchanged: cached hits are not counted."
        yield Finding("bad", "cache", "pixels can be cached: " + "; ".join(faults), fix)
    else:
        yield Finding("ok", "cache", "pixels are never cached")


def _cookie(seen: Seen) -> Iterator[Finding]:
    found = next((cookie for cookie in seen.first.cookies if cookie.startswith("_pid=")), "")
    if not found:
        fix = "Right for cookieless sites and before consent (this hit sent n=1); otherwise the edge drops Set-Cookie."
        yield Finding("note", "cookie", "no cookie _pid is set", fix)
        return
    parts = [part.strip() for part in found.split(";")]
    names = {part.partition("=")[0].lower(): part.partition("=")[2] for part in parts[1:]}
    wrong = [name for name in ("secure", "httponly") if name not in names]
    if names.get("samesite", "").lower() != "lax" or names.get("path") != "/":
        wrong.append("samesite=lax and path=/")
    if names.get("max-age") != str(_COOKIE_S):
        wrong.append(f"max-age={_COOKIE_S}")
    if wrong:
        fix = "A proxy changes Set-Cookie: let it pass unchanged."
        yield Finding("bad", "cookie", f"_pid lacks {', '.join(wrong)}", fix)
    back = next((cookie for cookie in seen.again.cookies if cookie.startswith("_pid=")), "")
    if back.partition(";")[0] != parts[0]:
        fix = "Pass _pid, _pcs and _pno to the collector; now every hit creates a new visitor."
        yield Finding("bad", "cookie", "the cookie is not recognised on the second hit", fix)
    elif not wrong:
        yield Finding("ok", "cookie", "_pid is set, and recognised on the second hit")


def _address(seen: Seen) -> Iterator[Finding]:
    found = seen.seen_as
    if found is None:
        fix = f"Let the edge pass {PATH} and the header {MARK}. Is this collector older than this doctor?"
        yield Finding("note", "address", "the collector does not return the address that it believes", fix)
        return
    believed = [
        name for name, answer in seen.forged.items() if answer and answer.address == truncate(FORGED, "truncate")
    ]
    if believed:
        fix = "Let the edge overwrite it; trust no network in PHAROS_COLLECTOR_TRUSTED_PROXIES but the edge's own."
        yield Finding("bad", "address", f"a forged address is believed, from {', '.join(believed)}", fix)
    broken = [name for name, answer in seen.forged.items() if answer and answer.source == "broken"]
    if broken and found.source == "header":
        fix = "Let the edge overwrite it: a visitor who sends it is stored with the proxy's address."
        yield Finding("bad", "address", f"a forged {', '.join(broken)} replaces the true address", fix)
    if fault := _foreign(seen, found):
        says, fix = fault
        yield Finding("bad", "address", f"every visitor has the address of a proxy: {says}", fix)
    elif not believed and not _ours(seen, found):
        fix = "Is that yours? Give --address YOURS to compare; behind a NAT the doctor does not know it."
        yield Finding("note", "address", f"we are seen in the network of {found.address}", fix)
    elif not believed and not broken:
        yield Finding(
            "ok",
            "address",
            f"ours is known ({found.address}, by the {found.source}), and no forged one is",
        )


def _foreign(seen: Seen, found: SeenAs) -> tuple[str, str] | None:
    """Return why the address is a proxy's, and the fix; None if it may be ours."""
    ours = _ours(seen, found)
    if found.source == "untrusted":
        return "it sends the client's address, and is not trusted", "Name it in PHAROS_COLLECTOR_TRUSTED_PROXIES."
    if found.source == "broken":
        return "its header holds no address", "Is PHAROS_COLLECTOR_CDN the one whose headers arrive?"
    if found.others:
        names = ", ".join(found.others)
        return (
            f"{names} holds another address than the one that the collector believes",
            "Let the proxy behind the CDN take the client's address from the CDN (deploy/edge/cdn).",
        )
    if found.source == "peer" and seen.url.startswith("https:") and not ours:
        return (
            "TLS ends before the collector, but no header carries the client's address",
            "Let the edge set X-Forwarded-For, and name it in PHAROS_COLLECTOR_TRUSTED_PROXIES.",
        )
    if ours is False:
        return (
            f"the collector sees {found.address} where we are",
            "Let every proxy pass the client's address on; docs/operations.md, The edge.",
        )
    return None


def _ours(seen: Seen, found: SeenAs) -> bool | None:
    """Return whether the address is one of ours; None if we know none of its family."""
    alike = {truncate(own, "truncate") for own in seen.own if (":" in own) == (":" in found.address)}
    return found.address in alike if alike else None


def _refusal(seen: Seen) -> Iterator[Finding]:
    verdict = seen.refused.headers.get("x-pharos", "")
    if seen.refused.status == 200 and verdict.startswith("refused"):
        yield Finding("ok", "refusals", f"an unknown site gets the pixel and the truth ({verdict})")
    else:
        fix = "The edge answers instead of the collector, or changes the query."
        yield Finding("bad", "refusals", f"an unknown site gets {seen.refused.status}, X-Pharos {verdict!r}", fix)


def _post(seen: Seen) -> Iterator[Finding]:
    if seen.posted.status == 202:
        yield Finding("ok", "tag's way", "POST /e is accepted")
    else:
        fix = "Let the edge pass POST with its body and its Content-Type."
        yield Finding("bad", "tag's way", f"POST /e answers {seen.posted.status}", fix)


def _cors(seen: Seen) -> Iterator[Finding]:
    allowed = seen.preflight_stranger.headers.get("access-control-allow-origin", "")
    if allowed == STRANGER and "access-control-allow-credentials" in seen.preflight_stranger.headers:
        fix = "Let no proxy add CORS headers: any page could act for your visitors."
        yield Finding("bad", "cors", "a stranger's origin is allowed with credentials", fix)
    else:
        yield Finding("ok", "cors", f"a stranger's origin gets {allowed or 'nothing'!r} without credentials")
    own = seen.preflight_own
    if own is not None:
        headers = own.headers
        right = headers.get("access-control-allow-origin") == seen.origin
        if right and headers.get("access-control-allow-credentials") == "true":
            yield Finding("ok", "cors", f"{seen.origin} is allowed with credentials")
        else:
            fix = "Is it among the site's `origins`? Does the edge pass OPTIONS and Origin?"
            yield Finding("bad", "cors", f"{seen.origin} is not allowed with credentials", fix)


def _tag(seen: Seen) -> Iterator[Finding]:
    if seen.tag.status != 200:
        yield Finding("bad", "tag", f"/t.js answers {seen.tag.status}", "Let the edge pass it.")
    elif "max-age" not in seen.tag.headers.get("cache-control", "") or seen.tag_again.status != 304:
        fix = "Pass Cache-Control and ETag of /t.js to the browser, and If-None-Match to the collector."
        yield Finding("bad", "tag", "/t.js is not cached by browsers", fix)
    else:
        yield Finding("ok", "tag", "/t.js is cached, and checked by its ETag")


def _clock(seen: Seen) -> Iterator[Finding]:
    try:
        skew = parsedate_to_datetime(seen.first.headers["date"]).timestamp() - seen.first.at
    except (KeyError, ValueError):
        yield Finding("note", "clock", "no usable Date header")
        return
    if abs(skew) > _MOST_SKEW_S:
        fix = "Correct the clocks (NTP): events with a time of their own are refused by them."
        yield Finding("bad", "clock", f"the collector's clock and ours are {abs(skew):.0f} s apart", fix)
    else:
        yield Finding("ok", "clock", "the clocks agree")


def _hidden(seen: Seen) -> Iterator[Finding]:
    open_paths = [path for path, answer in seen.hidden.items() if answer.status == 200]
    if open_paths:
        fix = "The edge also leads to the admin port: close 9100 to 9102 to the public."
        yield Finding("bad", "admin", f"{', '.join(open_paths)} can be read by anyone", fix)
    else:
        yield Finding("ok", "admin", "health and metrics are not public")
