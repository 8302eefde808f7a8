"""Enriches one record of `hits.raw`, or a chunk of them, into rows or refusals. The order of work changes no result.

Of a chunk, hits with a known user agent come first: each goes from its record to its row while it is in the processor's
cache. Hits with a new user agent come last and together, because the tables for them do not fit into that cache with
everything else.
"""

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from collector.contract import Hit
from collector.contract import decode as decode_hit
from enricher.row.enrich import Enricher
from enricher.rules.sent_fields import Refusal
from enricher.stream.record_batch import BatchWriter

_STEP_S: Final = 0.002
"""A step ends after this many seconds, so that others get their turn."""
_CLOCK_EVERY: Final = 8
"""Hits between two looks at the clock. The longest hit takes less than 2 ms (python -m tests.growth)."""
_NEW_HITS: Final = 500
_NEW_CHARACTERS: Final = 150_000
"""New clients are read this many at a time, by number or by the length of their user agents: 5 ms either way."""


def to_hit(record: bytes) -> Hit | Refusal:
    """Return the hit that a record of `hits.raw` holds; never fails."""
    try:
        return decode_hit(record)
    except msgspec.ValidationError as error:
        unknown = str(error).endswith("`$.v`")
        return Refusal("unknown_version" if unknown else "undecodable", str(error)[:200])
    except (msgspec.DecodeError, UnicodeError):
        return Refusal("undecodable", "not JSON")


def enrich_record(enrich: Callable[[Hit], bytes | Refusal], record: bytes) -> bytes | Refusal:
    """Return the row that a record of `hits.raw` becomes, or the Refusal; never fails."""
    hit = to_hit(record)
    return hit if isinstance(hit, Refusal) else enrich(hit)


class ChunkEnrichment:
    """The work on a chunk. When `steps` has ended, `rows` has its rows and `refused` the records without one."""

    def __init__(
        self,
        enricher: Enricher,
        records: list[bytes],
        timestamps: list[int],
        rows: BatchWriter,
        clock: Callable[[], float],
    ) -> None:
        """Prepare the work. Each row gets its record's timestamp; the order of the rows is not that of the records.

        `clock` returns seconds, and never an earlier moment than before.
        """
        self._enricher = enricher
        self._records = records
        self._timestamps = timestamps
        self._rows = rows
        self._clock = clock
        self._new: list[int] = []
        self._new_hits: list[Hit] = []
        self.refused: dict[int, Refusal] = {}
        """Why there is no row, by the record's place."""

    def steps(self) -> Iterator[None]:
        """Do the work, and pause after each few milliseconds."""
        clock, enricher = self._clock, self._enricher
        end = clock() + _STEP_S
        for place, record in enumerate(self._records):
            if place % _CLOCK_EVERY == 0 and clock() >= end:
                yield
                end = clock() + _STEP_S
            hit = to_hit(record)
            if isinstance(hit, Refusal):
                self.refused[place] = hit
                continue
            made = enricher.enrich_familiar(hit)
            if made is None:
                self._new.append(place)
                self._new_hits.append(hit)
            else:
                self._take(place, made)
        for start, stop in blocks([len(hit.user_agent) for hit in self._new_hits]):
            yield
            hits = self._new_hits[start:stop]
            clients = enricher.clients_of(hits)
            end = clock() + _STEP_S
            for place, hit, client in zip(self._new[start:stop], hits, clients, strict=True):
                if place % _CLOCK_EVERY == 0 and clock() >= end:
                    yield
                    end = clock() + _STEP_S
                self._take(place, enricher.row_of(hit, client))

    def _take(self, place: int, made: bytes | Refusal) -> None:
        if isinstance(made, Refusal):
            self.refused[place] = made
        else:
            self._rows.add(made, self._timestamps[place])


def blocks(lengths: list[int]) -> list[tuple[int, int]]:
    """Return begin and end of each block of new hits; `lengths` are those of their user agents."""
    found: list[tuple[int, int]] = []
    start = characters = 0
    for place, length in enumerate(lengths):
        if place > start and (place - start >= _NEW_HITS or characters + length > _NEW_CHARACTERS):
            found.append((start, place))
            start = place
            characters = 0
        characters += length
    if start < len(lengths):
        found.append((start, len(lengths)))
    return found
