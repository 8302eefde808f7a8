"""Find the rows that ClickHouse refuses: halve until each stands alone. Pure: the caller asks ClickHouse.

Asking means inserting into a table on the Null engine, which checks rows and keeps none; so the search leaves no parts
behind, and the good rows still go into one insert under the one token of their range.
"""

import re
from collections.abc import Generator
from typing import Final

import msgspec

WINDOW: Final = 512
"""Rows asked about at once: few, so that many questions stay cheap."""

_AT_ROW: Final = re.compile(r"\bat row (\d+)")


class Bad(msgspec.Struct, frozen=True):
    """A refused row: its index, and ClickHouse's words."""

    index: int
    words: str


def sift(count: int, *, careful: bool) -> Generator[tuple[int, int], str | None, list[Bad]]:
    """Yield (first, end) of the rows to ask about; expect None for good, or ClickHouse's words. Return the bad rows.

    Where the words name a row ("at row 7"), that row is asked about alone, and those after it; those before it are
    taken for good, as ClickHouse reads in order. Should the insert of the rest be refused all the same, sift again,
    `careful`: then every part is asked about.
    """
    bad: list[Bad] = []
    todo = [(first, min(first + WINDOW, count)) for first in range(0, count, WINDOW)][::-1]
    while todo:
        first, end = todo.pop()
        words = yield first, end
        if words is None:
            continue
        if end - first == 1:
            bad.append(Bad(first, words))
            continue
        todo += reversed(_part(first, end, words, careful))
    return bad


def _part(first: int, end: int, words: str, careful: bool) -> list[tuple[int, int]]:
    named = _AT_ROW.search(words)
    row = first + int(named[1]) - 1 if named else -1
    if first <= row < end:
        parts = [(first, row)] * careful + [(row, row + 1), (row + 1, end)]
    else:
        middle = (first + end) // 2
        parts = [(first, middle), (middle, end)]
    return [part for part in parts if part[0] < part[1]]


class Brake:
    """Stops the sink when most rows are refused: then the schema is wrong, not the rows."""

    def __init__(self, ratio: float, least: int) -> None:
        self.ratio = ratio
        self.least = least
        self.taken = 0
        self.refused = 0

    def count(self, taken: int, refused: int) -> bool:
        """Count a batch; return whether to stop. Older batches weigh half after each `least` rows."""
        if self.taken + self.refused >= 2 * self.least:
            self.taken //= 2
            self.refused //= 2
        self.taken += taken
        self.refused += refused
        return self.taken + self.refused >= self.least and self.refused > self.ratio * (self.taken + self.refused)
