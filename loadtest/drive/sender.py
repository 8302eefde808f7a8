"""One driver process's inner loop: sends each hit at its moment over many connections, and times the answers.

Open loop: a moment that has come is served even when answers are late, by a free connection or by the next one that
becomes free; its latency counts from the scheduled moment. A connection has one request at a time. Every moment is in
the totals: one without an answer counts with the time until it was given up.
The hot path is `Connection.data_received` -> `Sender.answered` -> `Sender.fire`; the rest runs a few times a second.
Longer than other modules, because connection and sender are one machine: each call between them happens every 20 µs.
"""

import asyncio
import contextlib
import random
import re
import ssl
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from loadtest.drive import verdict
from loadtest.drive.alarm import Alarm
from loadtest.drive.plan import Interval, Target
from loadtest.drive.verdict import ACCEPTED, FAILED, UNANSWERED
from loadtest.traffic.request_template import Template, hit_id, uuid_middle

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PID = re.compile(rb"\r\nset-cookie: *_pid=([0-9a-f]{32})", re.IGNORECASE)

_ONE_ID: Final = ("id",)
GRAIN_S: Final = 0.0001
"""The alarm rings no more often than this."""

clock = time.perf_counter


class Connection(asyncio.Protocol):
    """One connection: at most one request under way."""

    __slots__ = ("at", "left", "number", "pending", "sender", "sent", "template", "transport")

    def __init__(self, sender: "Sender") -> None:
        self.sender = sender
        self.transport: asyncio.Transport
        self.template: Template | None = None
        self.at = self.sent = 0.0
        self.number = 0
        self.pending = b""
        self.left = sender.lifetime()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # what create_connection gives
        self.sender.connected(self)

    def data_received(self, data: bytes) -> None:
        now = clock()
        template = self.template
        if template is None:  # an answer without a request, such as 408 to an idle connection
            self.transport.abort()
            return
        if self.pending:
            data = self.pending + data
        end = data.find(b"\r\n\r\n")
        start = data.find(b"Content-Length: ", 0, end)
        if start > 0:
            whole = end + 4 + int(data[start + 16 : data.find(b"\r", start)])
        elif end < 0:
            self.pending = data
            return
        else:
            found = _LENGTH.search(data, 0, end)
            whole = end + 4 + (int(found[1]) if found else 0)
        if len(data) < whole:
            self.pending = data
            return
        self.pending = b""
        self.template = None
        self.sender.answered(self, template, data, end, now)

    def connection_lost(self, problem: Exception | None) -> None:
        self.sender.lost(self, problem)


