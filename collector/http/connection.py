"""One client's connection, and what all connections of a worker share. What the fast path can read is answered here;
everything else goes to aiohttp, one request at a time.

A request's head is framed here for both paths, with the limits and times of http.md.
- A request that the fast path decides is answered at the end of the turn, with the other hits of the turn.
- Any other well-formed request goes to aiohttp: exactly its bytes, body included. After aiohttp's answer the connection
  reads the next request here.
- A request whose end is not beyond doubt (HTTP/1.0, chunks, an upgrade, odd bytes) takes the connection to aiohttp for
  good, and the connection closes after one answer: two readers never have to agree on where a request ends.
Answers stay in order: nothing goes to aiohttp before the hits in front of it are answered. What is held is bounded.
Over 250 lines: the states of a connection are only plain where they are next to each other.
"""

import asyncio
import time
from email.utils import formatdate
from typing import Final, cast

from aiohttp import web

from collector.http import pixel, request_id
from collector.http.aiohttp_bridge import REQUEST_LINE_BYTES, Lent, lend
from collector.http.fast_path import FastPath, content_length
from collector.http.framing import body_bytes, may_grow, too_long
from collector.http.ingest import Ingest
from collector.http.outbox import Outbox, Recipient, drop
from collector.http.target import plain
from collector.policy.client_address import believed, canonical, truncate
from collector.policy.paths import standard_by_own

BODY_BYTES: Final = 1 << 20
_SMALL_BODY_BYTES: Final = 16 << 10
"""A body of at most this size is read here, for a head may have as much. Larger ones are counted by `body_budget`."""
_HELD_BYTES: Final = 256 << 10
_MOST_AT_ONCE: Final = 64
"""Requests of one connection that are answered in one turn."""
_STUCK_S: Final = 60.0
"""How long a client may not read, or aiohttp have the connection."""
_LINGER_S: Final = 2.0
_SLOW_S: Final = 1.0
"""A request that is not whole after this time is slow."""
MOST_SLOW_OF_ADDRESS: Final = 256
"""Slow requests of one address that a worker waits for."""
_END: Final = b"\r\n\r\n"
_POST: Final = 80
"""The first byte of "POST"."""

_READING: Final = 0
"""The next byte is a request's first."""
_HEAD: Final = 1
"""A part of a head is held."""
_BODY: Final = 2
"""A head is held; its body is not whole yet."""
_LENT: Final = 3
"""aiohttp has one request."""
_GIVEN: Final = 4
"""aiohttp has the connection for good."""
_LINGERING: Final = 5
"""The last answer is out: the connection closes in a moment, and what comes is dropped, so that the client reads it."""
_CLOSED: Final = 6


