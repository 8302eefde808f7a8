"""The fast path: a request that the connection framed, decided and answered in bytes; None where aiohttp must read it.

A request is left to aiohttp before it is decided, never after. `policy.outcome` decides and `http.answer` answers, for
both paths. Answers are kept with the verdicts to which they belong, the visitor's id left open.

Long: the routes share what is remembered of a head.
"""

import re
from binascii import unhexlify
from email.utils import formatdate
from typing import Final

from collector.contract import Kind
from collector.http import answer as answers
from collector.http import request_id
from collector.http.answer import Answer
from collector.http.header_block import Blocks
from collector.policy import cookies
from collector.policy.client import NO_CLIENT
from collector.policy.client_address import believed
from collector.policy.consent import VISITOR
from collector.policy.cookies import HAS_ID, NONE, SENT_ID, Cookies
from collector.policy.ids import Ids
from collector.policy.outcome import EVENTS, SERVER_EVENTS, Outcome, Outcomes, Sent
from collector.policy.refusal import Refusal
from collector.policy.refused_hits import RefusedHits
from collector.policy.ruleset import Ruleset
from collector.policy.sent_event import encode
from stage import log

PATHS: Final = frozenset(
    ("/p.gif", "/o.gif", "/e", "/v1/events", "/c", "/t.js", "/x.js", "/linker", "/opt-out", "/opt-in", "/robots.txt")
)
"""All paths except `/c/CODE`."""

_PLAIN_PIXEL: Final = re.compile(
    rb"(GET|HEAD) /([po])\.gif\?(s=([a-z0-9_.-]{1,64})"
    rb"(?:&(?:t=[!$%'-\[\]-~]*|[ur]=(?:https?(?::|%3A)(?://|%2F%2F)[A-Za-z0-9.-]{0,200}[A-Za-z0-9-]"
    rb"(?:(?:[/?]|%2[Ff]|%3[Ff]|%23)[!$%'-\[\]-~]*)?)?|e=[A-Za-z0-9_.:-]{1,64}|id=[A-Za-z0-9_.:-]{1,64}"
    rb"|v=[0-9]{1,9}(?:\.[0-9]{1,2})?|c=[A-Z]{3}))*"
    rb"(?:&n=([01]))?) HTTP/1\.1\r"
)
"""Requests whose query `query.judge` surely takes, with the site and the consent parameter that it would read. It
knows no bounds that a site sets: see `_judged_sites`."""
_PLAIN_VALUE: Final = 1_000_000_000
"""Every value that _PLAIN_PIXEL takes is below it."""
_PIXEL: Final = re.compile(rb"(GET|HEAD) /([po])\.gif\?([!$-\[\]-~]*) HTTP/1\.1\r")
_CLICK: Final = re.compile(rb"(GET|HEAD) /c(?:/([A-Za-z0-9][A-Za-z0-9_.-]{0,63}))?(?:\?([!$-\[\]-~]*))? HTTP/1\.1\r")
_PREFLIGHT: Final = re.compile(rb"OPTIONS (/[!$-\[\]-~]*) HTTP/1\.1\r")
_POST: Final = b"POST /e HTTP/1.1\r"
_SERVER_POST: Final = b"POST /v1/events HTTP/1.1\r"
_EVENTS: Final = re.compile(rb"POST /(e|v1/events)(?:\?[!-~]*)? HTTP/1\.1\r")
_BODY: Final = 1
_TOKEN: Final = 2
_MOST_ANSWERS: Final = 1000
_MOST_REFERERS: Final = 1000
_LONGEST_REFERER: Final = 128
_FORWARDED: Final = re.compile(r"[0-9a-fA-F:., \[\]]+")


class Template:
    """An answer's bytes but for the visitor's id and the date."""

    __slots__ = ("after", "before", "body", "ending", "second")

    def __init__(self, answer: Answer) -> None:
        before, _, after = answers.head(answer).partition(VISITOR.encode())
        self.before: Final = before
        self.after: Final = after
        self.body: Final = answer.body
        self.second = -1
        self.ending = b""
        """In this `second`: the answer after the visitor's id."""