class Sender:
    """The schedule's servant: due moments, free connections, the totals."""

    def __init__(
        self,
        target: Target,
        templates: Sequence[Template],
        moments: Iterator[float],
        *,
        run: str,
        index: int,
        seed: int,
        probes_per_s: float = 10.0,
    ) -> None:
        self.target, self.templates, self.moments = target, templates, moments
        self.prefix = hit_id(run, index, 0)[:-8].encode()
        self.middle = f"{uuid_middle(run)}{index:02x}".encode()
        self.rng = random.Random(f"sender {seed} {index}")
        self.place = self.rng.randrange(len(templates))
        self.outcomes = array("B")
        """One byte a hit, by its number."""
        self.errors: Counter[str] = Counter()
        self.requests = self.answers = self.waited = self.never_sent = 0
        self.free: deque[Connection] = deque()
        self.busy: set[Connection] = set()
        self.waiting: deque[float] = deque()
        self.cookies: dict[int, bytes] = {}
        self.slice = Interval()
        self.probe_gap = 1 / probes_per_s if probes_per_s else float("inf")
        self.next_probe = 0.0
        self.next_at = float("inf")
        self.alive = 0
        self.first, self.full = asyncio.Event(), asyncio.Event()
        self.closing = False
        self.tls = ssl.create_default_context() if target.tls else None
        self.loop = asyncio.get_running_loop()
        self.tasks: set[asyncio.Task[None]] = set()

    # --- connections

    def lifetime(self) -> int:
        """Return after how many answers a connection is closed; geometric around 1/churn."""
        return int(self.rng.expovariate(self.target.churn)) + 1 if self.target.churn else 2**62

    async def open(self, within_s: float, any_within_s: float) -> str:
        """Open the target's connections; return what was wrong where none could be, else "".

        Waits up to `any_within_s` for the first, then up to `within_s` for all.
        """
        for _ in range(self.target.connections):
            self.reconnect()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(any_within_s):
                await self.first.wait()
            async with asyncio.timeout(within_s):
                await self.full.wait()
        if self.alive:
            return ""
        return next((text for text, _ in self.errors.most_common(1)), f"connect: nothing within {any_within_s:g} s")

    async def connect(self) -> None:
        """Open one connection, trying again while the run lasts."""
        while not self.closing:
            try:
                await self.loop.create_connection(
                    lambda: Connection(self), self.target.host, self.target.port, ssl=self.tls
                )
                return
            except OSError as problem:
                self.errors[f"connect: {problem.strerror or 'not possible'}"] += 1
                await asyncio.sleep(0.05)

    def reconnect(self) -> None:
        """Open one more connection in the background."""
        task = self.loop.create_task(self.connect())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def connected(self, connection: Connection) -> None:
        """Take a new connection into service."""
        self.alive += 1
        self.first.set()
        if self.alive == self.target.connections:
            self.full.set()
        self.freed(connection, clock())

    def freed(self, connection: Connection, now: float) -> None:
        """Give a free connection the next waiting moment, or keep it for the next due one."""
        while self.waiting:
            at = self.waiting.popleft()
            if now - at < self.target.timeout_s:
                self.fire(connection, at, now)
                return
            self.give_up(at, now)
        self.free.append(connection)

    def give_up(self, at: float, now: float) -> None:
        """Count a moment that came and was never served."""
        self.never_sent += 1
        self.miss(at, now)

    def miss(self, at: float, now: float) -> None:
        """Count a moment without an answer: its visitor has waited until now."""
        self.slice.failed += 1
        self.slice.missed.append(int((now - at) * 1e6))

    def lost(self, connection: Connection, problem: Exception | None) -> None:
        """Count a broken connection; its request, if any, stays unanswered."""
        self.alive -= 1
        self.busy.discard(connection)
        template, connection.template = connection.template, None
        if template is not None:
            why = (getattr(problem, "strerror", None) or "the connection broke") if problem else "closed"
            self.errors[f"no answer: {why}"] += 1
            self.miss(connection.at, clock())
        else:
            with contextlib.suppress(ValueError):
                self.free.remove(connection)
        if not self.closing:
            self.reconnect()

    # --- the hot path

    def fire(self, connection: Connection, at: float, now: float) -> None:
        """Send the next template for the moment `at`."""
        place = self.place + 1
        if place >= len(self.templates):
            place = 0
        self.place = place
        template = self.templates[place]
        number = connection.number = len(self.outcomes)
        if template.slots == _ONE_ID:
            raw = b"%b%b%08x%b" % (template.parts[0], self.prefix, number, template.parts[1])
            self.outcomes.append(UNANSWERED)
        else:
            count = len(template.expected)
            self.outcomes.extend([UNANSWERED] * count)
            raw = template.render(self.ids(template, number), self.cookies.get(template.visit, b"0" * 32))
        connection.template, connection.at, connection.sent = template, at, now
        self.busy.add(connection)
        self.requests += 1
        connection.transport.write(raw)

    def ids(self, template: Template, number: int) -> list[bytes]:
        """Return the ids of a request's hits from `number` on; a UUID has the time of now."""
        stamp = b""
        if "uuid" in template.slots:
            at_ms = int(time.time() * 1000)
            stamp = b"%08x-%04x-%b" % (at_ms >> 16, at_ms & 0xFFFF, self.middle)
        kinds = [slot for slot in template.slots if slot != "cookie"]
        return [b"%b%08x" % (stamp if kind == "uuid" else self.prefix, number + n) for n, kind in enumerate(kinds)]

    def due(self, now: float) -> None:
        """Serve every moment that has come."""
        late = self.slice.late
        at = self.next_at
        while at <= now:
            if self.free:
                late.append(int((now - at) * 1e6))
                self.fire(self.free.popleft(), at, now)
            else:
                self.waited += 1
                self.waiting.append(at)
            at = next(self.moments, float("inf"))
        self.next_at = at

    def answered(self, connection: Connection, template: Template, data: bytes, end: int, now: float) -> None:
        """Judge an answer, totals it, and use the connection again."""
        self.busy.discard(connection)
        self.answers += 1
        counts = self.slice
        counts.latencies.append(int((now - connection.at) * 1e6))
        counts.service.append(int((now - connection.sent) * 1e6))
        number = connection.number
        if (
            data.find(b"\r\nX-Pharos: accepted\r\n", 0, end + 2) > 0
            and template.expected == (True,)
            and template.status == 200
        ):
            self.outcomes[number] = ACCEPTED
            if now >= self.next_probe:
                self.next_probe = now + self.probe_gap
                counts.probes.append((number, connection.at))
        else:
            self.judge(connection, template, data, end)
        if template.learns:
            found = _PID.search(data, 0, end + 2)
            if found:
                self.cookies[template.visit] = found[1]
        connection.left -= 1
        if connection.left <= 0 or data.find(b"onnection: close", 0, end) > 0:
            connection.transport.close()
        elif self.waiting:
            self.freed(connection, now)
        else:
            self.free.append(connection)
        if self.next_at <= now:
            self.due(now)

    # --- the course of a run

    def sweep(self, now: float) -> None:
        """Give up on answers that take longer than the timeout, and on moments that have waited that long."""
        while self.waiting and now - self.waiting[0] >= self.target.timeout_s:
            self.give_up(self.waiting.popleft(), now)
        for connection in [c for c in self.busy if now - c.sent > self.target.timeout_s]:
            self.errors["timeout"] += 1
            connection.transport.abort()

    def cut(self, now: float) -> Interval:
        """Return what has been counted since the last cut."""
        cut, self.slice = self.slice, Interval()
        cut.until, cut.numbers, cut.requests = now, len(self.outcomes), self.requests
        cut.waiting, cut.alive = len(self.waiting), self.alive
        cut.cpu_s, cut.starved_s = time.process_time(), _starved_s()
        return cut

    def over(self) -> bool:
        """Return whether every moment has come and every answer is there."""
        return self.next_at == float("inf") and not self.waiting and not self.busy

    def stop(self) -> None:
        """Send nothing more; what is under way may still be answered, what was due and waits is given up."""
        self.moments = iter(())
        self.next_at = float("inf")
        self.abandon(clock())

    def abandon(self, now: float) -> None:
        """Give up on every moment that still waits."""
        while self.waiting:
            self.give_up(self.waiting.popleft(), now)

    def close(self, now: float) -> None:
        """End the run: what has no answer by now will have none."""
        self.closing = True
        self.abandon(now)
        for connection in self.busy:
            connection.template = None  # so that its end, which comes after the last cut, totals nothing
            self.errors["no answer: the run was over"] += 1
            self.miss(connection.at, now)

    async def run(self, start: float, tell: Callable[[Interval], None], drain_s: float) -> None:
        """Serve the schedule from `start` (on the clock) to its end, telling what each tenth of a second brought.

        Ends by itself: after the last answer, or `drain_s` after the last moment.
        """
        alarm = Alarm(self.loop, lambda: self._ring(alarm))
        self.moments = (start + moment for moment in self.moments)
        self.next_at = next(self.moments, float("inf"))
        alarm.set(self.next_at if self.next_at < float("inf") else start)
        give_up = float("inf")
        try:
            while not self.over() and clock() < give_up:
                await asyncio.sleep(0.1)
                now = clock()
                self.sweep(now)
                if self.next_at == float("inf") and give_up == float("inf"):
                    give_up = now + drain_s
                tell(self.cut(now))
        finally:
            self.close(clock())
            alarm.close()
            tell(self.cut(clock()))
            tasks = list(self.tasks)
            for task in tasks:
                task.cancel()
            for connection in [*self.busy, *self.free]:
                connection.transport.abort()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _ring(self, alarm: Alarm) -> None:
        now = clock()
        self.due(now)
        if self.next_at < float("inf"):
            # Many moments lie within a tenth of a millisecond at high rates: one ring serves them together.
            alarm.set(max(self.next_at, now + GRAIN_S))

    # --- verdicts off the hot path

    def judge(self, connection: Connection, template: Template, data: bytes, end: int) -> None:
        """Count each of the request's hits as its answer says."""
        judged = verdict.judge(template, data, end)
        number = connection.number
        self.outcomes[number : number + len(judged.outcomes)] = array("B", judged.outcomes)
        if judged.outcomes[0] == FAILED:
            self.slice.failed += 1
        if judged.wrong:
            self.errors[judged.wrong] += 1


def _starved_s() -> float:
    """Return how long this process has waited for a core, seconds; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0
