"""Exactly once from Kafka to ClickHouse: the protocol of one partition as a state machine.

Before offsets [first, last] are inserted, the group's committed offset is `first` and its metadata says `last`.
A sink that finds such an intent first inserts exactly these offsets under the token made of them.
The timestamp of the first record is part of both: a topic that was deleted and created again counts its offsets from 0
again, and its rows must not be mistaken for the old ones.

    Idle --batch--> Declaring --committed--> Inserting --stored--> Closing --committed--> Idle
                                               |    ^                 (any commit refused: Gone)
                                          refused  isolated
                                               v    |
                                              Isolating
    at assignment:  resume() -> Idle, or Refetching --batch--> Inserting

An epoch is part of the token and of every commit's metadata. `python -m sink reset-offsets` raises it: rows that are
read a second time then have new tokens, so ClickHouse stores them again. Epoch 0 is written nowhere.

A broker that keeps no metadata can hold no intent: Declaring is left out, and a crash between Inserting and Closing
repeats rows (at least once; ReplacingMergeTree still shows each event once).

Long: the states and their transitions are read next to each other.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from stage import gap

METADATA_VERSION: Final = 1
EPOCH_VERSION: Final = 2
"""The version of metadata with an epoch; an older sink stops at it."""


class Range(msgspec.Struct, frozen=True):
    """Offsets `first` to `last` of a partition, both included."""

    first: int
    last: int


class Intent(msgspec.Struct, frozen=True):
    """The rows of one insert: offsets `first` to `last`, `at` the Kafka timestamp (ms) of the first of them."""

    first: int
    last: int
    at: int


class Committed(msgspec.Struct, frozen=True):
    """What the group has committed for a partition: the next offset, the intent that starts there, and the epoch."""

    offset: int
    intent: Intent | None = None
    epoch: int = 0


class Log(msgspec.Struct, frozen=True):
    """The offsets of a partition that the broker holds: from `start` up to, but without, `end`."""

    start: int
    end: int


class Idle(msgspec.Struct, frozen=True, tag=True):
    """Everything below `offset` is stored, and committed."""

    offset: int


class Refetching(msgspec.Struct, frozen=True, tag=True):
    """An intent was found; `fetch` is the part that the log still holds. It may have been inserted or not."""

    intent: Intent
    fetch: Range


class Declaring(msgspec.Struct, frozen=True, tag=True):
    """The intent is on its way to the broker; nothing was inserted."""

    intent: Intent


class Inserting(msgspec.Struct, frozen=True, tag=True):
    """The intent is committed; ClickHouse has not confirmed. Any number of attempts under the one token."""

    intent: Intent


class Isolating(msgspec.Struct, frozen=True, tag=True):
    """ClickHouse refused the rows: the refused ones go to the dead letters before the rest is inserted."""

    intent: Intent


class Closing(msgspec.Struct, frozen=True, tag=True):
    """The rows are stored; the commit of `last + 1` is on its way."""

    intent: Intent


class Gone(msgspec.Struct, frozen=True, tag=True):
    """The partition is no longer assigned to this sink: nothing is committed any more."""

    why: str


State = Idle | Refetching | Declaring | Inserting | Isolating | Closing | Gone


class BatchReady(msgspec.Struct, frozen=True, tag=True):
    """Rows of these offsets are in hand."""

    intent: Intent


class CommitDone(msgspec.Struct, frozen=True, tag=True):
    """The broker has the commit."""


class CommitRefused(msgspec.Struct, frozen=True, tag=True):
    """The broker refused the commit: another generation owns the partition."""

    why: str


class Stored(msgspec.Struct, frozen=True, tag=True):
    """ClickHouse has the rows, from this attempt or from one before."""


class InsertUnknown(msgspec.Struct, frozen=True, tag=True):
    """No answer, or a temporary error: the rows may be stored or not."""


class InsertRefused(msgspec.Struct, frozen=True, tag=True):
    """ClickHouse refuses these rows."""


class Isolated(msgspec.Struct, frozen=True, tag=True):
    """The refused rows are in the dead letters; the rest is ready. `rest` is False when no row is left."""

    rest: bool


class Revoked(msgspec.Struct, frozen=True, tag=True):
    """The group has revoked the partition."""


Event = BatchReady | CommitDone | CommitRefused | Stored | InsertUnknown | InsertRefused | Isolated | Revoked


class Impossible(Exception):
    """An event that cannot happen in this state: an error of the program, never of its surroundings."""


def step(state: State, event: Event, *, intents: bool) -> State:
    """Return the next state; `intents` says whether the broker keeps a commit's metadata.

    Raises:
        Impossible: the event cannot follow.
    """
    match state, event:
        case Gone(), _:
            return state
        case _, CommitRefused(why):
            return Gone(why)
        case _, Revoked():
            return Gone("revoked")
        case Idle(offset), BatchReady(rows) if rows.first >= offset:
            return Declaring(rows) if intents else Inserting(rows)
        case Refetching(intent), BatchReady(rows) if rows == intent:
            return Inserting(intent)
        case Declaring(intent), CommitDone():
            return Inserting(intent)
        case Inserting(), InsertUnknown():
            return state
        case Inserting(intent), Stored():
            return Closing(intent)
        case Inserting(intent), InsertRefused():
            return Isolating(intent)
        case Isolating(intent), Isolated(rest):
            return Inserting(intent) if rest else Closing(intent)
        case Closing(intent), CommitDone():
            return Idle(intent.last + 1)
    raise Impossible(f"{event} in {state}")


def resume(committed: Committed | None, log: Log) -> State:
    """Return where to begin with a partition just assigned.

    Of an intent that the log no longer holds whole (retention deleted its start, or the log lost its end), the rest is
    inserted under the intent's token: if it was stored before, ClickHouse drops it, and nothing is doubled.
    An offset past the log's end means another log under the old name: it is read from its start.
    """
    if committed is None:
        return Idle(log.start)
    intent = committed.intent
    if intent is None:
        return Idle(max(committed.offset, log.start) if committed.offset <= log.end else log.start)
    fetch = Range(max(intent.first, log.start), min(intent.last, log.end - 1))
    if fetch.first <= fetch.last:
        return Refetching(intent, fetch)
    return Idle(log.start)


def lost(committed: Committed | None, log: Log) -> tuple[int, int]:
    """Return (first offset, number) of the records that are gone from the log and, as far as we know, not stored.

    Of an intent that the log no longer holds whole, the missing part counts: it may be stored or not.
    """
    if committed is None:
        return 0, 0
    intent = committed.intent
    if intent is None:
        return committed.offset, gap.lost(committed.offset, log.start, log.end)
    missing = Range(max(intent.first, log.start), min(intent.last, log.end - 1))
    held = max(0, missing.last + 1 - missing.first)
    return intent.first, max(log.start if log.start > intent.last else 0, intent.last + 1) - intent.first - held


def whole(committed: Committed | None, log: Log) -> bool:
    """Return whether the log holds what was committed; after a change of leader it may take a while to."""
    if committed is None:
        return True
    last = committed.offset - 1 if committed.intent is None else committed.intent.last
    return last < log.end


def token(topic: str, partition: int, intent: Intent, epoch: int = 0) -> str:
    """Return the deduplication token: the same for the same rows in one epoch, for every sink and every attempt."""
    return f"{topic}:{partition}:{intent.first}-{intent.last}:{intent.at}" + (f":{epoch}" if epoch else "")


class _Metadata(msgspec.Struct, frozen=True):
    v: int
    to: int | None = None
    at: int = 0
    epoch: int = 0


_decoder = msgspec.json.Decoder(_Metadata)


class UnknownMetadata(Exception):
    """Commit metadata that this version cannot read: to continue could double rows."""


def metadata(intent: Intent | None, epoch: int = 0) -> str:
    """Return a commit's metadata: the end of the intent that starts at the committed offset, and the epoch.

    Without an intent in epoch 0 it is "".
    """
    range_ = "" if intent is None else f',"to":{intent.last},"at":{intent.at}'
    if epoch:
        return f'{{"v":{EPOCH_VERSION}{range_},"epoch":{epoch}}}'
    return f'{{"v":{METADATA_VERSION}{range_}}}' if intent else ""


def committed(offset: int, text: str) -> Committed:
    """Read a commit back.

    Raises:
        UnknownMetadata: not written by a sink of this version.
    """
    if not text:
        return Committed(offset)
    try:
        read = _decoder.decode(text)
    except msgspec.DecodeError as error:
        raise UnknownMetadata(f"commit metadata {text!r}: {error}") from None
    if read.v not in (METADATA_VERSION, EPOCH_VERSION):
        known = f"{METADATA_VERSION} and {EPOCH_VERSION}"
        raise UnknownMetadata(f"commit metadata {text!r}: version {read.v}, this sink knows {known}")
    if read.epoch < 0 or (read.epoch > 0) != (read.v == EPOCH_VERSION):
        raise UnknownMetadata(f"commit metadata {text!r}: version {read.v} with epoch {read.epoch}")
    if read.to is None:
        return Committed(offset, None, read.epoch)
    if read.to < offset:
        raise UnknownMetadata(f"commit metadata {text!r}: ends before its start {offset}")
    return Committed(offset, Intent(offset, read.to, read.at), read.epoch)


def reset(found: Committed | None, start: int, target: int, epoch: int) -> Committed | None:
    """Return what to commit so that a partition is read again from `target` under a new epoch.

    Returns None if nothing from `target` on was consumed: a reset never skips records. An intent that reaches `target`
    is read again from its start: its rows may be stored under the old token, and those from `target` on may be deleted.
    Without a commit everything is read, from the log's `start`.
    """
    if found is None:
        return Committed(start, None, epoch)
    last = found.offset - 1 if found.intent is None else found.intent.last
    return None if target > last else Committed(min(target, found.offset), None, epoch)


def next_epoch(found: Iterable[Committed], now_s: int) -> int:
    """Return an epoch that no partition had, even where the commits of an earlier reset are gone: at least the time."""
    return max([now_s, *(one.epoch + 1 for one in found)])


PROBE: Final = f'{{"v":{METADATA_VERSION}}}'
"""Metadata without an intent: the sink writes it and reads it back, to learn whether the broker keeps metadata."""
