"""Newly written chunks of the spool, kept in memory until they go to Kafka, so that they need not be read from disk.

Consecutive uncompressed blocks are joined and compressed as they arrive. To compress a whole batch at once, when it
leaves, would delay requests by the time of a dozen of them.
"""

from collections import deque
from typing import Final

from collector.spool.acknowledged import Position
from collector.spool.block import Block, compressed
from collector.spool.inventory import Chunk

_GROWN_BYTES: Final = 32 << 10
"""Size at which consecutive plain blocks are joined, in bytes: some 30 µs of compression."""
_WORTH_BYTES: Final = 2 << 10
"""Smallest size at which they are joined earlier: the next block is compressed already, or begins a new batch."""


class UnsentBuffer:
    """Chunks in the spool's order, at most `most_bytes`; past that the oldest are dropped."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes: Final = most_bytes
        self._chunks: Final[deque[Chunk]] = deque()
        self._run = 0
        """Number of chunks at the end that are plain, of one batch, and consecutive in one segment."""
        self._run_bytes = 0
        self._begun = 0
        """Number of chunks that begin a batch."""
        self.bytes = 0
        """Bytes of the blocks in their present form."""

    def __len__(self) -> int:
        return len(self._chunks)

    @property
    def start(self) -> Position:
        """Place of the oldest chunk. The buffer must not be empty."""
        return self._chunks[0].start

    @property
    def has_whole_batch(self) -> bool:
        """Whether another batch begins after the oldest chunk."""
        return self._begun > 1 or (self._begun == 1 and self._chunks[0].block.first != 0)

    def add(self, chunk: Chunk) -> None:
        """Add the chunk that was written last."""
        block = chunk.block
        size = len(block.data)
        plain = size == block.plain_bytes
        if self._run and (not plain or block.first == 0 or self._chunks[-1].end != chunk.start):
            self._end_run()
        self._chunks.append(chunk)
        self._begun += block.first == 0
        self.bytes += size
        if plain:
            self._run += 1
            self._run_bytes += size
            if self._run_bytes >= _GROWN_BYTES:
                self._end_run()
        while self.bytes > self._most_bytes:
            self.pop()

    def batch(self) -> list[Chunk]:
        """Remove and return the oldest chunk and the rest of its batch. The buffer must not be empty."""
        found = [self.pop()]
        while self._chunks and self._chunks[0].block.first:
            found.append(self.pop())
        return found

    def pop(self) -> Chunk:
        """Remove and return the oldest chunk."""
        chunk = self._chunks.popleft()
        size = len(chunk.block.data)
        self._begun -= chunk.block.first == 0
        self.bytes -= size
        if self._run > len(self._chunks):
            self._run -= 1
            self._run_bytes -= size
        return chunk

    def _end_run(self) -> None:
        """Join the plain chunks at the end into one, if they are large enough."""
        if self._run_bytes >= _WORTH_BYTES:
            run = [self._chunks.pop() for _ in range(self._run)]
            run.reverse()
            plain = b"".join([chunk.block.data for chunk in run])
            data = compressed(plain)
            block = Block(run[0].block.first, sum([chunk.block.hits for chunk in run]), len(plain), data)
            self._chunks.append(Chunk(run[0].start, run[-1].end, block))
            self.bytes += len(data) - len(plain)
        self._run = self._run_bytes = 0
