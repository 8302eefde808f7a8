"""Records of `hits.raw` in, rows or refusals out: one, or a chunk of them.

Rule: pure; order of work changes no answer. Of a chunk first the hits whose user agent has been met before, a slice
at a time: a slice, and what is remembered, fit in the processor's cache together. Hits with a new user agent wait for
one another until the end, since the tables that judge them fit in no cache beside the rest.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, cast

import msgspec

from collector.contract import Hit
from collector.contract import decode as decode_hit
from enricher.enrich import NO_HIT, Enricher
from enricher.said import Refusal

_SLICE: Final = 125
"""Records; about a millisecond's work."""
_TOGETHER: Final = 500
"""Hits with a new user agent; some 5 ms, and many times that for the longest agents."""


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
    """The judgement of a chunk: `made` stands once `pieces` has come to its end."""

    def __init__(self, enricher: Enricher, records: Sequence[bytes]) -> None:
        self._enricher = enricher
        self._records = records
        self.made: list[bytes | Refusal] = [b""] * len(records)
        """What each record becomes, as `judge` says it."""

    def pieces(self) -> Iterator[None]:
        """Judge, and pause every few milliseconds, so that others get their turn."""
        new: list[int] = []
        new_hits: list[Hit] = []
        for start in range(0, len(self._records), _SLICE):
            hits, refused = _hits(self._records[start : start + _SLICE])
            rows = self._enricher.enrich_familiar(hits)
            if not all(rows):
                for number, row in enumerate(rows):
                    if row is None and number not in refused:
                        new.append(start + number)
                        new_hits.append(hits[number])
            self.made[start : start + _SLICE] = cast(list[bytes | Refusal], rows)
            for number, refusal in refused.items():
                self.made[start + number] = refusal
            yield
        for start in range(0, len(new), _TOGETHER):
            self._enricher.meet(new_hits[start : start + _TOGETHER])
            yield
        for start in range(0, len(new), _SLICE):
            made = self._enricher.enrich_all(new_hits[start : start + _SLICE])
            for place, row in zip(new[start : start + _SLICE], made, strict=True):
                self.made[place] = row
            yield


def _hits(records: Sequence[bytes]) -> tuple[list[Hit], dict[int, Refusal]]:
    """Return the hits of `records`, NO_HIT where there is none, and why there is none, by its place."""
    try:
        return list(map(decode_hit, records)), {}
    except (msgspec.DecodeError, UnicodeError):
        read = [to_hit(record) for record in records]
    refused = {number: each for number, each in enumerate(read) if isinstance(each, Refusal)}
    return [NO_HIT if isinstance(each, Refusal) else each for each in read], refused
