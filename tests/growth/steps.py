"""How the cost of each text step of a hit grows with its text, for texts made to be slow.

Each step gets texts of SHORT and of LONG characters, made of one filler that a pattern of the step is made of. Linear
work costs FACTOR times as much for the long text; quadratic work costs FACTOR squared. The table shows the slowest
filler of each step, by its growth and by its milliseconds.
"""

import time
from collections.abc import Callable
from functools import cache
from typing import Final, NamedTuple

import msgspec

from collector.contract import Hit, Kind
from collector.http.fast_path import FastPath
from collector.http.framing import body_bytes, may_grow
from collector.http.target import plain
from collector.policy import client_address, cookies, events_body, links, percent, sites
from collector.policy.client import NO_CLIENT
from collector.policy.ids import Ids
from collector.policy.outcome import Sent
from collector.policy.ruleset import Ruleset
from enricher import tables
from enricher.rules.json_body import NotAnEvent, decode_usable
from enricher.rules.language import primary
from enricher.rules.redaction import mask_email, mask_parameters
from enricher.rules.sent_fields import milliseconds, tidy_title
from enricher.rules.url import BadUrl, clean, decode, pairs
from enricher.rules.user_agent import Hints

SHORT: Final = 512
LONG: Final = 8192
"""The longest field that the collector accepts, and the longest request line."""
FACTOR: Final = LONG // SHORT
MOST_GROWTH: Final = 5 * FACTOR
"""Between linear (FACTOR) and quadratic (FACTOR squared). Fixed costs make linear work grow by less than FACTOR."""
_RUNS: Final = 3
SENT: Final = Sent(NO_CLIENT, b"", cookies.NONE, "203.0.113.9")
PROXIES: Final = client_address.Trusted(["127.0.0.0/8"])

FILLERS: Final = (
    "a", "A", "1", "é", ".", "-", "_", "@", "a@", "@a.", "a@b.", "a@b.co", "a.", "+a", "'", "!", "{", "%",
    "%4", "%40", "%2540", "%25", "%252540", "%89", "%8", "B2%", "%2B", "%252B", "%2E", "a%2E", "=", "&", "a=",
    "&a=", "?a=", "#a=", ";a=", "token=", "&token=", "%3D", "%26", "%3F", "%3Fa%3D", "%26token%3Da",
    "%253Dtoken", "amp;", "&amp;a=b", "/", "//", "/a", "\\", ":", "[", "]", "[]", "(", ")", '"', '" ',
    '"a";v="1", ', '"a" ; v="', " ", "\t", "; ", ", ", "de;q=0", "en-", ";q", "Android ", "Android; a ",
    "Mozilla/5.0 (", "bot ", "compatible; ", "Chrome/1 ", "KHTML, like Gecko ", "TV-", "select from ", "../",
    "${", "{{", "xn--", "0", "1e", "0.1", "T", "2026-", "shop", "utm_source=a&", "x.a=b&", "\x00", "\u200b",
    "😀", "%F0%9F%98%80", "\n",
)  # fmt: skip


class Growth(NamedTuple):
    """The cost of one step for one filler."""

    step: str
    filler: str
    short_s: float
    long_s: float

    @property
    def factor(self) -> float:
        return self.long_s / max(self.short_s, 20e-6)  # less than that is the clock's own noise


def _quiet(step: Callable[[str], object]) -> Callable[[str], object]:
    def run(text: str) -> object:
        try:
            return step(text)
        except (BadUrl, NotAnEvent, UnicodeError):
            return None

    return run


def _posted(name: str, text: str) -> bytes:
    return msgspec.json.encode({"site": "shop", name: text})


