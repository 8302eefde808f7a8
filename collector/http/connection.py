"""The connection: answers pixel requests itself, lends everything else to aiohttp, one request at a time.

Rule: here a request's head is framed, for both lanes, with the limits and the time that http.md gives it.
- A head that the shortcut decides is answered here, with the other hits of its turn.
- Any other well-formed request is lent to aiohttp: exactly its bytes, body included, and nothing behind it. When
  aiohttp has answered, the connection is back.
- What is not plainly framed (HTTP/1.0, chunks, an upgrade, odd bytes) is given to aiohttp for good, and that
  connection closes after one answer, so that a difference of opinion about where a request ends harms nobody.
Answers stay in order: nothing is lent before the hits in front of it are answered. What waits is bounded.
Over 250 lines: the states of a connection only make sense side by side.
"""

import asyncio
import re
import time
from email.utils import formatdate
from typing import Final, cast

from aiohttp import web

from collector.http.aiohttp_bridge import HEADERS_BYTES, REQUEST_LINE_BYTES, Lent, lend
from collector.http.ingest import Intake
from collector.http.pixel_fast_path import Shortcut
from collector.spool.group_commit import Waiting, drop

BODY_BYTES: Final = 1 << 20
_HELD_BYTES: Final = 256 << 10
_MOST_AT_ONCE: Final = 64
"""Requests of one connection that are answered in one turn."""
_STUCK_S: Final = 60.0
"""How long a client may not read, or aiohttp have the connection."""
_LINGER_S: Final = 2.0
_MOST_LINES: Final = 120

_REQUEST_LINE: Final = re.compile(rb"[A-Z]+ [!-~\x80-\xff]+ HTTP/1\.([01])\r\n")
_PLAIN_LINE: Final = re.compile(rb"(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) /[!-~]* HTTP/1\.[01]\r\n")
_BEGINNING: Final = re.compile(rb"[A-Z]|\r\Z")
_LINES: Final = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n)*\r\n")
_TELLING: Final = re.compile(
    rb"\r\n(host|content-length|transfer-encoding|upgrade|expect|connection):[ \t]*([^\r\n]*)", re.IGNORECASE
)
_LENGTH: Final = re.compile(rb"[0-9]{1,12}")
_BARE_LF: Final = re.compile(rb"(?:\A|[^\r])\n")


