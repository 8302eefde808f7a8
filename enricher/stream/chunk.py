"""Records of `hits.raw` in, rows or refusals out: one, or a chunk of them.

Rule: pure; order of work changes no answer. Of a chunk first the hits whose user agent has been met before, each from
its record to its row while it is in the processor's cache. Hits with a new user agent wait for one another until the
end, since the tables that judge them fit in no cache beside the rest.
"""

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from collector.contract import Hit
from collector.contract import decode as decode_hit
from enricher.row.enrich import Enricher
from enricher.rules.sent_fields import Refusal
from enricher.stream.record_batch import Records

_TURN: Final = 500
"""Records: a millisecond or two; some 6 ms where each has a new user agent, and many times that for very long ones."""


def to_hit(record: bytes) -> Hit | Refusal:
    """Return the hit that a record of `hits.raw` holds; never fails."""
    try:
        return decode_hit(record)
    except msgspec.ValidationError as error:
        unknown = str(error).endswith("`$.v`")
        return Refusal("unknown_version" if unknown else "undecodable", str(error)[:200])
    except (msgspec.DecodeError, UnicodeError):
        return Refusal("undecodable", "not JSON")


def judge(enrich: Callable[[Hit], bytes | Refusal], record: bytes) -> bytes | Refusal:
    """Return what a record of `hits.raw` becomes, its row or why there is none; never fails."""
    hit = to_hit(record)
    return hit if isinstance(hit, Refusal) else enrich(hit)


class Judging:
    """The judgement of a chunk: `rows` has its rows, and `refused` the rest, once `turns` has come to its end."""

    def __init__(self, enricher: Enricher, records: list[bytes], timestamps: list[int], rows: Records) -> None:
        """Judge `records`; each row takes its record's timestamp along. Rows come in no order."""
        self._enricher = enricher
        self._records = records
        self._timestamps = timestamps
        self._rows = rows
        self._new: list[int] = []
        self._new_hits: list[Hit] = []
        self.refused: dict[int, Refusal] = {}
        """Why there is no row, by the record's place."""

    def turns(self) -> Iterator[None]:
        """Judge, and pause every few milliseconds, so that others get their turn."""
        for start in range(0, len(self._records), _TURN):
            self._judge_familiar(start, min(start + _TURN, len(self._records)))
            yield
        for start in range(0, len(self._new), _TURN):
            self._judge_new(start, start + _TURN)
            yield

    def _judge_familiar(self, start: int, end: int) -> None:
        for place in range(start, end):
            hit = to_hit(self._records[place])
            if isinstance(hit, Refusal):
                self.refused[place] = hit
                continue
            made = self._enricher.enrich_familiar(hit)
            if made is None:
                self._new.append(place)
                self._new_hits.append(hit)
            else:
                self._take(place, made)

    def _judge_new(self, start: int, end: int) -> None:
        made = self._enricher.enrich_all(self._new_hits[start:end])
        for place, each in zip(self._new[start:end], made, strict=True):
            self._take(place, each)

    def _take(self, place: int, made: bytes | Refusal) -> None:
        if isinstance(made, Refusal):
            self.refused[place] = made
        else:
            self._rows.add(made, self._timestamps[place])
