"""One destination's delivery: look up, judge, send, try again; what a platform refuses becomes a dead letter.

At least once: an event whose answer was lost is sent again with the same id, which the platform recognises.

Long: looking up, sending and giving up share what is on its way.
"""

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from sink.clickhouse import Retry
from sink.forward import metrics
from sink.forward.brake import Brake
from sink.forward.config import AnyDestination
from sink.forward.dead import DeadForward
from sink.forward.gate import Held, StoredEvent, is_late, judge
from sink.forward.pending import Key
from sink.forward.platforms.platform import Again, Conversion, Denied, Outcome, Refused, Sent
from sink.forward.transport import Transport, Unreachable, credential, signing_key, without_secret
from sink.forward.warehouse import Warehouse
from stage.log import line

BACKOFF_S: Final = (1.0, 300.0)
"""Seconds between attempts: the first pause and the longest. Pauses double, plus up to half of each at random."""


class Stopped(Exception):
    """The brake is pulled: nothing more is sent to this destination."""


class Delivery:
    """Sends the events of one destination, in order, one request at a time."""

    def __init__(
        self,
        name: str,
        one: AnyDestination,
        *,
        folder: Path,
        warehouse: Warehouse,
        transport: Transport,
        bury: Callable[[DeadForward], Awaitable[None]],
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        crash_at: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.name = name
        self.one = one
        self.platform = one.platform()
        self.brake = Brake()
        self.waiting_for = ""
        """What the destination waits for; empty: nothing."""
        self.is_waiting: Callable[[Key], bool] = lambda _: False
        """Whether an event is still to be sent: a refund is never sent before its order."""
        self._folder = folder
        self._warehouse = warehouse
        self._transport = transport
        self._bury = bury
        self._now = now
        self._sleep = sleep
        self._crash_at = crash_at
        self._last_request = 0.0
        metrics.begin(name)

    async def forward(self, occurred: Mapping[Key, int]) -> frozenset[Key]:
        """Bring events to their end; `occurred` has a time of each, in milliseconds.

        Returns those whose turn is later, since ClickHouse does not have them, or their order is still to be sent; the
        others are done.

        Raises:
            Stopped: see there.
        """
        conversions, later = await self.judged(occurred)
        await self.send(conversions)
        return later

    async def judged(
        self, occurred: Mapping[Key, int], held: Counter[str] | None = None
    ) -> tuple[list[Conversion], frozenset[Key]]:
        """Return what is to be sent, in the order of `occurred` with refunds last, and what is asked about again later.

        `held` counts what is held back, by reason.
        """
        by_site: dict[str, dict[str, int]] = defaultdict(dict)
        for key, at in occurred.items():
            by_site[key.site][key.event_id] = at
        found: dict[Key, StoredEvent] = {}
        for site, ids in by_site.items():
            stored = await self._ask_warehouse(site, ids)
            found |= {Key(site, name): event for name, event in stored.items()}
        conversions: list[Conversion] = []
        later: set[Key] = set()
        for key in occurred:
            event = found.get(key)
            if event is None:
                later.add(key)
                continue
            order = event.order and Key(key.site, event.order.event_id)
            if order and (order in later or (order not in occurred and self.is_waiting(order))):
                later.add(key)
                continue
            made: Conversion | Held
            if is_late(event.occurred_ms, occurred[key]):
                made = "late_copy"
            else:
                made = judge(event, self.one, self.platform, round(self._now() * 1000))
            if isinstance(made, Conversion):
                conversions.append(made)
            else:
                self._held(made)
                if held is not None:
                    held[made] += 1
        conversions.sort(key=lambda each: each.is_refund)  # a refund's clock may be behind its order's
        return conversions, frozenset(later)

    async def elsewhere(self, occurred: Mapping[Key, int]) -> tuple[frozenset[Key], dict[Key, int]]:
        """Look for events, which were not found near their time, under any other.

        Returns the late copies, which are held back, and of the others that are found the stored times in milliseconds.

        Raises:
            Retry: ClickHouse is away.
        """
        by_site: dict[str, list[str]] = defaultdict(list)
        for key in occurred:
            by_site[key.site].append(key.event_id)
        times: dict[Key, int] = {}
        for site, ids in by_site.items():
            times |= {Key(site, name): at for name, at in (await self._warehouse.stored(site, ids)).items()}
        late = frozenset(key for key, at in times.items() if is_late(at, occurred[key]))
        for _ in late:
            self._held("late_copy")
        return late, {key: at for key, at in times.items() if key not in late}

    def _held(self, reason: Held) -> None:
        metrics.EVENTS.labels(self.name, "held").inc()
        metrics.HELD_BACK.labels(self.name, reason).inc()

    async def _ask_warehouse(self, site: str, ids: Mapping[str, int]) -> dict[str, StoredEvent]:
        attempt = 0
        while True:
            try:
                found = await self._warehouse.events(site, ids, self.one.events, self.one.lookback_days)
            except Retry as error:
                attempt += 1
                self.waiting_for = f"ClickHouse: {error}"
                await self._pause(attempt)
            else:
                self.waiting_for = ""
                return found

    async def send(self, conversions: Sequence[Conversion]) -> None:
        """Send conversions, and halve what is refused as a whole until the event that is the cause is found.

        Raises:
            Stopped: see there.
        """
        most = self.platform.limits.batch
        todo = [list(conversions[start : start + most]) for start in range(0, len(conversions), most)]
        while todo:
            batch = todo.pop(0)
            outcome = await self._deliver(batch)
            match outcome:
                case Sent():
                    self._sent(batch)
                case Refused(why, only) if only is not None:
                    self._sent([each for place, each in enumerate(batch) if place not in only])
                    await self._refuse([each for place, each in enumerate(batch) if place in only], why)
                case Refused(why) if len(batch) == 1:
                    await self._refuse(batch, why)
                case Refused():
                    half = len(batch) // 2
                    todo[:0] = [batch[:half], batch[half:]]

    async def _deliver(self, batch: Sequence[Conversion]) -> Sent | Refused:
        """Send one request until it is taken or refused for good."""
        attempt = 0
        while True:
            outcome = await self._attempt(batch)
            metrics.REQUESTS.labels(self.name, type(outcome).__name__.lower()).inc()
            match outcome:
                case Sent() | Refused():
                    self.waiting_for = ""
                    return outcome
                case Again(why, after_s):
                    attempt += 1
                    self.waiting_for = f"the platform: {why}"
                    line("warning", "forwarding is repeated", destination=self.name, why=why)
                    await self._pause(attempt, after_s)
                case Denied(why):
                    attempt += 1
                    self.waiting_for = f"a correction of destinations.toml or of the credential: {why}"
                    line("error", "forwarding is denied", destination=self.name, why=why)
                    await self._pause(attempt + 5)

    async def _attempt(self, batch: Sequence[Conversion]) -> Outcome:
        try:
            secret = credential(self.one, self._folder)
        except (OSError, ValueError) as error:
            return Denied(f"credential_file: {type(error).__name__}")
        request = self.platform.request(batch, secret)
        wait_s = self._last_request + 1 / self.platform.limits.requests_per_s - self._now()
        if wait_s > 0:
            await self._sleep(wait_s)
        self._last_request = self._now()
        self._crash_at("before send")
        try:
            answer = await self._transport.post(request, signing_key(self.one, secret))
        except Unreachable as error:
            return Again(f"no answer: {error}")
        self._crash_at("after send")
        body = without_secret(answer.body, secret)
        return self.platform.outcome(answer.status, answer.retry_after, body, len(batch))

    async def _pause(self, attempt: int, after_s: float | None = None) -> None:
        least, most = BACKOFF_S
        pause = min(most, least * 2 ** min(attempt - 1, 20))
        await self._sleep(max(pause * (1 + random.random() / 2), min(after_s or 0, 86_400)))  # noqa: S311

    def _sent(self, batch: Sequence[Conversion]) -> None:
        metrics.EVENTS.labels(self.name, "sent").inc(len(batch))
        for _ in batch:
            self.brake.count(refused=False)

    async def _refuse(self, batch: Iterable[Conversion], why: str) -> None:
        for each in batch:
            await self.bury(Key(each.site, each.event_id), "refused", why)
            self.brake.count(refused=True)
        if self.brake.pulled:
            metrics.STOPPED.labels(self.name).set(1)
            self.waiting_for = f"a correction: it refused most events, the last with: {why}"
            line("error", "forwarding is stopped: the platform refuses most events", destination=self.name, why=why)
            raise Stopped(why)

    async def bury(self, key: Key, reason: str, detail: str) -> None:
        """Write a dead letter."""
        metrics.EVENTS.labels(self.name, reason).inc()
        await self._bury(
            DeadForward(
                destination=self.name,
                site=key.site,
                event_id=key.event_id,
                reason=reason,
                detail=detail,
                at=round(self._now() * 1000),
            )
        )