def _collector_steps() -> dict[str, Callable[[str], object]]:
    """Return the steps of the collector: parts, and whole requests on the fast path."""
    fast = FastPath(Ruleset(sites.parse(b"[sites.shop]")), Ids(bytes))
    fast.tick(1_795_334_400_123)

    def request(before: bytes, after: bytes = b"") -> Callable[[str], object]:
        return lambda text: fast.decide(before + text.encode() + after + b"\r\n\r\n", b"", "203.0.113.9")

    def pixel(parameter: str) -> Callable[[str], object]:
        return lambda text: fast.outcomes.pixel("pixel", f"s=shop&{parameter}{text}", SENT)

    def post(name: str) -> Callable[[str], object]:
        return lambda text: fast.outcomes.post(_posted(name, text), "", SENT)

    def properties(text: str) -> object:
        props = {text[at : at + 8]: text for at in range(0, 256, 8)}
        return fast.outcomes.post(msgspec.json.encode({"site": "shop", "props": props}), "", SENT)

    get, lines = b"GET /p.gif?s=shop&", b" HTTP/1.1\r\nHost: a\r\n"
    return {
        "collector, query": pixel(""),
        "collector, page": pixel("u="),
        "collector, user id": pixel("uid="),
        "collector, value": pixel("v="),
        "collector, time": pixel("ts="),
        "collector, property": pixel("x."),
        "collector, page in a body": post("url"),
        "collector, user id in a body": post("user_id"),
        "collector, value in a body": post("value"),
        "collector, time in a body": post("time"),
        "collector, name in a body": post("event"),
        "collector, unusable body": lambda text: events_body.repaired(text.encode() + b"\xff"),
        "collector, escapes in a body": lambda text: events_body.repaired(text.replace("a", "\\ud83d").encode()),
        "collector, body": lambda text: fast.outcomes.post(text.encode(), "", SENT),
        "collector, properties": properties,
        "collector, cookies": cookies.read,
        "collector, forwarded": lambda text: client_address.client_address("127.0.0.1", text, PROXIES),
        "collector, first address": client_address.first_address,
        "collector, signed link": lambda text: links.verify(f"s=shop&k=0&u={text}", (b"key",)),
        "collector, link's parameters": links.passed_on,
        "collector, destination": links.wrong_with,
        "collector, unescaped": percent.decoded,
        "collector, request line": request(get, lines),
        "collector, title on the line": request(get + b"t=", lines),
        "collector, page on the line": request(get + b"u=https://", lines),
        "collector, click": request(b"GET /c/", lines),
        "collector, user agent": request(get + lines + b"User-Agent: "),
        "collector, cookie": request(get + lines + b"Cookie: "),
        "collector, referer": request(get + lines + b"Referer: "),
        "collector, header": request(get + lines),
        "collector, target": lambda text: plain(get + text.encode()[:LONG] + lines),
        "collector, framing": lambda text: body_bytes(b"POST /e HTTP/1.1\r\n" + text.encode() + b"\r\n\r\n"),
        "collector, part of a head": lambda text: may_grow(b"GET /" + text.encode()),
    }


@cache
def steps() -> dict[str, Callable[[str], object]]:
    """Return each step as a function of a text; no result is cached, but those of addresses."""
    enricher = tables.load_enricher(remember=False)
    agents, robots, mail = tables.load_user_agents(), tables.load_bots(), tables.load_mail()
    referrers = tables.load_referrers(tables.load_hosts())
    campaigns, channels = tables.load_campaigns(referrers), tables.load_channels()
    plain = Hit(id="019aa0b1c2d37e4f8a9bacbdcedfe0f1", at=1_795_334_400_123, kind="pixel", site="shop")

    def whole(kind: Kind, field: str, before: str = "") -> Callable[[str], object]:
        def run(text: str) -> object:
            value = text if field != "body" else msgspec.json.encode({before: text}).decode()
            hit = {"kind": kind, field: before + value if field == "query" else value}
            return enricher.enrich(msgspec.structs.replace(plain, **hit))

        return run

    found: dict[str, Callable[[str], object]] = {
        "mask_email": mask_email,
        "mask_parameters": mask_parameters,
        "decode": decode,
        "pairs": pairs,
        "clean": lambda text: clean("https://shop.example/" + text),
        "clean, of the host": lambda text: clean("https://" + text),
        "clean, of the query": lambda text: clean("https://shop.example/?" + text),
        "title": tidy_title,
        "time": milliseconds,
        "language": primary,
        "referrer": referrers.classify,
        "source": lambda text: campaigns.normal("source", text),
        "campaign": lambda text: campaigns.read(
            (("utm_source", text[: len(text) // 2]), ("utm_campaign", text[len(text) // 2 :]))
        ),
        "channel": lambda text: channels.of(text[:512], "other", text[:512], text[:512]),
        "bots": robots.reason,
        "mail": lambda text: mail.opened_by(text, ""),
        "user agent": agents.parse,
        "brands": lambda text: agents.parse("", Hints(text, "", "")),
        "unusable body": lambda text: decode_usable('{"event":1,"title":"' + text.replace('"', "").replace("\\", "")),
        "hit, query": whole("pixel", "query"),
        "hit, page": whole("pixel", "query", "u=https://shop.example/?"),
        "hit, mail": whole("open", "query", "m="),
        "hit, title": whole("tag", "body", "title"),
        "hit, page in a body": whole("tag", "body", "url"),
        "hit, user agent": whole("pixel", "user_agent"),
        "hit, referer": whole("pixel", "referer"),
        "hit, language": whole("pixel", "accept_language"),
        "hit, brands": whole("pixel", "sec_ch_ua"),
    }
    return {name: _quiet(step) for name, step in (found | _collector_steps()).items()}


def _cost(step: Callable[[str], object], text: str) -> float:
    best = 1e9
    for _ in range(_RUNS):
        began = time.thread_time()
        step(text)
        best = min(best, time.thread_time() - began)
    return best


def growths(step: str) -> list[Growth]:
    """Measure a step with every filler."""
    run = steps()[step]

    def of(filler: str, size: int) -> float:
        return _cost(run, (filler * size)[:size])

    return [Growth(step, filler, of(filler, SHORT), of(filler, LONG)) for filler in FILLERS]
