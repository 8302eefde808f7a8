"""One partition while it is assigned to this sink: fetch, declare, insert, close. The protocol decides, this acts.

Longer than most modules: a batch, its insert slot and its state belong together from the first record to the commit.
"""

import asyncio
import random
import secrets
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from aiokafka import OffsetAndMetadata, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from sink import fetch, metrics, protocol
from sink.batch import Batch, Limits
from sink.clickhouse import Refused, Retry, without_row_values
from sink.fetch import Consumer
from sink.protocol import Intent
from stage.log import line

POLL_S: Final = 0.05
"""Seconds between two looks whether the batch before is stored, while a due batch keeps growing."""

BACKOFF_S: Final = (0.1, 10.0)
"""Seconds between attempts: the first pause and the longest. Pauses double, plus up to half of each at random."""


class RowStorage(Protocol):
    """Where rows go; `storage.Storage` in the program."""

    async def insert(self, body: bytes, token: str) -> None:
        """Store rows; raises Retry, Refused or Stop."""

    async def isolate(self, partition: TopicPartition, rows: Batch, *, careful: bool) -> frozenset[int]:
        """Send the refused rows to the dead letters; return their indexes. Raises Retry or Stop."""

    def room(self, begun: bool) -> int:
        """Return how many more bytes may be taken; `begun`: into a batch that has rows already."""

    def acquire(self, *, full: bool, of: TopicPartition | None = None, since: float = 0.0) -> float:
        """Take an insert slot and return 0, or return the seconds after which to ask again; see InsertSlots."""

    async def slot_released(self, wait_s: float) -> None:
        """Return when another insert has ended, or after `wait_s` seconds."""

    def release_slot(self) -> None:
        """Release the insert slot."""


