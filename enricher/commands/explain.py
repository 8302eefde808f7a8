"""`python -m enricher explain`: shows the row that a hit becomes.

JSON lines in, with any of `url`, `referrer`, `user_agent`, `headers`, `query`, `event`, `site`; JSON lines out.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Final
from urllib.parse import quote

import msgspec
import orjson

from collector.contract import Hit, Kind
from collector.contract.hit import PURPOSE_HEADERS
from enricher.contract import COLUMNS
from enricher.rules.sent_fields import Refusal

_HEADERS: Final = {
    "user-agent": "user_agent",
    "referer": "referer",
    "accept-language": "accept_language",
    "sec-ch-ua": "sec_ch_ua",
    "sec-ch-ua-mobile": "sec_ch_ua_mobile",
    "sec-ch-ua-platform": "sec_ch_ua_platform",
    **dict.fromkeys(PURPOSE_HEADERS, "purpose"),
    "cloudfront-viewer-country": "geo_country",
    "cloudfront-viewer-country-region": "geo_region",
    "cloudfront-viewer-city": "geo_city",
    "cf-ipcountry": "geo_country",
    "cf-region-code": "geo_region",
    "cf-ipcity": "geo_city",
    "x-geo-country": "geo_country",
    "x-geo-region": "geo_region",
    "x-geo-city": "geo_city",
}
"""Field of a Hit by header; the place as the collector's presets of CDNs have it (`x-geo-`: Fastly, Akamai)."""
EXAMPLE_ID: Final = "019aa0b1c2d37e4f8a9bacbdcedfe0f1"
EXAMPLE_MS: Final = 1_795_334_400_123


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input line: the parts of a hit that matter for the question."""

    url: str = ""
    referrer: str = ""
    user_agent: str = ""
    headers: dict[str, str] = {}
    query: str = ""
    """A pixel's query string, percent-encoded; `url`, `referrer` and `event` are added to it."""
    event: str = ""
    site: str = "example"
    kind: Kind = "pixel"
    ip: str = ""


def to_hit(question: Question) -> Hit:
    """Return the hit of the question."""
    fields = {"user_agent": question.user_agent} if question.user_agent else {}
    for name, value in question.headers.items():
        if name.lower() in _HEADERS:
            fields.setdefault(_HEADERS[name.lower()], value)
    said = {"event": question.event, "url": question.url, "referrer": question.referrer}
    in_query = question.kind in {"pixel", "open"}
    query = question.query
    if in_query:
        query = "&".join(
            [query, *(f"{short}={quote(said[name], safe='')}" for short, name in _SHORT.items() if said[name])]
        ).strip("&")
    body = "" if in_query else orjson.dumps({name: value for name, value in said.items() if value}).decode()
    plain = Hit(
        id=EXAMPLE_ID, at=EXAMPLE_MS, kind=question.kind, site=question.site, query=query, body=body, ip=question.ip
    )
    return msgspec.structs.replace(plain, **fields)


_SHORT: Final = {"e": "event", "u": "url", "r": "referrer"}


def answers(lines: Iterable[bytes], enrich: Callable[[Hit], bytes | Refusal]) -> Iterator[bytes]:
    """Yield a JSON line for each line that is not blank: the Event, or `{"dead": REASON, "detail": ...}`.

    Raises:
        ValueError: a line that is no question; the message has its number.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            question = msgspec.json.decode(line, type=Question)
        except msgspec.DecodeError as error:
            raise ValueError(f"line {number}: {error}") from error
        judged = enrich(to_hit(question))
        if isinstance(judged, Refusal):
            yield orjson.dumps({"dead": judged.reason, "detail": judged.detail})
        else:
            yield orjson.dumps(dict(zip(COLUMNS, orjson.loads(judged), strict=True)))


def main(enrich: Callable[[Hit], bytes | Refusal]) -> int:
    """Answer standard input on standard output; 1 for a line that is no question."""
    try:
        for answer in answers(sys.stdin.buffer, enrich):
            sys.stdout.buffer.write(answer + b"\n")
            sys.stdout.buffer.flush()
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0
