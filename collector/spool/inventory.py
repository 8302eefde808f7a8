"""The segments of one worker's spool folder: numbers, paths, sizes. Writer, reader and spool share it."""

from pathlib import Path
from typing import NamedTuple

from collector.spool.acknowledged import Position
from collector.spool.block import Block


class Chunk(NamedTuple):
    """A block and its place in the spool."""

    start: Position
    end: Position
    block: Block


class Limits(NamedTuple):
    """Bounds of one worker's spool."""

    most_bytes: int
    free_bytes: int = 0
    segment_bytes: int = 64 << 20
    segment_s: float = 300
    keep_s: float = 0
    batch_bytes: int = 256 << 10
    """Compressed size of the blocks that are numbered as one Kafka batch; a single block may be larger."""
    batch_plain_bytes: int = 4 << 20
    """The same before compression: a consumer of the batch must hold it in memory."""


class Inventory:
    """The account of the folder. Changed by the worker's event loop only."""

    def __init__(self) -> None:
        self.sizes: dict[int, int] = {}
        """Bytes of each segment, by number."""
        self.paths: dict[int, Path] = {}
        self.live = 1
        """Number of the segment that takes the next block; its file may not exist yet."""
        self.trouble = ""
        """Why hits are refused now: full, floor, fsync, or an errno's name; empty: they are accepted."""

    @property
    def disk_bytes(self) -> int:
        """Bytes of all segments, acknowledged ones included."""
        return sum(self.sizes.values())

    def add(self, number: int, path: Path, size: int) -> None:
        """Add a segment."""
        self.paths[number] = path
        self.sizes[number] = size

    def remove(self, number: int) -> None:
        """Remove a segment from the account; its file is not touched."""
        del self.sizes[number], self.paths[number]
