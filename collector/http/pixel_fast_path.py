"""Pure, but for its memory: the fast lane's decision of one pixel request, as bytes ready to be written and answered.

Rule: request.py decides. Here its answers are remembered in the shape "this site, this consent, these signals", with
the visitor's id left open, so that a hit costs a few lookups and two joins. Whatever does not fit the shape gives None:
the full lane answers then, and a differential test holds both to the same words. Over 250 lines, and `decide` one long
function: each call it would be cut into costs what a tenth of a hit may cost.
"""

import re
from binascii import unhexlify
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Final, Literal

from collector.contract import HIT_VERSION, Kind
from collector.http import pixel
from collector.http.header_block import Heads, json_text
from collector.http.ids import Ids
from collector.policy.client_address import believed, client_address, truncate
from collector.policy.consent import identify
from collector.policy.query import judge
from collector.policy.refusal import Refusal
from collector.policy.ruleset import Ruleset

_OPEN: Final = "0123456789abcdef" * 2
"""Stands for the visitor's id while an answer is remembered."""

_START: Final = re.compile(rb"(GET|HEAD) /([po])\.gif\?([!$-\[\]-~]*) HTTP/1\.1")
_REFERER: Final = re.compile(rb"[!#-\[\]-~]+")
_COOKIES: Final = re.compile(rb"[!-~](?:[ -~]*[!-~])?")
_OURS: Final = re.compile(rb"(?:\A|; )_(pid=[0-9a-f]{32}|pcs=[01])(?=;|\Z)")
_FORWARDED: Final = re.compile(rb"[0-9a-fA-F:.,\[\] ]+")
_PLAIN: Final = re.compile(
    rb"s=([a-z0-9_.-]{1,64})"
    rb"(?:&(?:[urt]=[!$%'-\[\]-~]*|e=[A-Za-z0-9_.:-]{1,64}|id=[A-Za-z0-9_.:-]{1,64}"
    rb"|v=[0-9]{1,9}(?:\.[0-9]{1,2})?|c=[A-Z]{3}))*"
    rb"(?:&n=([01]))?"
)
"""Queries that `judge` surely takes, with the site and the consent parameter that it would read."""
_CR: Final = 13
_VARYING: Final = (b"&ts=", b"&id=")
"""Fields of which nearly every hit has another value: such a request line is not worth remembering."""

_MOST_REMEMBERED: Final = 4096
_LONGEST_REMEMBERED: Final = 1024

Policy = Literal["truncate", "full", "none"]


@dataclass
class Shape:
    """What all hits of one site, consent and set of signals share."""

    site: str
    result: str
    """The metric's label: `accepted`, or the refusal's reason."""
    recorded: bool
    needs: str
    """Where the visitor's id comes from: `sent`, `fresh`, `cookieless` or, where there is none, empty."""
    ip_policy: Policy
    who_json: bytes
    """What stands before the visitor's id at the record's end."""
    end_json: bytes
    """What stands after it."""
    before: bytes
    """The answer's head up to the visitor's id; up to the Date, where there is no id in it."""
    after: bytes
    """The answer's head from the id to the Date; empty where there is no id in it."""
    second: int = -1
    ending: bytes = b""
    """In this `second`: the answer after the id, or all of it, with the GIF."""
    places: dict[str, bytes] = field(default_factory=dict)
    """The address's part of the record and `who_json`, by the connection's peer."""
    hits: int = 0
    """Decided, and not yet told to the tally."""


@dataclass(frozen=True)
class Asked:
    """What a request line asks for."""

    kind: Kind
    site: str
    consent: str
    has_body: bool
    """False for HEAD."""
    json: bytes
    """Of the record, from `kind` to the query, whose closing quote comes next."""
    shapes: dict[int, Shape]
    """By signals and cookies; shared by all request lines of one kind, site and consent."""
    refusal: Refusal | None = None
    """Then `shapes` stays empty."""


Decision = tuple[bytes | None, Shape, bytes]
"""The record's bytes (None: nothing to record), the shape, the whole answer."""