class Lane:
    """What the connections of a worker share."""

    def __init__(
        self,
        intake: Intake,
        loop: asyncio.AbstractEventLoop,
        server: web.Server,
        *,
        most_connections: int,
        head_timeout_s: float,
        keepalive_s: float,
    ) -> None:
        self.intake: Final = intake
        self.loop: Final = loop
        self.server: Final = server
        self.connections: Final[set[Connection]] = set()
        self.turn: Final = intake.turn
        self.shortcut = Shortcut(intake.ruleset, intake.ids)
        self.now = loop.time()
        self.lent_for: Final = intake.tally.histogram("answer_seconds", "full")
        self._most: Final = most_connections
        self._head_timeout_s: Final = head_timeout_s
        self._keepalive_s: Final = keepalive_s

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol of a new connection."""
        return cast(asyncio.Protocol, Connection(self))

    def begin(self) -> None:
        """Begin a turn: read the clock, follow a ruleset that has been replaced."""
        if self.shortcut.ruleset is not self.intake.ruleset and not self.intake.draining:
            self.tell()
            self.shortcut = Shortcut(self.intake.ruleset, self.intake.ids)
        self.now = self.loop.time()
        self.shortcut.tick(self.intake.now_ms())
        self.turn.begin()

    def drain(self) -> None:
        """From now on everything goes the full way, whose answers tell clients to go elsewhere."""
        self.shortcut.close()

    def close_idle(self) -> None:
        """Close connections on which nothing is asked."""
        for connection in list(self.connections):
            connection.close_if_idle()

    def admit(self, connection: "Connection") -> bool:
        """Take a connection, unless there are too many."""
        if len(self.connections) >= self._most:
            self.intake.tally.add("connections_refused_total")
            return False
        self.connections.add(connection)
        return True

    def tell(self) -> None:
        """Put what was counted into the tally."""
        tally = self.intake.tally
        for site, result, hits in self.shortcut.told():
            tally.add("hits_total", site, result, by=hits)
            tally.add("requests_total", "fast", by=hits)
        tally.set("connections", len(self.connections))

    def sweep(self) -> None:
        """Close what took too long. Call it about once a second."""
        self.now = now = self.loop.time()
        for connection in list(self.connections):
            connection.expire(now, self._head_timeout_s, self._keepalive_s)


class Connection(Waiting):
    """One client's connection."""

    __slots__ = (
        "_body_left",
        "_closing",
        "_doomed",
        "_ended",
        "_given",
        "_held",
        "_lane",
        "_lent",
        "_lent_at",
        "_partial",
        "_paused",
        "_peer",
        "_plain",
        "_since",
        "_stuck",
        "_transport",
        "_turn",
        "_used",
        "lending",
    )

    def __init__(self, lane: Lane) -> None:
        super().__init__()
        self._lane = lane
        self._transport: asyncio.Transport
        self._peer = ""
        self._held = b""
        self._lent: Lent | None = None
        self._lent_at = 0.0
        self.lending = False
        self._given = False
        self._body_left = 0
        self._turn = 0
        self._since = lane.now
        self._plain = True
        """Nothing is held, lent, stuck or ending: what comes is a request's beginning."""
        self._used = self._ended = self._paused = self._stuck = self._closing = self._partial = self._doomed = False

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if not self._lane.admit(self):
            self._closing = True
            self._transport.abort()
            return
        self.write = self._transport.write
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if isinstance(peer, tuple) else ""

    def connection_lost(self, exc: BaseException | None) -> None:
        self._closing = True
        self._plain = False
        self.write = drop
        self._held = b""
        self._lane.connections.discard(self)
        if self._lent is not None:
            self._lent.connection_lost(exc)
            self._lent = None

    def data_received(self, data: bytes) -> None:
        if self._plain and len(data) <= REQUEST_LINE_BYTES and data[-4:] == b"\r\n\r\n":
            lane = self._lane
            turn = lane.turn
            if not turn.due:
                lane.begin()
            decision = lane.shortcut.decide(data, self._peer)
            if decision is not None:
                turn.take(self, decision)
                self._turn = turn.number
                self._since = lane.now
                return
        if self._doomed or self._closing:
            return
        self._held = self._held + data if self._held else data
        self._proceed()

    def eof_received(self) -> bool:
        """Keep the connection for what is still to be answered to a client that has only closed its own half."""
        self._ended = True
        self._plain = False
        if self._doomed:
            return False
        if self.lending:
            return self._body_left == 0
        if self._waiting:
            self._lane.turn.followers.append(self)
            return True
        return False

    @property
    def _waiting(self) -> bool:
        """Tell whether an answer of ours waits for the end of its turn."""
        return self._turn > self._lane.turn.answered

    def pause_writing(self) -> None:
        self._stuck = True
        self._plain = False
        self._since = self._lane.now
        if self._lent is not None:
            self._lent.pause_writing()

    def resume_writing(self) -> None:
        self._stuck = False
        self._settle()
        if self._lent is not None:
            self._lent.resume_writing()
        self._proceed()

    # Requests.

    def _answer(self, head: bytes) -> bool:
        """Decide a whole head here, if the shortcut can; the answer leaves at the end of the turn."""
        if len(head) > REQUEST_LINE_BYTES:
            return False
        lane = self._lane
        turn = lane.turn
        if not turn.due:
            lane.begin()
        decision = lane.shortcut.decide(head, self._peer)
        if decision is None:
            return False
        turn.take(self, decision)
        self._turn = turn.number
        self._since = lane.now
        return True

    def go_on(self) -> None:
        """Take up what waited for the end of a turn."""
        if not self._closing:
            self._proceed()
            if self._ended and not (self.lending or self._held or self._waiting or self._doomed):
                self._close()

    def _settle(self) -> None:
        self._plain = not (self._held or self.lending or self._stuck or self._doomed or self._closing or self._ended)

    def _proceed(self) -> None:
        """Go on with what is held, as far as order and bounds allow."""
        answered = 0
        while self._held and not self._closing:
            if self.lending:
                if not self._feed():
                    break
                continue
            if self._stuck:
                break
            # As many as can be answered here, with one copy of the rest.
            held = self._held
            at = 0
            while answered < _MOST_AT_ONCE:
                while held.startswith(b"\r\n", at):
                    at += 2  # RFC 9112, 2.2: empty lines before a request are forgiven
                end = held.find(b"\r\n\r\n", at)
                if end < 0 or not self._answer(held[at : end + 4]):
                    break
                at = end + 4
                answered += 1
            if at:
                self._held = held = held[at:]
                self._partial = False
            if not held:
                break
            if answered == _MOST_AT_ONCE or self._waiting:
                self._lane.turn.followers.append(self)
                break
            end = held.find(b"\r\n\r\n")
            if end < 0 and not _BARE_LF.search(held) and _BEGINNING.match(held) and not _too_long(held):
                if not self._partial:
                    self._partial = True
                    self._since = self._lane.now
                break
            self._partial = False
            self._lend(held if end < 0 else held[: end + 4])
        self._settle()
        self._balance()

    def _lend(self, head: bytes) -> None:
        """Lend one request to aiohttp, or refuse it, or give the connection away."""
        if status := _too_long(head):
            self._fail(status)
            return
        length = body_bytes(head)
        if length is None:
            self._given = True
        elif length < 0:
            self._fail("400 Bad Request")
            return
        elif length > BODY_BYTES:
            self._fail("413 Content Too Large")
            return
        self.lending = self._used = True
        self._plain = False
        self._since = self._lane.now
        self._lent_at = time.perf_counter()
        if self._lent is None:
            self._lent = lend(self._lane.server, self._lane.loop, self._finished)
            self._lent.connection_made(self._transport)
        if self._given:
            self._lent.given = True
            return  # `_feed` hands over everything
        self._body_left = length or 0
        self._held = self._held[len(head) :]
        self._lent.data_received(head)

    def _feed(self) -> bool:
        """Hand what is held to aiohttp, as far as it belongs to the request; tell whether anything did."""
        held = self._held if self._given else self._held[: self._body_left]
        if not held or self._lent is None:
            return False
        if not self._given:
            self._body_left -= len(held)
        self._held = self._held[len(held) :]
        self._lent.data_received(held)
        return True

    def _finished(self, keep: bool) -> None:
        """aiohttp's answer is out; its task goes on first, and may close."""
        self._lane.lent_for.observe(time.perf_counter() - self._lent_at)
        self._lane.loop.call_soon(self._returned, keep)

    def _returned(self, keep: bool) -> None:
        if self._closing or self._given or not keep:
            return
        if self._body_left:
            self._doom()  # answered before the body was there: nobody can say where the next request begins
            return
        self.lending = False
        self._since = self._lane.now
        if self._held:
            self._proceed()
        elif self._ended:
            self._close()
        self._settle()
        self._balance()

    def _balance(self) -> None:
        """Stop reading while more is held than can be worked on."""
        if self._closing or self._transport.is_closing():
            return
        blocked = self.lending or self._stuck or self._waiting
        if len(self._held) > _HELD_BYTES and blocked:
            self._paused = True
            self._transport.pause_reading()
        elif self._paused and not (self._held and blocked):
            self._paused = False
            self._transport.resume_reading()

    # Endings.

    def _fail(self, status: str) -> None:
        """Answer a protocol error and close."""
        self._lane.intake.tally.add("request_errors_total", status[:3])
        date = formatdate(usegmt=True)
        self.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nDate: {date}\r\nConnection: close\r\n\r\n".encode())
        self._doom()

    def _doom(self) -> None:
        """Close in a moment: what the client still sends is read and dropped, so that it gets to see the answer."""
        self._held = b""
        self._doomed = True
        self._plain = False
        self._since = self._lane.now
        if self._ended:
            self._close()
        elif self._transport.can_write_eof():
            self._transport.write_eof()

    def _close(self) -> None:
        self._closing = True
        self._plain = False
        self._transport.close()

    def close_if_idle(self) -> None:
        if not (self.lending or self._waiting or self._held or self._doomed):
            self._close()

    def expire(self, now: float, head_timeout_s: float, keepalive_s: float) -> None:
        """Close what has taken too long by `now`."""
        took = now - self._since
        if self._doomed:
            if took > _LINGER_S:
                self._transport.abort()
        elif self._stuck or self.lending:
            if took > _STUCK_S:
                self._transport.abort()
        elif self._waiting:
            return
        elif self._held or not (self._used or self._turn):
            if took > head_timeout_s:
                self._fail("408 Request Timeout")
        elif took > keepalive_s:
            self._close()


