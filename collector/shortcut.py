"""Pure, but for its memory: the fast lane's decision of one pixel request, as bytes ready to be written and answered.

Rule: request.py decides. Here its answers are remembered in the shape "this site, this consent, these signals", with
the visitor's id left open, so that a hit costs a few lookups and two joins. Whatever does not fit the shape gives None:
the full lane answers then, and a differential test holds both to the same words.
"""

import re
from email.utils import formatdate
from typing import Final, Literal

import msgspec

from collector import pixel
from collector.client_ip import client_address, truncate
from collector.contract import HIT_VERSION, Kind
from collector.head import Heads, json_text
from collector.identity import identify
from collector.ids import Ids
from collector.refusal import Refusal
from collector.request import Door, judge

_OPEN: Final = "0123456789abcdef" * 2
"""Stands for the visitor's id while an answer is remembered."""

_WAYS: Final[dict[bytes, tuple[Kind, int, bool]]] = {
    b"GET /p.gif?": ("pixel", 11, True),
    b"GET /o.gif?": ("open", 11, True),
    b"HEAD /p.gif": ("pixel", 12, False),
    b"HEAD /o.gif": ("open", 12, False),
}
"""First eleven bytes of a request that is ours: kind, where the query begins, whether the answer has a body."""

_QUERY: Final = re.compile(rb"[!$-\[\]-~]*")
_REFERER: Final = re.compile(rb"[!#-\[\]-~]+")
_COOKIES: Final = re.compile(rb"[!-~](?:[ -~]*[!-~])?")
_ONLY_OURS: Final = re.compile(rb"_pid=[0-9a-f]{32}")
_OURS: Final = re.compile(rb"(?:\A|; )_(pid=[0-9a-f]{32}|pcs=[01])(?=;|\Z)")
_FORWARDED: Final = re.compile(rb"[0-9a-fA-F:.,\[\] ]+")
_PLAIN: Final = re.compile(
    rb"s=([a-z0-9_.-]{1,64})"
    rb"(?:&(?:[urt]=[!$%'-\[\]-~]*|e=[A-Za-z0-9_.:-]{1,64}|id=[A-Za-z0-9_.:-]{1,64}"
    rb"|v=[0-9]{1,9}(?:\.[0-9]{1,2})?|c=[A-Z]{3}))*"
    rb"(?:&n=([01]))?"
)
"""Queries that `judge` surely takes, with the site and the consent parameter that it would read."""

_MOST_REMEMBERED: Final = 4096

Policy = Literal["truncate", "full", "none"]


class Shape(msgspec.Struct):
    """What all hits of one site, consent and set of signals share."""

    site: str
    result: str
    """The metric's label: `accepted`, or the refusal's reason."""
    needs: str
    """Where the visitor's id comes from: `sent`, `fresh`, `cookieless` or, where there is none, empty."""
    ip_policy: Policy
    site_json: bytes
    """Of the record, from `kind` to the query's opening quote; empty for a hit that is not recorded."""
    who_json: tuple[bytes, bytes]
    """What stands before and after the visitor's id at the record's end."""
    answer: tuple[bytes, bytes]
    """What stands before and after the visitor's id in the answer's head, up to the Date; one part: no id in it."""
    hits: int = 0
    """Decided, and not yet told to the tally."""


Decision = tuple[bytes | None, Shape, bytes]
"""The record's bytes (None: nothing to record), the shape, the whole answer."""


