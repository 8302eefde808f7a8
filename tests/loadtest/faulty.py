"""A collector that misbehaves on demand, with a store to audit against: what the load test must catch."""

import asyncio
import itertools
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from loadtest import run
from loadtest.check.faults import FaultInjector
from loadtest.drive import driver
from loadtest.report import progress, result
from loadtest.traffic import profiles, schedule

SCALE = 10 if os.environ.get("PHAROS_TEST_SCALE") == "full" else 1
_ID = re.compile(rb"lt([0-9a-f]{8})-([0-9a-f]{2})-([0-9a-f]{8})")
_GIF = bytes(43)
Hit = tuple[str, int, int]
"""Run, sender, number."""


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
        """The number of rows that are in the storage twice, though each event shows once."""
        self.stall: tuple[int, float] = (0, 0.0)
        """(n, seconds): the server is silent for that long from the n-th request on."""
        self.stalled_s = 0.0
        """How long that took: a busy machine wakes late."""
        self.silent_after = 0
        """From this request on nothing is answered any more."""
        self.most_a_run = 0
        """The number of requests of a run that are answered as they should be; all further ones get 503."""
        self.show_after_s = 0.0
        """A kept hit counts as stored at once, but a search for its id finds it only this much later."""
        self.kept_at: dict[Hit, float] = {}
        self.runs: Counter[str] = Counter()
        self.lock = threading.Lock()
        """The server's thread keeps, others look."""
        self.requests = itertools.count(1)
        self.accepted = itertools.count(1)
        self.kept: Counter[Hit] = Counter()
        self.cut = self.forgotten = self.doubled = self.cut_kept = self.refused_kept = 0
        self.cookies: Counter[bytes] = Counter()
        self.connections = 0
        self.port = 0

    # --- the store's side

    def count(self, run: str, since: float) -> int:
        with self.lock:
            return sum(times for hit, times in self.kept.items() if hit[0] == run)

    def rows(self, run: str, since: float, *, log: bool) -> Iterable[tuple[int, int]]:
        with self.lock:
            kept = [hit[1:] for hit in self.kept.elements() if hit[0] == run]
        yield from kept
        if log:
            yield from kept[: self.log_repeats]

    def visible(self, ids: list[str], since: float) -> set[str]:
        by = time.monotonic() - self.show_after_s
        with self.lock:
            kept = {hit for hit, at in self.kept_at.items() if at <= by}
        return {i for i in ids if _hit(_ID.fullmatch(i.encode())) in kept}

    def close(self) -> None:
        pass

    # --- the collector's side

    def keep(self, hits: list[Hit]) -> None:
        with self.lock:
            self._keep(hits)

    def _keep(self, hits: list[Hit]) -> None:
        for hit in hits:
            number = next(self.accepted)
            if self.forget_every and number % self.forget_every == 0:
                self.forgotten += 1
                continue
            self.kept[hit] += 1
            self.kept_at.setdefault(hit, time.monotonic())
            if self.double_every and number % self.double_every == 0:
                self.doubled += 1
                self.kept[hit] += 1

    def answer(self, request: bytes) -> bytes | None:
        """Return the answer's bytes, or None to cut the connection."""
        number = next(self.requests)
        if self.stall[0] == number:
            began = time.monotonic()
            time.sleep(self.stall[1])  # the whole server pauses, as in a long garbage collection
            self.stalled_s = time.monotonic() - began
        hits = [_hit(found) for found in _ID.finditer(request)]
        path = request.split(b" ", 2)[1]
        if cookie := re.search(rb"_pid=([0-9a-f]{32})\r\n", request):
            self.cookies[cookie[1]] += 1
        if self.silent_after and number > self.silent_after:
            return None
        if self.cut_every and number % self.cut_every == 0:
            self.cut += len(hits)
            if self.cut % 2:
                self.cut_kept += len(hits)
                self.keep(hits)
            return None
        self.runs.update({run for run, _, _ in hits})
        many = self.most_a_run and hits and self.runs[hits[0][0]] > self.most_a_run
        if many or (self.fail_every and number % self.fail_every == 0):
            return b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
        if path.startswith((b"/e", b"/v1/events")):
            self.keep(hits)
            body = b'{"accepted":%d,"refused":[]}' % len(hits)
            return b"HTTP/1.1 202 Accepted\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        if not path.startswith((b"/p.gif?", b"/o.gif?")) or b"/../" in path:
            return b"HTTP/1.1 404 Not SearchResult\r\ncontent-length: 0\r\n\r\n"
        bad = b"no-such-site" in path or b"%3Cscript" in path or b"&id=999999" in path
        if bad or (self.refuse_every and number % self.refuse_every == 0):
            if self.keep_refused:
                self.refused_kept += len(hits)
                self.keep(hits)
            return _pixel(b"refused; bad_event")
        self.keep(hits)
        return _pixel(b"accepted", b"" if cookie else b"Set-Cookie: _pid=%032x; Path=/\r\n" % number)


def _hit(found: re.Match[bytes] | None) -> Hit:
    assert found
    return found[1].decode(), int(found[2], 16), int(found[3], 16)


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
        if answer is None and not self.collector.mute and not self.collector.silent_after:
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


def settings(url: str, **changes: object) -> run.RunSettings:
    """Return a run against `url` that is short, but long enough for each fault to come up."""
    defaults: dict[str, object] = {
        "url": url,
        "target": driver.target_of(url, connections=16, churn=0.01, timeout_s=5),
        "surface": profiles.Surface(),
        "schedule": schedule.Schedule(schedule.constant(1_000, 1 * SCALE)),
        "schedule_name": "constant",
        "profile": "shop",
        "admins": (),
        "settle_s": 0.4,  # this store shows a hit as soon as the collector has it
        "pool": 2_000,
        # What is shown here are verdicts, not latencies: the test machine may be as busy as it likes.
        "limits": result.Thresholds(late_bound_ms=60_000),
    }
    return run.RunSettings(**(defaults | changes))  # type: ignore[arg-type]


SENDERS = driver.Senders()
"""Driver processes for all tests of one session; tests/loadtest/conftest.py ends them."""


def ran(
    asked: run.RunSettings,
    collector: Collector,
    observer: progress.Observer | None = None,
    faults: FaultInjector | None = None,
) -> result.Result:
    """Do a run against the collector and audit it by what the collector kept."""
    return run.run(asked, collector, observer or progress.Observer(), faults, senders=SENDERS)