class Shortcut:
    """Decides the pixel requests of one worker; made anew when the ruleset changes. `tick` tells it the time."""

    def __init__(self, ruleset: Ruleset, ids: Ids) -> None:
        self.ruleset: Final = ruleset
        self._closed = False
        self._ids: Final = ids
        self._heads: Final = Heads(ruleset.forwarded_header, ruleset.geo_headers)
        name = ruleset.forwarded_header.encode()
        self._forwarded_names: Final = (b"\r\n%b: " % name.title(), b"\r\n%b: " % name) if ruleset.trusted else ()
        self._asked: Final[dict[bytes, Asked]] = {}
        self._shapes: Final[dict[tuple[Kind, str, str], dict[int, Shape]]] = {}
        self._referers: Final[dict[bytes, bytes]] = {}
        self._refused: Final[dict[Refusal, Shape]] = {}
        self._places: Final[dict[tuple[str, str, Policy], bytes]] = {}
        self._now_ms = self._second = -1
        self._id_json = self._at_json = self._tail = self._bare_tail = b""

    def close(self) -> None:
        """Send everything the full way from now on."""
        self._closed = True
        self._asked.clear()

    def tick(self, now_ms: int) -> None:
        """Set the time of the requests that follow, in epoch milliseconds."""
        self._now_ms = now_ms
        self._id_json = b'{"v":%d,"id":"%012x7' % (HIT_VERSION, now_ms)
        self._at_json = b'","at":%d' % now_ms
        if now_ms // 1000 != self._second:
            self._second = now_ms // 1000
            self._bare_tail = b"Date: %b\r\n\r\n" % formatdate(self._second, usegmt=True).encode()
            self._tail = self._bare_tail + pixel.GIF

    def decide(self, head: bytes, peer: str) -> Decision | None:
        """Decide what ends with an empty line and came from `peer`; None: the full lane must see it.

        Where it decides, `head` is exactly one request: no line before the last is empty.
        """
        end = head.find(b"\r")  # a search for one byte is fast; that "\n" follows is looked at in `rest`
        asked = self._asked.get(head[:end])
        if asked is None:
            asked = None if self._closed else self._ask(head[:end])
            if asked is None:
                return None

        # Lines that differ from visitor to visitor are cut out; the block of the others is mostly known.
        find = head.find
        at = find(b"\r\nReferer: ", end)
        if at < 0:
            at = find(b"\r\nreferer: ", end)
        if at >= 0:
            stop = find(b"\r\n", at + 11)
            referer = head[at + 11 : stop]
            referer_json = self._referers.get(referer)
            if referer_json is None:
                referer_json = self._refer(referer)
                if not referer_json:
                    return None
        else:
            referer_json = b""
            at = stop = end
        visitor = b""
        state = 0
        here = find(b"\r\nCookie: ", end)
        if here < 0:
            here = find(b"\r\ncookie: ", end)
        if here >= 0:
            there = here + 47  # where the line ends, if all it has is `_pid=` and 32 digits
            visitor = head[here + 15 : there]
            alone = there < len(head) and head[there] == _CR and head[here + 10 : here + 15] == b"_pid="
            if alone and _is_id(visitor):
                state = 4
            else:
                there = find(b"\r\n", here + 10)
                read = _read_cookies(head[here + 10 : there])
                if read is None:
                    return None
                visitor, state = read
            if here >= stop:
                rest = b"".join((head[end:at], head[stop:here], head[there:]))
            else:
                rest = b"".join((head[end:here], head[there:at], head[stop:]))
        else:
            rest = head[end:at] + head[stop:]
        forwarded = ""
        for name in self._forwarded_names:
            at = rest.find(name)
            if at >= 0:
                stop = rest.find(b"\r\n", at + len(name))
                sent = rest[at + len(name) : stop]
                if _FORWARDED.fullmatch(sent) is None:
                    return None
                forwarded = sent.decode("ascii")
                rest = rest[:at] + rest[stop:]
                break
        fields = self._heads.blocks.get(rest)
        if fields is None:
            fields = self._heads.read(rest)
            if fields is None:
                return None
        if fields.placed and not believed(peer, self.ruleset.trusted):
            return None  # the full lane leaves the place out

        shape = asked.shapes.get(state + fields.signals)
        if shape is None:
            shape = self._shape(asked, state, fields.signals)
        place_json = None if forwarded else shape.places.get(peer)
        if place_json is None:
            ip_json = self._place(peer, forwarded, shape.ip_policy)
            if ip_json is None:
                return None
            place_json = ip_json + shape.who_json
            if not forwarded:
                if len(shape.places) >= _MOST_REMEMBERED:
                    shape.places.clear()
                shape.places[peer] = place_json

        needs = shape.needs
        if needs != "sent":
            if needs == "fresh":
                visitor = self._ids.visitor_digits()
            elif needs == "cookieless":
                address = client_address(peer, forwarded, self.ruleset.trusted).ip
                visitor = self.ruleset.cookieless(shape.site, address, fields.user_agent).encode()
            else:
                visitor = b""
        shape.hits += 1
        if shape.second != self._second:
            shape.second = self._second
            shape.ending = (shape.after or shape.before) + self._tail
        if not asked.has_body:
            answer = b"".join((shape.before, visitor if shape.after else b"", shape.after, self._bare_tail))
        elif shape.after:
            answer = b"".join((shape.before, visitor, shape.ending))
        else:
            answer = shape.ending
        if not shape.recorded:
            return None, shape, answer
        payload = b"".join(
            (
                self._id_json,
                self._ids.tail(),
                self._at_json,
                asked.json,
                fields.agent_json,
                referer_json,
                fields.rest_json,
                place_json,
                visitor,
                shape.end_json,
            )
        )
        return payload, shape, answer

    def _ask(self, line: bytes) -> Asked | None:
        """Read a request line that is not remembered; None: the full lane must."""
        found = _START.fullmatch(line)
        if found is None:
            return None
        method, letter, query = found.groups()
        plain = _PLAIN.fullmatch(query)
        if plain is not None:
            site, consent = (text.decode("ascii") for text in plain.groups(b""))
        elif b"uid" in query:
            return None  # it may have to be left out of the record
        else:
            judged = judge(query.decode("ascii"), self.ruleset.sites, self._now_ms, self.ruleset.back_ms)
            if isinstance(judged, Refusal):
                return Asked("pixel", "", "", method == b"GET", b"", {}, judged)
            site, consent = judged.site, judged.consent
        if site not in self.ruleset.sites:
            return Asked("pixel", "", "", method == b"GET", b"", {}, Refusal.UNKNOWN_SITE)
        if consent not in ("", "0", "1"):
            return None  # shapes are remembered by it: only of these there is an end
        kind: Kind = "pixel" if letter == b"p" else "open"
        json = b',"kind":"%b","site":"%b","query":"%b' % (kind.encode(), site.encode(), query)
        shapes = self._shapes.setdefault((kind, site, consent), {})
        asked = Asked(kind, site, consent, method == b"GET", json, shapes)
        if len(line) <= _LONGEST_REMEMBERED and plain is not None and not any(name in query for name in _VARYING):
            if len(self._asked) >= _MOST_REMEMBERED:
                self._asked.clear()
            self._asked[line] = asked
        return asked

    def _refer(self, referer: bytes) -> bytes:
        """Return a Referer's part of the record; empty where the full lane must read it."""
        if _REFERER.fullmatch(referer) is None:
            return b""
        json = b',"referer":"%b"' % referer
        if len(referer) <= _LONGEST_REMEMBERED:
            if len(self._referers) >= _MOST_REMEMBERED:
                self._referers.clear()
            self._referers[referer] = json
        return json

    def _place(self, peer: str, forwarded: str, policy: Policy) -> bytes | None:
        """Return the address's part of the record; None where a header is not to be believed, which is counted."""
        address = client_address(peer, forwarded, self.ruleset.trusted)
        if address.fault:
            return None
        ip = truncate(address.ip, policy)
        ip_json = b',"ip":' + json_text(ip.encode()) if ip else b""
        if len(self._places) >= _MOST_REMEMBERED:
            self._places.clear()
        self._places[peer, forwarded, policy] = ip_json
        return ip_json

    def _refuse(self, refusal: Refusal) -> Shape:
        shape = self._refused.get(refusal)
        if shape is None:
            before = answer_head(f"refused; {refusal}", ())
            shape = Shape("", refusal.value, False, "", "none", b"", b"", before, b"")
            self._refused[refusal] = shape
        return shape

    def _shape(self, asked: Asked, state: int, signals: int) -> Shape:
        """Have `identify` decide with the visitor's id left open, and remember it."""
        if asked.refusal is not None:
            return self._refuse(asked.refusal)
        policy = self.ruleset.sites[asked.site]
        has_id = bool(state & 4)
        remembered = {0: "", 8: "0", 16: "1"}[state & 24]
        sent = [f"_pid={_OPEN}"] * has_id + [f"_pcs={remembered}"] * bool(remembered)
        hashed: list[str] = []

        def cookieless() -> str:
            hashed.append(_OPEN)
            return _OPEN

        who = identify(
            policy,
            cookies="; ".join(sent),
            gpc=bool(signals & 1),
            dnt=bool(signals & 2),
            consent_param=asked.consent,
            fresh_id=_OPEN,
            domain=self.ruleset.domain,
            cookieless=cookieless,
        )
        needs = ""
        if who.visitor_id:
            needs = "cookieless" if hashed else "sent" if has_id else "fresh"
        verdict = "accepted" if who.recorded else f"refused; {who.refusal}"
        before, _, after = answer_head(verdict, who.set_cookies).partition(_OPEN.encode())
        tail = f',"visitor_kind":"{who.visitor_kind}"' if who.visitor_kind != "none" else ""
        tail += f',"consent":"{who.consent}"' if who.consent != "unknown" else ""
        shape = asked.shapes[state + signals] = Shape(
            site=asked.site,
            result="accepted" if who.recorded else who.refusal,
            recorded=who.recorded,
            needs=needs,
            ip_policy=policy.ip,
            who_json=b',"visitor_id":"' if needs else b"",
            end_json=(('"' if needs else "") + tail + "}").encode(),
            before=before,
            after=after,
        )
        return shape

    def told(self) -> list[tuple[str, str, int]]:
        """Return and forget (site, result, hits) since the last call."""
        counts = []
        for shape in (
            *(shape for shapes in self._shapes.values() for shape in shapes.values()),
            *self._refused.values(),
        ):
            if shape.hits:
                counts.append((shape.site, shape.result, shape.hits))
                shape.hits = 0
        return counts