class Reply:
    """One request's outcome and the bytes that answer it."""

    __slots__ = ("answer", "outcome")

    def __init__(self, outcome: Outcome | None, answer: bytes) -> None:
        self.outcome: Final = outcome
        """None: nothing to store or count."""
        self.answer: Final = answer


class FastPath:
    """Decides the requests of one worker under one Ruleset; `tick` sets the time."""

    def __init__(self, ruleset: Ruleset, ids: Ids, refused_hits: RefusedHits | None = None) -> None:
        """`refused_hits` outlives this ruleset."""
        self.ruleset: Final = ruleset
        self.outcomes: Final = Outcomes(ruleset, ids, refused_hits)
        self.replies = 0
        """Requests answered here and not yet counted in the metrics."""
        self.closed = False
        """Every request is left to aiohttp."""
        self._judged_sites: Final = frozenset(
            key.encode() for key, site in ruleset.sites.items() if site.token_events or site.max_value < _PLAIN_VALUE
        )
        """Sites that may not allow all that _PLAIN_PIXEL takes."""
        self._has_proxies: Final = bool(ruleset.trusted)
        self._forwarded_title: Final = b"\r\n%b: " % _title(ruleset.forwarded_header)
        self._forwarded_lower: Final = b"\r\n%b: " % ruleset.forwarded_header.encode()
        self._request_id_title: Final = b"\r\n%b: " % _title(ruleset.request_id_header)
        self._request_id_lower: Final = b"\r\n%b: " % ruleset.request_id_header.encode()
        cut = (ruleset.forwarded_header, *((ruleset.request_id_header,) if ruleset.trusted else ()))
        self._blocks: Final = Blocks(cut, ruleset.geo_headers)
        self._strangers: Final = self._blocks.known[0]
        self._proxies: Final = self._blocks.known[1]
        self._referers: Final[dict[bytes, bytes]] = {}
        """By the Referer: its part of a record. Mostly a page's origin alone, which is all that browsers send."""
        self._second = -1
        self._date = b""
        # What `_read` finds in addition to the Sent.
        self._authorization = b""
        self._request_id = b""
        self._trusted = False

    def close(self) -> None:
        """Leave every request to aiohttp from now on."""
        self.closed = True

    def tick(self, now_ms: int) -> None:
        """Set the time of the requests that are decided next, in epoch milliseconds."""
        self.outcomes.tick(now_ms)
        if now_ms // 1000 != self._second:
            self._second = now_ms // 1000
            self._date = b"Date: %b\r\n\r\n" % formatdate(self._second, usegmt=True).encode()

    def decide(self, head: bytes, body: bytes, peer: str) -> Reply | None:
        """Decide a request. `head` ends with its first empty line; `body` is what came after it.

        Returns None if aiohttp must read this request, or if the body is not as long as its Content-Length says.
        """
        if self.closed:
            return None
        first = head[0]
        if first == 71 or first == 72:  # "G" of GET, "H" of HEAD
            if body:
                return None
            if first == 72 and head.startswith(b"HEAD /o.gif"):
                return None  # it counts nothing
            found = _PLAIN_PIXEL.match(head)
            if found is not None and found[4] not in self._judged_sites:
                sent = self._read(head, found.end() - 1, peer, 0)
                if sent is None:
                    return None
                method, letter, query, site, consent = found.groups(b"")
                kind: Kind = "pixel" if letter == b"p" else "open"
                outcome = self.outcomes.usable_pixel(kind, query, site.decode("ascii"), consent.decode("ascii"), sent)
                return self._pixel(outcome, method == b"GET")
            found = _PIXEL.match(head)
            if found is not None:
                sent = self._read(head, found.end() - 1, peer, 0)
                if sent is None:
                    return None
                kind = "pixel" if found[2] == b"p" else "open"
                return self._pixel(self.outcomes.pixel(kind, found[3].decode("ascii"), sent), found[1] == b"GET")
            return self._click(head, peer)
        if first == 80:  # "P" of POST
            return self._post(head, body, peer)
        if first == 79 and not body:  # "O" of OPTIONS
            return self._preflight(head, peer)
        return None

    def too_large(self, head: bytes, body_bytes: int, peer: str) -> Reply | None:
        """Refuse a POST of events by its Content-Length; None for any other request. The connection is to be closed."""
        found = _EVENTS.match(head)
        if found is None:
            return None
        sent = self._read(head, found.end() - 1, peer, _BODY + _TOKEN, body_bytes)
        client = NO_CLIENT if sent is None else sent.client
        if found[1] == b"e":
            outcome = self.outcomes.unread(EVENTS, Refusal.TOO_LARGE, "body", client)
        else:
            # A head that only aiohttp can read says nothing of a token.
            known = sent is None or bool(self.outcomes.sites_of(self._authorization.decode("ascii")))
            refusal = Refusal.TOO_LARGE if known else Refusal.UNAUTHORIZED
            outcome = self.outcomes.unread(SERVER_EVENTS, refusal, "body" if known else "")
        self.replies += 1
        answer = answers.of(outcome, self.ruleset)
        closing = answer._replace(headers=(*answer.headers, ("Connection", "close")))
        return Reply(outcome, self._answered(closing, b"", True))

    def failed(self, problem: Exception) -> Reply:
        """Log a fault of ours, with the id that the answer carries and nothing else of the request; return the 500."""
        made = request_id.fresh()
        faults = {"problem": type(problem).__name__, "where": log.where(problem)}
        log.line("error", "a request failed", request_id=made, route="fast path", **faults)
        return Reply(None, self._bytes(Answer(500, ((request_id.HEADER, made),)), b"", True))

    def unavailable(self, reply: Reply, refused_id: str) -> bytes:
        """Return the answer to a request whose hits the spool does not take, with this request id."""
        outcome = reply.outcome
        if outcome is None or not outcome.records:
            return reply.answer
        answer = answers.of(outcome, self.ruleset, unavailable=True)
        if answer.status >= 400:
            answer = answer._replace(headers=(*answer.headers, (request_id.HEADER, refused_id)))
        return self._bytes(answer, outcome.visitor, True)

    def _pixel(self, outcome: Outcome, has_body: bool) -> Reply:
        self.replies += 1
        origin = outcome.origin
        if origin or not has_body or outcome.dropped:
            return Reply(outcome, self._bytes(answers.of(outcome, self.ruleset), outcome.visitor, has_body))
        verdict = outcome.verdicts[0]
        template = verdict.answers.get("")
        if not isinstance(template, Template):
            template = verdict.answers[""] = Template(answers.of(outcome, self.ruleset))
        return Reply(outcome, self._filled(template, outcome.visitor))

    def _post(self, head: bytes, body: bytes, peer: str) -> Reply | None:
        if head.startswith(_POST):
            sent = self._read(head, len(_POST) - 1, peer, _BODY, len(body))
            if sent is None:
                return None
            outcome = self.outcomes.post(body, "", sent)
        elif head.startswith(_SERVER_POST):
            sent = self._read(head, len(_SERVER_POST) - 1, peer, _BODY + _TOKEN, len(body))
            if sent is None:
                return None
            allowed = self.outcomes.sites_of(self._authorization.decode("ascii"))
            if allowed:
                outcome = self.outcomes.server_post(body, "", allowed)
            else:
                outcome = self.outcomes.unread(SERVER_EVENTS, Refusal.UNAUTHORIZED, "")
        else:
            return None
        self.replies += 1
        count = len(outcome.records)
        verdicts = outcome.verdicts
        if count and count == len(verdicts) and not outcome.dropped:
            verdict = verdicts[0]
            alike = verdict.recorded
            for other in verdicts:
                if other is not verdict:
                    alike = False
            if alike:
                origin = outcome.origin
                if not outcome.own_site and origin not in self.ruleset.sites[verdict.site].origins:
                    origin = "*"
                key = origin if count == 1 else f"{count} {origin}"
                template = verdict.answers.get(key)
                if not isinstance(template, Template):
                    if len(verdict.answers) >= _MOST_ANSWERS:
                        verdict.answers.clear()
                    template = verdict.answers[key] = Template(answers.of(outcome, self.ruleset))
                return Reply(outcome, self._filled(template, outcome.visitor))
        return Reply(outcome, self._answered(answers.of(outcome, self.ruleset), outcome.visitor, True))

    def _click(self, head: bytes, peer: str) -> Reply | None:
        found = _CLICK.match(head)
        if found is None:
            return None
        sent = self._read(head, found.end() - 1, peer, 0)
        if sent is None:
            return None
        method, code, query = found.groups(b"")
        counts = method == b"GET"
        text = query.decode("ascii")
        if code:
            outcome = self.outcomes.named_click(code.decode("ascii"), text, sent, counts=counts)
        else:
            outcome = self.outcomes.signed_click(text, sent, counts=counts)
        self.replies += 1
        verdicts = outcome.verdicts
        if outcome.location and verdicts and counts:
            verdict = verdicts[0]
            template = verdict.answers.get("")
            if not isinstance(template, Template):
                bare = answers.of(outcome, self.ruleset)
                bare = bare._replace(headers=tuple(line for line in bare.headers if line[0] != "Location"))
                template = verdict.answers[""] = Template(bare)
            location = outcome.location.encode()
            parts = (template.before, outcome.visitor, template.after, b"Location: ", location, b"\r\n", self._date)
            return Reply(outcome, b"".join(parts))
        return Reply(outcome, self._answered(answers.of(outcome, self.ruleset), outcome.visitor, counts))

    def _preflight(self, head: bytes, peer: str) -> Reply | None:
        found = _PREFLIGHT.match(head)
        if found is None:
            return None
        path = found[1].partition(b"?")[0].decode("ascii")
        if path not in PATHS and not _CLICK.match(b"GET %b HTTP/1.1\r" % path.encode()):
            return None
        sent = self._read(head, found.end() - 1, peer, 0)
        if sent is None:
            return None
        self.replies += 1
        return Reply(None, self._bytes(answers.to_preflight(sent.client.origin, self.ruleset), b"", True))

    def _read(self, head: bytes, end: int, peer: str, more: int, body_bytes: int = 0) -> Sent | None:
        """Read the header lines, which begin at `end`; None if one of them is in any way unusual.

        Lines that differ from request to request are cut out; the block of the others is mostly known. `more` is the
        sum of _BODY and _TOKEN for a request that has them; a body must be as long as its Content-Length says.
        """
        rest = head[end:]
        if more:
            length, rest, _ = _cut_line(rest, b"ength: ", b"\r\nContent-L", b"\r\ncontent-l")
            if not length.isdigit() or len(length) > 7 or int(length) != body_bytes:
                return None
        referer, rest, found = _cut_line(rest, b"eferer: ", b"\r\nR", b"\r\nr")
        referer_json = b""
        if found and referer:
            referer_json = self._referers.get(referer, b"")
            if not referer_json:
                text = _visible(referer)
                if not text:
                    return None
                referer_json = b',"referer":' + encode(text)
                if len(referer) <= _LONGEST_REFERER:
                    if len(self._referers) >= _MOST_REFERERS:
                        self._referers.clear()
                    self._referers[referer] = referer_json
        ours: Cookies = NONE
        cookie, rest, found = _cut_line(rest, b"ookie: ", b"\r\nC", b"\r\nc")
        if found and cookie:
            if len(cookie) == 37 and cookie[:5] == b"_pid=" and _is_id(cookie[5:]):
                ours = Cookies(cookie[5:], HAS_ID | SENT_ID)
            else:
                text = _visible(cookie)
                if not text:
                    return None
                ours = cookies.read(text)
        self._authorization = b""
        self._request_id = b""
        if more & _TOKEN:
            authorization, rest, found = _cut(rest, b"\r\nAuthorization: ", b"\r\nauthorization: ")
            if found and authorization:
                if not _visible(authorization):
                    return None
                self._authorization = authorization
        forwarded = ""
        trusted = False
        known = self._strangers
        if self._has_proxies:
            line, rest, found = _cut(rest, self._forwarded_title, self._forwarded_lower)
            if found and line:
                forwarded = _visible(line)
                if not forwarded or _FORWARDED.fullmatch(forwarded) is None:
                    return None
            line, rest, found = _cut(rest, self._request_id_title, self._request_id_lower)
            if found and line:
                if not _visible(line):
                    return None
                self._request_id = line
            trusted = believed(peer, self.ruleset.trusted)
            if trusted:
                known = self._proxies
        self._trusted = trusted
        client = known.get(rest)
        if client is None:
            client = self._blocks.read(rest, trusted=trusted)
            if client is None:
                return None
        return self.outcomes.sent(client, referer_json, ours, peer, forwarded)

    def _filled(self, template: Template, visitor: bytes) -> bytes:
        if template.second != self._second:
            template.second = self._second
            template.ending = template.after + self._date + template.body
        return b"".join((template.before, visitor, template.ending))

    def _answered(self, answer: Answer, visitor: bytes, has_body: bool) -> bytes:
        if answer.status >= 400:
            chosen = request_id.chosen(self._request_id.decode("ascii"), believed=self._trusted)
            answer = answer._replace(headers=(*answer.headers, (request_id.HEADER, chosen)))
        return self._bytes(answer, visitor, has_body)

    def _bytes(self, answer: Answer, visitor: bytes, has_body: bool) -> bytes:
        filled = answer._replace(headers=answers.with_visitor(answer, visitor))
        return answers.head(filled, has_body=has_body) + self._date + (answer.body if has_body else b"")


