"""What was just written to the spool, kept in memory until it goes to Kafka, so that it need not be read back.

Rule: plain blocks grow together here and are compressed as they come. All of a batch at once, when it leaves, would
keep live requests waiting for as long as a dozen of them take.
"""

from collections import deque
from typing import Final

from collector.spool.acknowledged import Position
from collector.spool.block import Block, compressed
from collector.spool.inventory import Chunk

_GROWN_BYTES: Final = 32 << 10
"""Of plain blocks side by side that become one: some 30 µs of compressing."""
_WORTH_BYTES: Final = 2 << 10
"""Of those that become one earlier, since what follows does not go on with them: compressed already, or a new batch."""


class Recent:
    """Chunks in the spool's order, of at most so many bytes; past that the oldest are forgotten."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes: Final = most_bytes
        self._chunks: Final[deque[Chunk]] = deque()
        self._run = 0
        """Chunks at the end that are plain, of one batch, and follow each other in one segment."""
        self._run_bytes = 0
        self._begun = 0
        """Chunks that begin a batch."""
        self.bytes = 0
        """Of the blocks as they are now."""

    def __len__(self) -> int:
        return len(self._chunks)

    @property
    def start(self) -> Position:
        """Where the oldest stands; there must be one."""
        return self._chunks[0].start

    @property
    def has_whole_batch(self) -> bool:
        """Tell whether another batch begins behind the oldest."""
        return self._begun > 1 or (self._begun == 1 and self._chunks[0].block.first != 0)

    def add(self, chunk: Chunk) -> None:
        """Take what was written last."""
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
        """Return the oldest and all that go into its batch, and forget them; there must be one."""
        found = [self.pop()]
        while self._chunks and self._chunks[0].block.first:
            found.append(self.pop())
        return found

    def pop(self) -> Chunk:
        """Return the oldest, and forget it."""
        chunk = self._chunks.popleft()
        size = len(chunk.block.data)
        self._begun -= chunk.block.first == 0
        self.bytes -= size
        if self._run > len(self._chunks):
            self._run -= 1
            self._run_bytes -= size
        return chunk

    def _end_run(self) -> None:
        """Make one of the plain chunks at the end, where that is worth it."""
        if self._run_bytes >= _WORTH_BYTES:
            run = [self._chunks.pop() for _ in range(self._run)]
            run.reverse()
            plain = b"".join([chunk.block.data for chunk in run])
            data = compressed(plain)
            block = Block(run[0].block.first, sum([chunk.block.hits for chunk in run]), len(plain), data)
            self._chunks.append(Chunk(run[0].start, run[-1].end, block))
            self.bytes += len(data) - len(plain)
        self._run = self._run_bytes = 0
