"""Works one partition while it is ours: gather, declare, insert, close. The protocol decides, this acts.

One class, longer than most: a batch, its turn and its state stay together from the first record to the commit.
"""

import asyncio
import random
import secrets
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from aiokafka import OffsetAndMetadata, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from sink import fetch as gather
from sink import metrics, protocol
from sink.batch import Batch, Limits
from sink.clickhouse import Refused, Retry, without_values
from sink.fetch import Consumer
from sink.log import line
from sink.protocol import Intent

POLL_S: Final = 0.05
"""How often a due batch looks whether the one before it is stored, while it goes on growing."""

BACKOFF_S: Final = (0.1, 10.0)
"""Between attempts: from, doubling, to; each with up to half of it at random on top."""


class Storage(Protocol):
    """Where rows go."""

    async def insert(self, body: bytes, token: str) -> None:
        """Store rows; raises Retry, Refused or Stop."""

    async def sift(self, partition: TopicPartition, rows: Batch, *, careful: bool) -> frozenset[int]:
        """Send the bad rows to the dead letters; return their indexes. Raises Retry or Stop."""

    def room(self, begun: bool) -> int:
        """Return how many more bytes may be taken, into a batch that is begun or into a new one."""

    def turn(self, *, full: bool, of: TopicPartition | None = None, since: float = 0.0) -> float:
        """Take a turn to insert and return 0, or return the seconds after which to ask again; see Turns.take."""

    async def turn_given_back(self, wait_s: float) -> None:
        """Return when another insert has ended, or after so many seconds."""

    def give_back(self) -> None:
        """End the turn."""