def content_length(head: bytes) -> int:
    """Return the Content-Length of a POST's head, written in the usual way; -1 if it is not."""
    at = head.find(b"\r\nContent-Length: ")
    if at < 0:
        at = head.find(b"\r\ncontent-length: ")
        if at < 0:
            return -1
    digits = head[at + 18 : head.find(b"\r\n", at + 18)]
    return int(digits) if digits.isdigit() and len(digits) <= 7 else -1


def _cut(block: bytes, title: bytes, lower: bytes) -> tuple[bytes, bytes, bool]:
    """Return a line's value, the block without the line, and whether it is there: written as `title` or as `lower`."""
    # `partition` costs less than `find` and slices: no arguments to parse, no objects for the bounds.
    before, found, after = block.partition(title)
    if not found:
        before, found, after = block.partition(lower)
        if not found:
            return b"", block, False
    value, _, after = after.partition(b"\r\n")
    return value, b"".join((before, b"\r\n", after)), True


def _cut_line(block: bytes, end: bytes, title: bytes, lower: bytes) -> tuple[bytes, bytes, bool]:
    """Do the same for a name of which only the beginning differs, `title` or `lower`, and not its `end`.

    One search for both, from the block's end, where browsers put these lines. A line that it misses is left in the
    block, which is then not taken.
    """
    before, found, after = block.rpartition(end)
    if not found:
        return b"", block, False
    begin = before[-len(title) :]
    if begin != title and begin != lower:
        return b"", block, False
    value, line_end, after = after.partition(b"\r\n")
    return value, b"".join((before[: -len(title)], line_end, after)), True


def _visible(value: bytes) -> str:
    """Return a header's value as text; empty if it holds more than visible ASCII with spaces between."""
    if not value.isascii():
        return ""
    text = value.decode("ascii")
    return text if text.isprintable() and text[0] != " " and text[-1] != " " else ""


def _title(name: str) -> bytes:
    return name.title().encode()


def _is_id(text: bytes) -> bool:
    """Tell whether these 32 bytes are lower-case hex. False also for the rare ones without a letter."""
    if not text.islower():
        return False
    try:
        unhexlify(text)
    except ValueError:
        return False
    return True