def _is_id(text: bytes) -> bool:
    """Tell whether these 32 bytes are lower-case hex. Also false for the rare ones without a letter: the cookie is then
    read the slow way."""
    if not text.islower():
        return False
    try:
        unhexlify(text)
    except ValueError:
        return False
    return True


def _read_cookies(cookies: bytes) -> tuple[bytes, int] | None:
    """Return the visitor's id and the state of our cookies: 4 has an id, 8 consent refused, 16 given; None: odd."""
    if _COOKIES.fullmatch(cookies) is None:
        return None
    ours = _OURS.findall(cookies)
    if cookies.count(b"_p") != len(ours):
        return None
    visitor = remembered = b""
    for cookie in ours:
        if cookie[:4] == b"pid=" and not visitor:
            visitor = cookie[4:]
        elif cookie[:4] == b"pcs=" and not remembered:
            remembered = cookie[4:]
        else:
            return None
    return visitor, (4 if visitor else 0) + {b"": 0, b"0": 8, b"1": 16}[remembered]


def answer_head(
    verdict: str,
    set_cookies: tuple[str, ...],
    status: str = "200 OK",
    body: bytes = pixel.GIF,
    content_type: str = "image/gif",
) -> bytes:
    """Return a counted answer's head up to the Date, as the full lane would give it."""
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in pixel.COUNTED_HEADERS.items())]
    lines += [f"X-Pharos: {verdict}", f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    lines += [f"Set-Cookie: {cookie}" for cookie in set_cookies]
    return "\r\n".join((*lines, "")).encode()


def unavailable(request_id: str) -> bytes:
    """Return the whole answer to a hit that the spool does not take."""
    head = answer_head(f"refused; {Refusal.SPOOL}", (), "503 Service Unavailable", b"", "text/plain")
    date = formatdate(usegmt=True)
    retry = f"Retry-After: {pixel.RETRY_AFTER_S}\r\nX-Request-Id: {request_id}\r\n"
    return head + f"{retry}Date: {date}\r\n\r\n".encode()