def _too_long(head: bytes) -> str:
    """Return the status for a head, whole or not, that is over a limit; empty if it is not."""
    line = head.find(b"\r\n")
    if line > REQUEST_LINE_BYTES or (line < 0 and len(head) > REQUEST_LINE_BYTES):
        return "414 URI Too Long"
    if line >= 0 and (len(head) - line > HEADERS_BYTES or head.count(b"\r\n") > _MOST_LINES):
        return "431 Request Header Fields Too Large"
    return ""


def body_bytes(head: bytes) -> int | None:
    """Return how many bytes of body follow a whole head; None: not plainly to be told; -1: RFC 9112 asks for a 400."""
    line = _REQUEST_LINE.match(head)
    if line is None or _LINES.fullmatch(head, line.end()) is None:
        return -1
    if _PLAIN_LINE.match(head) is None:
        return None
    hosts = 0
    length: int | None = None
    for name, value in _TELLING.findall(head):
        match name.lower():
            case b"host":
                hosts += 1
            case b"content-length":
                if length is not None or _LENGTH.fullmatch(value.rstrip(b" \t")) is None:
                    return -1
                length = int(value)
            case b"connection":
                if value.rstrip(b" \t").lower() not in (b"keep-alive", b"close"):
                    return None
            case _:
                return None
    return -1 if hosts > 1 or (hosts == 0 and line[1] == b"1") else length or 0
