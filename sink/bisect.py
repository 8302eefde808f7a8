"""Find the rows that ClickHouse refuses, by bisection. The caller sends each question to ClickHouse.

A question is an insert into a table on the Null engine, which checks rows and stores none: the search leaves no parts,
and the accepted rows still go into one insert under the one token of their range.
"""

import re
from collections.abc import Generator
from typing import Final

import msgspec

WINDOW: Final = 512
"""Rows in the first question about them: few, so that many questions stay cheap."""

_AT_ROW: Final = re.compile(r"\bat row (\d+)")


class RefusedRow(msgspec.Struct, frozen=True):
    """A refused row: its index, and ClickHouse's message."""

    index: int
    message: str


def isolate(count: int, *, careful: bool) -> Generator[tuple[int, int], str | None, list[RefusedRow]]:
    """Yield (first, end) of the rows to ask about; is sent None (accepted) or the message. Return the refused.

    Where the message names a row ("at row 7"), the next questions are that row alone and the rows after it; the rows
    before it count as accepted, since ClickHouse reads in order. If the insert of the rest is refused nevertheless,
    isolate again with `careful`: then every part is asked about.
    """
    refused: list[RefusedRow] = []
    todo = [(first, min(first + WINDOW, count)) for first in range(0, count, WINDOW)][::-1]
    while todo:
        first, end = todo.pop()
        message = yield first, end
        if message is None:
            continue
        if end - first == 1:
            refused.append(RefusedRow(first, message))
            continue
        todo += reversed(_part(first, end, message, careful))
    return refused


def _part(first: int, end: int, message: str, careful: bool) -> list[tuple[int, int]]:
    named = _AT_ROW.search(message)
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
        """Count a batch; return whether to stop. After each `least` rows, older batches count half."""
        if self.taken + self.refused >= 2 * self.least:
            self.taken //= 2
            self.refused //= 2
        self.taken += taken
        self.refused += refused
        return self.taken + self.refused >= self.least and self.refused > self.ratio * (self.taken + self.refused)