class Shortcut:
    """Decides the pixel requests of one worker; made anew when the door changes."""

    def __init__(self, door: Door, ids: Ids) -> None:
        self.door: Final = door
        self.shapes: Final[dict[tuple[bytes, bytes, bytes, bool, int, bytes], Shape]] = {}
        self._ids: Final = ids
        self._heads: Final = Heads(door.forwarded_header, door.geo_headers)
        name = door.forwarded_header.encode()
        self._forwarded_names: Final = (b"\r\n%b: " % name.title(), b"\r\n%b: " % name) if door.trusted else ()
        self._refused: Final[dict[Refusal, Shape]] = {}
        self._places: dict[tuple[str, str, Policy], bytes] = {}
        self._ms = self._second = -1
        self._id_json = self._at_json = self._tail = self._bare_tail = b""

    def decide(self, head: bytes, peer: str, now_ms: int) -> Decision | None:
        """Decide a request head that ends with its first empty line; None: the full lane must see it."""
        way = _WAYS.get(head[:11])
        if way is None:
            return None
        kind, start, has_body = way
        find = head.find
        end = find(b" HTTP/1.1\r\n", start)
        if end < 0 or (start == 12 and head[11] != 63):
            return None
        query = head[start:end]

        # Lines that differ from visitor to visitor are cut out; the block of the others is mostly known.
        first = end + 9
        referer = cookies = b""
        at = find(b"\r\nReferer: ", first)
        if at < 0:
            at = find(b"\r\nreferer: ", first)
        if at >= 0:
            stop = find(b"\r\n", at + 11)
            referer = head[at + 11 : stop]
            if _REFERER.fullmatch(referer) is None:
                return None
            rest = head[first:at] + head[stop:]
        else:
            rest = head[first:]
        at = rest.find(b"\r\nCookie: ")
        if at < 0:
            at = rest.find(b"\r\ncookie: ")
        if at >= 0:
            stop = rest.find(b"\r\n", at + 10)
            cookies = rest[at + 10 : stop]
            rest = rest[:at] + rest[stop:]
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
        fields = self._heads.read(rest[2:-2])
        if fields is None or fields.special or fields.forwarded:
            return None

        plain = _PLAIN.fullmatch(query)
        if plain is not None:
            site, consent = plain.groups(b"")
        else:
            if _QUERY.fullmatch(query) is None or b"uid" in query:
                return None
            asked = judge(query.decode("ascii"), self.door.sites, now_ms, self.door.back_ms)
            if isinstance(asked, Refusal):
                return self._refuse(asked, has_body, now_ms)
            site, consent = asked.site.encode(), asked.consent.encode()

        visitor = remembered = b""
        if cookies:
            if _ONLY_OURS.fullmatch(cookies) is not None:
                visitor = cookies[5:]
            else:
                if _COOKIES.fullmatch(cookies) is None:
                    return None
                ours = _OURS.findall(cookies)
                if cookies.count(b"_p") != len(ours):
                    return None
                for cookie in ours:
                    if cookie[:4] == b"pid=" and not visitor:
                        visitor = cookie[4:]
                    elif cookie[:4] == b"pcs=" and not remembered:
                        remembered = cookie[4:]
                    else:
                        return None

        key = (site, consent, remembered, visitor != b"", fields.signals, head[:8])
        shape = self.shapes.get(key)
        if shape is None:
            made = self._shape(kind, site.decode(), consent.decode(), remembered.decode(), key[3], fields.signals)
            if isinstance(made, Refusal):
                return self._refuse(made, has_body, now_ms)
            if len(self.shapes) >= _MOST_REMEMBERED:
                return None
            self.shapes[key] = shape = made

        if now_ms != self._ms:
            self._tick(now_ms)
        place = (peer, forwarded, shape.ip_policy)
        ip_json = self._places.get(place)
        if ip_json is None:
            ip_json = self._place(*place)
            if ip_json is None:
                return None
        needs = shape.needs
        if needs == "fresh":
            visitor = self._ids.visitor_digits()
        elif needs == "cookieless":
            address = client_address(peer, forwarded, self.door.trusted).ip
            visitor = self.door.cookieless(shape.site, address, fields.user_agent).encode()
        elif not needs:
            visitor = b""
        before, after = shape.answer
        tail = self._tail if has_body else self._bare_tail
        answer = b"".join((before, visitor, after, tail)) if after else before + tail
        shape.hits += 1
        if not shape.site_json:
            return None, shape, answer
        who, end_json = shape.who_json
        return (
            b"".join(
                (
                    self._id_json,
                    self._ids.tail(),
                    self._at_json,
                    shape.site_json,
                    query,
                    fields.agent_json,
                    b',"referer":"%b"' % referer if referer else b"",
                    fields.rest_json,
                    ip_json,
                    who,
                    visitor,
                    end_json,
                )
            ),
            shape,
            answer,
        )

    def _tick(self, now_ms: int) -> None:
        self._ms = now_ms
        self._id_json = b'{"v":%d,"id":"%012x7' % (HIT_VERSION, now_ms)
        self._at_json = b'","at":%d' % now_ms
        if now_ms // 1000 != self._second:
            self._second = now_ms // 1000
            self._bare_tail = b"Date: %b\r\n\r\n" % formatdate(self._second, usegmt=True).encode()
            self._tail = self._bare_tail + pixel.GIF

    def _place(self, peer: str, forwarded: str, policy: Policy) -> bytes | None:
        """Return the address's part of the record; None where a header is not to be believed, which is counted."""
        address = client_address(peer, forwarded, self.door.trusted)
        if address.fault:
            return None
        ip = truncate(address.ip, policy)
        ip_json = b',"ip":' + json_text(ip.encode()) if ip else b""
        if len(self._places) >= _MOST_REMEMBERED:
            self._places.clear()
        self._places[peer, forwarded, policy] = ip_json
        return ip_json

    def _refuse(self, refusal: Refusal, has_body: bool, now_ms: int) -> Decision:
        if now_ms != self._ms:
            self._tick(now_ms)
        shape = self._refused.get(refusal)
        if shape is None:
            shape = Shape("", refusal.value, "", "none", b"", (b"", b""), (answer_head(f"refused; {refusal}", ()), b""))
            self._refused[refusal] = shape
        shape.hits += 1
        return None, shape, shape.answer[0] + (self._tail if has_body else self._bare_tail)

    def _shape(
        self, kind: Kind, site: str, consent: str, remembered: str, has_id: bool, signals: int
    ) -> Shape | Refusal:
        policy = self.door.sites.get(site)
        if policy is None:
            return Refusal.UNKNOWN_SITE
        sent = [f"_pid={_OPEN}"] * has_id + [f"_pcs={remembered}"] * bool(remembered)
        asked: list[str] = []

        def cookieless() -> str:
            asked.append(_OPEN)
            return _OPEN

        who = identify(
            policy,
            cookies="; ".join(sent),
            gpc=bool(signals & 1),
            dnt=bool(signals & 2),
            consent_param=consent,
            fresh_id=_OPEN,
            domain=self.door.domain,
            cookieless=cookieless,
        )
        needs = ""
        if who.visitor_id:
            needs = "cookieless" if asked else "sent" if has_id else "fresh"
        verdict = "accepted" if who.recorded else f"refused; {who.refusal}"
        before, _, after = answer_head(verdict, who.set_cookies).partition(_OPEN.encode())
        result = "accepted" if who.recorded else who.refusal
        site_json = b',"kind":"%b","site":"%b","query":"' % (kind.encode(), site.encode())
        tail = f',"visitor_kind":"{who.visitor_kind}"' if who.visitor_kind != "none" else ""
        tail += f',"consent":"{who.consent}"' if who.consent != "unknown" else ""
        who_json = (b',"visitor_id":"', f'"{tail}}}'.encode()) if who.visitor_id else (b"", f"{tail}}}".encode())
        return Shape(site, result, needs, policy.ip, site_json if who.recorded else b"", who_json, (before, after))

    def told(self) -> list[tuple[str, str, int]]:
        """Return and forget (site, result, hits) since the last call."""
        counts = []
        for shape in (*self.shapes.values(), *self._refused.values()):
            if shape.hits:
                counts.append((shape.site, shape.result, shape.hits))
                shape.hits = 0
        return counts


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


def unavailable() -> bytes:
    """Return the whole answer to a hit that the spool does not take."""
    head = answer_head(f"refused; {Refusal.SPOOL}", (), "503 Service Unavailable", b"", "text/plain")
    date = formatdate(usegmt=True)
    return head + f"Retry-After: {pixel.RETRY_AFTER_S}\r\nDate: {date}\r\n\r\n".encode()