class Worker:
    """One partition, from assignment to revocation."""

    def __init__(
        self,
        partition: TopicPartition,
        state: protocol.State,
        consumer: Consumer,
        storage: Storage,
        limits: Limits,
        *,
        intents: bool,
        stale_after_s: float,
        clock: Callable[[], float],
        crash_at: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.partition = partition
        self.state = state
        self.consumer = consumer
        self.storage = storage
        self.limits = limits
        self.intents = intents
        # Without an intent a later sink may cut the same offsets otherwise: the token must not outlive this one.
        self.salt = "" if intents else f":{secrets.token_hex(8)}"
        self.stale_after_s = stale_after_s
        self.clock = clock
        self.crash_at = crash_at
        self.stopping = False
        """Set to end the batch in hand and stop."""
        self.leaving = False
        """Set to start nothing more: what was not declared is the next owner's."""
        self.inserting: asyncio.Task[None] | None = None
        self.why_waiting = ""
        self.in_hand: list[Batch] = []
        """Batches taken and not yet stored, the oldest first: at most one inserting and one gathering."""
        self._committed_at = clock()

    async def run(self) -> None:
        """Work until told to stop (then end the batch in hand) or until the partition is gone.

        While one batch is inserted the next one is gathered, so that consuming and inserting overlap.
        """
        match self.state:
            case protocol.Refetching(intent, fetch):
                line("info", "intent found, repeating its insert", **self._named(intent))
                metrics.REDONE.inc()
                rows = await gather.exactly(self.consumer, self.partition, fetch, self.clock)
                self.in_hand.append(rows)
                while wait_s := self.storage.turn(full=True):
                    await self.storage.turn_given_back(wait_s)
                self.crash_at("fetched again")
                await self._store(rows, intent)
            case protocol.Idle(offset):
                self.consumer.seek(self.partition, offset)
        try:
            while not (self.stopping or self.leaving or isinstance(self.state, protocol.Gone)):
                rows = await self._gather()
                if rows.offsets:
                    self.inserting = asyncio.create_task(self._store(rows, rows.intent()))
            if self.inserting is not None:
                await self.inserting
        finally:
            if self.inserting is not None:
                self.inserting.cancel()
                await asyncio.gather(self.inserting, return_exceptions=True)

    async def _gather(self) -> Batch:
        """Return the next batch, with the turn to insert it, once it is due and the one before is stored.

        Until then it grows, as far as its limits let it. Returns an empty one when the work here has ended.
        """
        rows = Batch(self.limits)
        self.in_hand.append(rows)
        while not self.leaving:
            if self.inserting is not None and self.inserting.done():
                await self.inserting
                self.inserting = None
            if isinstance(self.state, protocol.Gone) or (self.stopping and not rows.offsets):
                break
            now = self.clock()
            full = rows.is_full() or self.stopping
            if full and not rows.rows:
                rows.pack()  # now, while another batch is inserted
            wait_s = rows.wait_s(now) if rows.offsets else 0.5
            if rows.is_due(now) or full:
                wait_s = POLL_S
                if self.inserting is None:
                    wait_s = self.storage.turn(full=full, of=self.partition, since=rows.since)
                if not wait_s:
                    return rows
            if not full:
                room = self.storage.room(bool(rows.offsets))
                if room:
                    await gather.take(self.consumer, self.partition, rows, room, wait_s, self.clock)
                elif rows.offsets:
                    rows.cut()  # what is in hand must be inserted before there is room again
                else:
                    await self.storage.turn_given_back(POLL_S)
            elif self.inserting is not None:
                await asyncio.wait([self.inserting], timeout=1.0)
            else:
                await self.storage.turn_given_back(wait_s)
        self.in_hand.remove(rows)
        return Batch(self.limits)

    async def _store(self, rows: Batch, intent: Intent) -> None:
        """Bring one batch through the protocol, from its intent to its commit; ends the turn."""
        self.state = protocol.step(self.state, protocol.Batch(intent), intents=self.intents)
        left_out: frozenset[int] = frozenset()
        turn = True
        token = protocol.token(self.partition.topic, self.partition.partition, intent) + self.salt
        try:
            attempt = 0
            while True:
                match self.state:
                    case protocol.Declaring():
                        event = await self._commit(intent.first, protocol.metadata(intent), "intent")
                    case protocol.Inserting():
                        if self.intents and self.clock() - self._committed_at > self.stale_after_s:
                            # Perhaps another sink has the partition by now: the broker knows, and refuses this.
                            refused = await self._commit(intent.first, protocol.metadata(intent), "intent again")
                            if isinstance(refused, protocol.CommitRefused):
                                self.state = protocol.step(self.state, refused, intents=self.intents)
                                continue
                        event = await self._insert(rows, left_out, token)
                        if isinstance(event, protocol.Stored):
                            now = time.time()
                            for at, of in rows.received:
                                metrics.FRESHNESS.observe_rows(max(0.0, now - at), of)
                        if isinstance(event, protocol.InsertUnknown):
                            attempt += 1
                            await self._back_off(attempt)
                    case protocol.Sifting():
                        try:
                            if turn:  # others may insert meanwhile
                                turn = False
                                self.storage.give_back()
                            left_out |= await self.storage.sift(self.partition, rows.unpack(), careful=bool(left_out))
                            while wait_s := self.storage.turn(full=True):
                                await self.storage.turn_given_back(wait_s)
                            turn = True
                        except Retry as error:
                            attempt += 1
                            self.why_waiting = f"ClickHouse: {error}"
                            await self._back_off(attempt)
                            continue
                        self.crash_at("dead letters sent")
                        event = protocol.Sifted(len(left_out) < len(rows.offsets))
                    case protocol.Closing():
                        event = await self._commit(intent.last + 1, "", "close")
                        if isinstance(event, protocol.CommitDone):
                            metrics.ROWS.inc(len(rows.offsets) - len(left_out))
                    case _:
                        break
                self.state = protocol.step(self.state, event, intents=self.intents)
        finally:
            self.in_hand.remove(rows)
            if turn:
                self.storage.give_back()

    async def _insert(self, rows: Batch, left_out: frozenset[int], token: str) -> protocol.Event:
        if not rows.offsets:
            return protocol.Stored()  # retention took every record of an intent
        if left_out:
            body = b"".join([row for index, row in enumerate(rows.unpack().rows) if index not in left_out])
        elif (packed := rows.pack()) is None:
            return protocol.InsertRefused()
        else:
            body = packed
        self.crash_at("before insert")
        try:
            await self.storage.insert(body, token)
        except Retry as error:
            self.why_waiting = f"ClickHouse: {error}"
            line("warning", "insert is repeated", partition=self.partition.partition, why=str(error))
            return protocol.InsertUnknown()
        except Refused as error:
            why = without_values(str(error))
            line("warning", "insert refused", partition=self.partition.partition, why=why)
            return protocol.InsertRefused()
        self.why_waiting = ""
        metrics.BATCH_ROWS.observe(len(rows.offsets) - len(left_out))
        self.crash_at("after insert")
        return protocol.Stored()

    async def _commit(self, offset: int, text: str, step: str) -> protocol.Event:
        """Commit, for as long as it takes."""
        self.crash_at(f"before {step}")
        attempt = 0
        while True:
            try:
                await self.consumer.commit({self.partition: OffsetAndMetadata(offset, text)})
            except (CommitFailedError, IllegalStateError) as error:
                metrics.FENCED.inc()
                return protocol.CommitRefused(" ".join(str(error).split()))
            except KafkaError as error:
                metrics.kafka_error(error)
                attempt += 1
                self.why_waiting = f"Kafka: {error}"
                await self._back_off(attempt)
            else:
                break
        self._committed_at = self.clock()
        self.why_waiting = ""
        self.crash_at(f"after {step}")
        return protocol.CommitDone()

    async def _back_off(self, attempt: int) -> None:
        least, most = BACKOFF_S
        pause = min(most, least * 2 ** min(attempt - 1, 20))
        await asyncio.sleep(pause * (1 + random.random() / 2))  # noqa: S311  spreads retries, nothing secret

    def _named(self, intent: Intent) -> dict[str, Any]:
        return {"partition": self.partition.partition, "from": intent.first, "to": intent.last}
