"""The damage folder: bytes that were no block, and hits that Kafka refused, kept for an operator to look at.

Bounded in bytes and in files. The oldest files are deleted first, and deleted bytes are counted.
"""

from collections import deque
from pathlib import Path
from typing import Final

_MOST_FILES: Final = 1000


class Quarantine:
    """One worker's damage folder, created when it is needed."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder: Final = folder
        self._most_bytes: Final = most_bytes
        self._files: deque[tuple[str, int]] | None = None
        self._bytes = 0
        self.dropped_bytes = 0
        """Bytes deleted, or too large to keep, since the start."""

    def keep(self, name: str, content: bytes) -> None:
        """Write a file; delete the oldest files where the bound asks for it.

        Raises:
            OSError: the disk refuses.
        """
        if len(content) > self._most_bytes:
            self.dropped_bytes += len(content)
            return
        self._folder.mkdir(exist_ok=True)
        if self._files is None:
            found = sorted((path.stat().st_mtime_ns, path.name, path.stat().st_size) for path in self._folder.iterdir())
            self._files = deque((known, size) for _, known, size in found)
            self._bytes = sum(size for _, size in self._files)
        while self._files and (self._bytes + len(content) > self._most_bytes or len(self._files) >= _MOST_FILES):
            oldest, size = self._files[0]
            (self._folder / oldest).unlink(missing_ok=True)
            self._files.popleft()
            self._bytes -= size
            self.dropped_bytes += size
        (self._folder / name).write_bytes(content)
        self._files.append((name, len(content)))
        self._bytes += len(content)