class PartitionWorker:
    """One partition, from assignment to revocation."""

    def __init__(
        self,
        partition: TopicPartition,
        state: protocol.State,
        consumer: Consumer,
        storage: RowStorage,
        limits: Limits,
        *,
        intents: bool,
        epoch: int = 0,
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
        self.epoch = epoch
        # Without intents, a later sink may cut the same offsets differently: the token must not outlive this process.
        self.salt = "" if intents else f":{secrets.token_hex(8)}"
        self.stale_after_s = stale_after_s
        self.clock = clock
        self.crash_at = crash_at
        self.stopping = False
        """Set to finish the batch in hand and stop."""
        self.leaving = False
        """Set to start nothing more: rows without an intent belong to the next owner."""
        self.inserting: asyncio.Task[None] | None = None
        self.waiting_for = ""
        self.in_hand: list[Batch] = []
        """Batches fetched and not yet stored, the oldest first: at most one being inserted and one being filled."""
        self._committed_at = clock()

    async def run(self) -> None:
        """Work until `stopping` is set (then finish the batch in hand) or until the partition is gone.

        The next batch is fetched while one is inserted, so consuming and inserting overlap.
        """
        match self.state:
            case protocol.Refetching(intent, offsets):
                line("info", "intent found, repeating its insert", **self._named(intent))
                metrics.REDONE.inc()
                rows = await fetch.exactly(self.consumer, self.partition, offsets, self.clock)
                self.in_hand.append(rows)
                while wait_s := self.storage.acquire(full=True):
                    await self.storage.slot_released(wait_s)
                self.crash_at("fetched again")
                await self._store(rows, intent)
            case protocol.Idle(offset):
                self.consumer.seek(self.partition, offset)
        try:
            while not (self.stopping or self.leaving or isinstance(self.state, protocol.Gone)):
                rows = await self._next_batch()
                if rows.offsets:
                    self.inserting = asyncio.create_task(self._store(rows, rows.intent()))
            if self.inserting is not None:
                await self.inserting
        finally:
            if self.inserting is not None:
                self.inserting.cancel()
                await asyncio.gather(self.inserting, return_exceptions=True)

    async def _next_batch(self) -> Batch:
        """Return the next batch, with an insert slot for it, once it is due and the one before is stored.

        Until then the batch grows up to its limits. Returns an empty batch when the work here has ended.
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
                rows.pack()  # while another batch is inserted
            wait_s = rows.wait_s(now) if rows.offsets else 0.5
            if rows.is_due(now) or full:
                wait_s = POLL_S
                if self.inserting is None:
                    wait_s = self.storage.acquire(full=full, of=self.partition, since=rows.since)
                if not wait_s:
                    return rows
            if not full:
                room = self.storage.room(bool(rows.offsets))
                if room:
                    await fetch.take(self.consumer, self.partition, rows, room, wait_s, self.clock)
                elif rows.offsets:
                    rows.cut()  # what is in hand must be inserted before there is room again
                else:
                    await self.storage.slot_released(POLL_S)
            elif self.inserting is not None:
                await asyncio.wait([self.inserting], timeout=1.0)
            else:
                await self.storage.slot_released(wait_s)
        self.in_hand.remove(rows)
        return Batch(self.limits)

    async def _store(self, rows: Batch, intent: Intent) -> None:
        """Bring one batch through the protocol, from its intent to its commit; release the insert slot at the end."""
        self.state = protocol.step(self.state, protocol.BatchReady(intent), intents=self.intents)
        left_out: frozenset[int] = frozenset()
        has_slot = True
        metadata = protocol.metadata(intent, self.epoch)
        token = protocol.token(self.partition.topic, self.partition.partition, intent, self.epoch) + self.salt
        try:
            attempt = 0
            while True:
                match self.state:
                    case protocol.Declaring():
                        event = await self._commit(intent.first, metadata, "intent")
                    case protocol.Inserting():
                        if self.intents and self.clock() - self._committed_at > self.stale_after_s:
                            # Another sink may have the partition by now: then the broker refuses this commit.
                            refused = await self._commit(intent.first, metadata, "intent again")
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
                    case protocol.Isolating():
                        try:
                            if has_slot:  # others may insert meanwhile
                                has_slot = False
                                self.storage.release_slot()
                            left_out |= await self.storage.isolate(
                                self.partition, rows.unpack(), careful=bool(left_out)
                            )
                            while wait_s := self.storage.acquire(full=True):
                                await self.storage.slot_released(wait_s)
                            has_slot = True
                        except Retry as error:
                            attempt += 1
                            self.waiting_for = f"ClickHouse: {error}"
                            await self._back_off(attempt)
                            continue
                        self.crash_at("dead letters sent")
                        event = protocol.Isolated(len(left_out) < len(rows.offsets))
                    case protocol.Closing():
                        event = await self._commit(intent.last + 1, protocol.metadata(None, self.epoch), "close")
                        if isinstance(event, protocol.CommitDone):
                            metrics.ROWS.inc(len(rows.offsets) - len(left_out))
                    case _:
                        break
                self.state = protocol.step(self.state, event, intents=self.intents)
        finally:
            self.in_hand.remove(rows)
            if has_slot:
                self.storage.release_slot()

    async def _insert(self, rows: Batch, left_out: frozenset[int], token: str) -> protocol.Event:
        if not rows.offsets:
            return protocol.Stored()  # retention deleted every record of the intent
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
            self.waiting_for = f"ClickHouse: {error}"
            line("warning", "insert is repeated", partition=self.partition.partition, why=str(error))
            return protocol.InsertUnknown()
        except Refused as error:
            why = without_row_values(str(error))
            line("warning", "insert refused", partition=self.partition.partition, why=why)
            return protocol.InsertRefused()
        self.waiting_for = ""
        metrics.BATCH_ROWS.observe(len(rows.offsets) - len(left_out))
        self.crash_at("after insert")
        return protocol.Stored()

    async def _commit(self, offset: int, text: str, step: str) -> protocol.Event:
        """Commit; try again until Kafka accepts or refuses."""
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
                self.waiting_for = f"Kafka: {error}"
                await self._back_off(attempt)
            else:
                break
        self._committed_at = self.clock()
        self.waiting_for = ""
        self.crash_at(f"after {step}")
        return protocol.CommitDone()

    async def _back_off(self, attempt: int) -> None:
        least, most = BACKOFF_S
        pause = min(most, least * 2 ** min(attempt - 1, 20))
        await asyncio.sleep(pause * (1 + random.random() / 2))  # noqa: S311  spreads retries, nothing secret

    def _named(self, intent: Intent) -> dict[str, Any]:
        return {"partition": self.partition.partition, "from": intent.first, "to": intent.last}
