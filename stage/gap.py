"""Records that are gone from a Kafka log before they were read."""

from typing import Final

UNKNOWN: Final = 1
"""What counts for a topic that was created again: its old log is gone, and with it the number of records in it."""


def lost(expected: int, start: int, end: int) -> int:
    """Return how many records are gone, for a reader of a log with offsets from `start` up to, but without, `end`.

    `expected` is the offset that the reader would read next. Past the end it belongs to another log of that name.
    """
    if expected > end:
        return UNKNOWN
    return max(0, start - expected)