class Connections:
    """What the connections of a worker share."""

    def __init__(
        self,
        ingest: Ingest,
        loop: asyncio.AbstractEventLoop,
        server: web.Server,
        *,
        most_connections: int,
        head_timeout_s: float,
        body_timeout_s: float,
        keepalive_s: float,
    ) -> None:
        self.ingest: Final = ingest
        self.loop: Final = loop
        self.server: Final = server
        self.open: Final[set[Connection]] = set()
        self.commit: Final = ingest.commit
        self.fast: FastPath = ingest.fast
        self.own_names: Final = standard_by_own(ingest.ruleset.paths)
        self.now = loop.time()
        self.lent_for: Final = ingest.tally.histogram("answer_seconds", "full")
        self._took: Final = ingest.tally.histogram("answer_seconds", "fast")
        self.outbox = Outbox(self.fast, -1, ingest.tally, self._took)
        self._most: Final = most_connections
        self._head_timeout_s: Final = head_timeout_s
        self._body_timeout_s: Final = body_timeout_s
        self._keepalive_s: Final = keepalive_s

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol of a new connection."""
        return cast(asyncio.Protocol, Connection(self))

    def begin(self) -> None:
        """Begin a turn: read the clock, take the present ruleset."""
        self.now = self.loop.time()
        self.fast = self.ingest.present()
        self.outbox = outbox = Outbox(self.fast, self.commit.turn, self.ingest.tally, self._took)
        self.commit.add((), outbox.committed)

    def drain(self) -> None:
        """From now on aiohttp answers everything: its answers ask clients to close the connection."""
        self.ingest.drain()

    def close_idle(self) -> None:
        """Close connections that have no request."""
        for connection in list(self.open):
            connection.close_if_idle()

    def admit(self, connection: "Connection") -> bool:
        """Take a connection; returns False if there are too many."""
        if len(self.open) >= self._most:
            self.ingest.tally.add("connections_refused_total")
            return False
        self.open.add(connection)
        return True

    def count(self) -> None:
        """Put what was counted into the tally."""
        self.ingest.count()
        self.ingest.tally.set("connections", len(self.open))

    def sweep(self) -> None:
        """Close what took too long. To be called about once a second."""
        self.now = now = self.loop.time()
        for connection in list(self.open):
            connection.expire(now, self._head_timeout_s, self._body_timeout_s, self._keepalive_s)
        self._bound_slow(now)

    def _bound_slow(self, now: float) -> None:
        """Refuse the oldest slow requests of an address that has too many. A trusted proxy bounds its own clients."""
        slow: dict[str, list[Connection]] = {}
        trusted = self.fast.ruleset.trusted
        for connection in self.open:
            if connection.is_slow(now) and not believed(connection.peer, trusted):
                slow.setdefault(_network(connection.peer), []).append(connection)
        for some in slow.values():
            excess = len(some) - MOST_SLOW_OF_ADDRESS
            if excess > 0:
                some.sort(key=Connection.begun_at)
                for connection in some[:excess]:
                    connection.refuse_slow()


class Connection(Recipient):
    """One client's connection."""

    __slots__ = (
        "_all",
        "_body_left",
        "_ended",
        "_held",
        "_lent",
        "_lent_at",
        "_need",
        "_paused",
        "_since",
        "_state",
        "_stuck",
        "_transport",
        "_used",
        "peer",
    )

    def __init__(self, connections: Connections) -> None:
        super().__init__()
        self._all: Final = connections
        self._transport: asyncio.Transport
        self.peer = ""
        """The other end's address."""
        self._state = _READING
        self._held = b""
        """What has come and is not yet worked on."""
        self._need = 0
        """In _BODY: the length of `_held` with which the request is whole."""
        self._lent: Lent | None = None
        self._lent_at = 0.0
        self._body_left = 0
        """In _LENT: bytes of the request's body that aiohttp has not got."""
        self._since = connections.now
        """When the present state, or the waiting in it, began."""
        self._used = False
        """A request has come."""
        self._ended = False
        """The client has closed its half."""
        self._stuck = False
        """The client does not read: nothing more is written."""
        self._paused = False
        """Nothing more is read."""

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if not self._all.admit(self):
            self._state = _CLOSED
            self._transport.abort()
            return
        self.write = self._transport.write
        peer = transport.get_extra_info("peername")
        self.peer = peer[0] if isinstance(peer, tuple) else ""

    def connection_lost(self, exc: BaseException | None) -> None:
        self._state = _CLOSED
        self.write = drop
        self._held = b""
        self._all.open.discard(self)
        if self._lent is not None:
            self._lent.connection_lost(exc)
            self._lent = None

    def data_received(self, data: bytes) -> None:
        if self._state == _READING and not self._held and not self._stuck and not self._ended:
            # Mostly one whole request comes at a time.
            if data[0] == _POST:
                head, end, body = data.partition(_END)
                bounded = len(head) + 4 <= REQUEST_LINE_BYTES and len(body) <= _SMALL_BODY_BYTES
                if bounded and end and self._answer(head + end, body):
                    return
            elif data[-4:] == _END and len(data) <= REQUEST_LINE_BYTES and self._answer(data, b""):
                return
        if self._state >= _LINGERING:
            return
        self._held = self._held + data if self._held else data
        if self._state == _BODY and len(self._held) < self._need:
            return
        self._proceed()

    def eof_received(self) -> bool:
        """Keep the connection for what is still to be answered to a client that has only closed its own half."""
        self._ended = True
        if self._state == _LINGERING:
            return False
        if self._state == _LENT:
            return self._body_left == 0
        if self._state == _GIVEN:
            return True
        if self.due:
            self._all.outbox.followers.append(self)
            return True
        return False

    def pause_writing(self) -> None:
        self._stuck = True
        self._since = self._all.now
        if self._lent is not None:
            self._lent.pause_writing()

    def resume_writing(self) -> None:
        self._stuck = False
        if self._lent is not None:
            self._lent.resume_writing()
        self._proceed()

    # Requests.

    def _answer(self, head: bytes, body: bytes) -> bool:
        """Have the fast path decide a whole request; the answer leaves at the end of the turn. False: it cannot."""
        connections = self._all
        if connections.outbox.turn != connections.commit.turn:
            connections.begin()
        fast = connections.fast
        try:
            reply = fast.decide(head, body, self.peer)
        except Exception as problem:  # noqa: BLE001  any error concerns this request only
            reply = fast.failed(problem)
        if reply is None:
            return False
        outcome = reply.outcome
        if outcome is not None and outcome.records:
            connections.commit.append(outcome.records)
        connections.outbox.add(self, reply)
        self._used = True
        self._since = connections.now
        return True

    def go_on(self) -> None:
        """Continue what had to wait for the end of a turn."""
        if self._state < _LINGERING:
            self._proceed()
            if self._ended and self._state <= _BODY and not self.due:
                self._close()

    def _proceed(self) -> None:
        """Work on what is held, as far as order and bounds allow."""
        answered = 0
        while self._held and self._state < _LINGERING:
            if self._state in (_LENT, _GIVEN):
                if not self._feed():
                    break
                continue
            if self._stuck:
                break
            before = self._state
            if before == _BODY and len(self._held) < self._need:
                break
            self._state = _READING
            # As many as can be answered here, with one copy of the rest.
            held = self._held
            at = 0
            while answered < _MOST_AT_ONCE:
                while held.startswith(b"\r\n", at):
                    at += 2  # RFC 9112, 2.2: empty lines before a request are skipped
                end = held.find(_END, at) + 4
                if end < 4 or end - at > REQUEST_LINE_BYTES:
                    break
                head = held[at:end]
                stop = end
                if head[0] == _POST:
                    length = content_length(head)
                    stop = end + length
                    if not 0 <= length <= _SMALL_BODY_BYTES or stop > len(held):
                        break
                if not self._answer(head, held[end:stop]):
                    break
                at = stop
                answered += 1
            if at:
                self._held = held = held[at:]
                before = _READING
            if not held:
                break
            if answered == _MOST_AT_ONCE or self.due:
                self._all.outbox.followers.append(self)
                break
            end = held.find(_END) + 4
            if end < 4 and may_grow(held):
                self._wait(_HEAD, before)
                break
            head = held if end < 4 else held[:end]
            if not too_long(head) and (made := plain(head, self._all.own_names)) is not head:
                self._held = made + held[len(head) :]
                continue
            if self._waits_for_body(head, len(held)):
                self._wait(_BODY, before)
                break
            self._lend(head)
        self._balance()

    def _wait(self, state: int, before: int) -> None:
        self._state = state
        if state != before:
            self._since = self._all.now

    def _waits_for_body(self, head: bytes, held_bytes: int) -> bool:
        """Tell whether a request's body is to be waited for here, and how much that is."""
        if head[0] != _POST or self._all.fast.closed:
            return False
        length = content_length(head)
        self._need = len(head) + length
        # `body_bytes` is None where the client expects an answer before it sends the body.
        return 0 < length <= _SMALL_BODY_BYTES and held_bytes < self._need and body_bytes(head) == length

    def _lend(self, head: bytes) -> None:
        """Hand one request to aiohttp, or refuse it, or give the connection away."""
        if status := too_long(head):
            self._fail(status)
            return
        length = body_bytes(head)
        if length is not None:
            if length < 0:
                self._fail("400 Bad Request")
                return
            if length > BODY_BYTES:
                self._refuse_body(head, length)
                return
        self._used = True
        self._since = self._all.now
        self._lent_at = time.perf_counter()
        if self._lent is None:
            self._lent = lend(self._all.server, self._all.loop, self._finished, self._refused)
            self._lent.connection_made(self._transport)
        if length is None:
            self._state = _GIVEN
            self._lent.given = True
            return  # `_feed` hands over everything
        self._state = _LENT
        self._body_left = length
        self._held = self._held[len(head) :]
        self._lent.data_received(head)

    def _feed(self) -> bool:
        """Hand what is held to aiohttp, as far as it belongs to the request; returns False if nothing does."""
        given = self._state == _GIVEN
        held = self._held if given else self._held[: self._body_left]
        if not held or self._lent is None:
            return False
        if not given:
            self._body_left -= len(held)
        self._held = self._held[len(held) :]
        self._lent.data_received(held)
        return True

    def _refused(self, status: str) -> None:
        self._all.ingest.tally.add("request_errors_total", status)

    def _finished(self, keep: bool) -> None:
        """aiohttp's answer is out; its task goes on first, and may close."""
        self._all.lent_for.observe(time.perf_counter() - self._lent_at)
        self._all.loop.call_soon(self._returned, keep)

    def _returned(self, keep: bool) -> None:
        if self._state != _LENT or not keep:
            return
        if self._body_left:
            self._linger()  # answered before the whole body came: where the next request begins is not known
            return
        self._state = _READING
        self._since = self._all.now
        if self._held:
            self._proceed()
        elif self._ended:
            self._close()
        self._balance()

    def _balance(self) -> None:
        """Stop reading while more is held than can be worked on."""
        if self._state == _CLOSED or self._transport.is_closing():
            return
        blocked = self._state in (_LENT, _GIVEN) or self._stuck or self.due > 0
        if len(self._held) > _HELD_BYTES and blocked:
            self._paused = True
            self._transport.pause_reading()
        elif self._paused and not (self._held and blocked):
            self._paused = False
            self._transport.resume_reading()

    # Endings.

    def _fail(self, status: str, *more: str) -> None:
        """Answer a protocol error, with `more` header lines, and close."""
        self._all.ingest.tally.add("request_errors_total", status[:3])
        lines = (f"HTTP/1.1 {status}", "Content-Length: 0", f"Date: {formatdate(usegmt=True)}", "Connection: close")
        identity = f"{request_id.HEADER}: {request_id.fresh()}"
        self.write("\r\n".join((*lines, identity, *more, "", "")).encode())
        self._linger()

    def _refuse_body(self, head: bytes, length: int) -> None:
        """Refuse a request whose body has too large a Content-Length, and close."""
        if self._all.outbox.turn != self._all.commit.turn:
            self._all.begin()
        reply = self._all.fast.too_large(head, length, self.peer)
        if reply is None:
            self._fail("413 Content Too Large")
            return
        self._all.ingest.tally.add("request_errors_total", "413")
        self.write(reply.answer)
        self._linger()

    def _linger(self) -> None:
        """Close in a moment: what the client still sends is read and dropped, so that it reads the answer."""
        self._held = b""
        self._state = _LINGERING
        self._since = self._all.now
        if self._ended:
            self._close()
        elif self._transport.can_write_eof():
            self._transport.write_eof()

    def _close(self) -> None:
        self._state = _CLOSED
        self._transport.close()

    def close_if_idle(self) -> None:
        """Close the connection unless it has a request, or a part of one."""
        if self._state == _READING and not (self.due or self._held):
            self._close()

    def is_slow(self, now: float) -> bool:
        """Tell whether the client takes long to send its request, or its first."""
        if now - self._since <= _SLOW_S or self._stuck or self.due:
            return False
        if self._state == _LENT:
            return self._body_left > 0
        return self._state in (_HEAD, _BODY, _GIVEN) or (self._state == _READING and not self._used)

    def begun_at(self) -> float:
        """Return when the present state began."""
        return self._since

    def refuse_slow(self) -> None:
        """Close the connection: its address has too many slow requests."""
        if self._state in (_LENT, _GIVEN):
            self._all.ingest.tally.add("request_errors_total", "429")
            self._transport.abort()
        else:
            self._fail("429 Too Many Requests", f"Retry-After: {pixel.RETRY_AFTER_S}")

    def expire(self, now: float, head_timeout_s: float, body_timeout_s: float, keepalive_s: float) -> None:
        """Close what has taken too long by `now`."""
        took = now - self._since
        if self._state == _LINGERING:
            if took > _LINGER_S:
                self._transport.abort()
        elif self._stuck or self._state in (_LENT, _GIVEN):
            if took > _STUCK_S:
                self._transport.abort()
        elif self.due:
            return
        elif self._state == _BODY:
            if took > body_timeout_s:
                self._fail("408 Request Timeout")
        elif self._state == _HEAD or not self._used:
            if took > head_timeout_s:
                self._fail("408 Request Timeout")
        elif took > keepalive_s:
            self._close()


def _network(peer: str) -> str:
    """Return an IPv4 address, or the /48 of an IPv6 one."""
    address = canonical(peer)
    if address is None:
        return peer
    return truncate(address, "truncate") if ":" in address else address
