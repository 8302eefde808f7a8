"""A collector that misbehaves on demand, with a store to audit against: what the load test must catch."""

import asyncio
import itertools
import re
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_ID = re.compile(rb"lt([0-9a-f]{8})-([0-9a-f]{2})-([0-9a-f]{8})")
_GIF = bytes(43)


class Collector:
    """Answers as the HTTP surface says, and keeps hits in memory. Its faults are plain attributes; 0 is off."""

    def __init__(self) -> None:
        self.forget_every = 0
        """Of the accepted hits, each n-th is answered 2xx and not kept."""
        self.double_every = 0
        """Each n-th is kept twice."""
        self.cut_every = 0
        """Each n-th request: the connection is cut without an answer, the hit kept every second time."""
        self.mute = False
        """Instead of cutting, the connection stays open and silent."""
        self.refuse_every = 0
        """Each n-th good pixel is refused."""
        self.fail_every = 0
        """Each n-th request is answered 503."""
        self.keep_refused = False
        """Refused hits are kept all the same."""
        self.log_repeats = 0
        """So many rows lie in the storage twice, though each event shows once."""
        self.stall: tuple[int, float] = (0, 0.0)
        """At the n-th request nothing is answered for so many seconds."""
        self.requests = itertools.count(1)
        self.accepted = itertools.count(1)
        self.kept: Counter[tuple[int, int]] = Counter()
        self.cut = self.forgotten = self.doubled = self.cut_kept = self.refused_kept = 0
        self.cookies: Counter[bytes] = Counter()
        self.connections = 0
        self.port = 0

    # --- the store's side

    def count(self, run: str, since: float) -> int:
        return sum(self.kept.values())

    def rows(self, run: str, since: float, *, log: bool) -> Iterable[tuple[int, int]]:
        yield from self.kept.elements()
        if log:
            yield from itertools.islice(self.kept, self.log_repeats)

    def visible(self, ids: list[str], since: float) -> set[str]:
        kept = set(self.kept)
        return {i for i in ids if (int(i[11:13], 16), int(i[14:], 16)) in kept}

    # --- the collector's side

    def keep(self, hits: list[tuple[int, int]]) -> None:
        for hit in hits:
            number = next(self.accepted)
            if self.forget_every and number % self.forget_every == 0:
                self.forgotten += 1
                continue
            self.kept[hit] += 1
            if self.double_every and number % self.double_every == 0:
                self.doubled += 1
                self.kept[hit] += 1

    def answer(self, request: bytes) -> bytes | None:
        """Return the answer's bytes, or None to cut the connection."""
        number = next(self.requests)
        if self.stall[0] == number:
            time.sleep(self.stall[1])  # the whole server stands still, as in a long garbage collection
        hits = [(int(lane, 16), int(n, 16)) for _, lane, n in _ID.findall(request)]
        path = request.split(b" ", 2)[1]
        if cookie := re.search(rb"_pid=([0-9a-f]{32})\r\n", request):
            self.cookies[cookie[1]] += 1
        if self.cut_every and number % self.cut_every == 0:
            self.cut += len(hits)
            if self.cut % 2:
                self.cut_kept += len(hits)
                self.keep(hits)
            return None
        if self.fail_every and number % self.fail_every == 0:
            return b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
        if path.startswith((b"/e", b"/v1/events")):
            self.keep(hits)
            body = b'{"accepted":%d,"refused":[]}' % len(hits)
            return b"HTTP/1.1 202 Accepted\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        if not path.startswith((b"/p.gif?", b"/o.gif?")) or b"/../" in path:
            return b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
        bad = b"no-such-site" in path or b"%3Cscript" in path or b"%40example.org" in path
        if bad or (self.refuse_every and number % self.refuse_every == 0):
            if self.keep_refused:
                self.refused_kept += len(hits)
                self.keep(hits)
            return _pixel(b"refused; bad_event")
        self.keep(hits)
        return _pixel(b"accepted", b"" if cookie else b"Set-Cookie: _pid=%032x; Path=/\r\n" % number)


def _pixel(verdict: bytes, cookie: bytes = b"") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: image/gif\r\nContent-Length: 43\r\n"
    return head + b"X-Pharos: %b\r\n%b\r\n%b" % (verdict, cookie, _GIF)


class _Connection(asyncio.Protocol):
    def __init__(self, collector: Collector) -> None:
        self.collector, self.data = collector, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.collector.connections += 1

    def data_received(self, data: bytes) -> None:
        self.data += data
        head, separator, rest = self.data.partition(b"\r\n\r\n")
        length = re.search(rb"\r\nContent-Length: (\d+)", head)
        if not separator or len(rest) < (int(length[1]) if length else 0):
            return
        request, self.data = self.data, b""
        answer = self.collector.answer(request)
        if answer is None and not self.collector.mute:
            self.transport.abort()
        elif answer is None:
            return
        else:
            self.transport.write(answer)


@contextmanager
def running(collector: Collector) -> Iterator[str]:
    """Serve in a thread; give the URL."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(lambda: _Connection(collector), "127.0.0.1", 0))
    collector.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{collector.port}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        server.close()
        loop.close()
