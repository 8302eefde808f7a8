"""A Kafka record batch (format 2) around packed records: what `send_batch` of aiokafka takes.

Format: Kafka's documentation, "Record Batch". The methods are those of aiokafka's BatchBuilder that its producer calls.
"""

import struct
from typing import Final

from stage.aiokafka_internals import calc_crc32c

_HEAD: Final = struct.Struct(">qiiBI")
"""Base offset, length of the rest, leader epoch, magic, CRC-32C of the rest after it."""
_BODY: Final = struct.Struct(">hiqqqhii")
"""Attributes, last offset delta, first and last timestamp, producer id, its epoch, base sequence, count."""


class RecordBatch:
    """One batch, complete from the start."""

    def __init__(self, attributes: int, payload: bytes, count: int, first_ms: int, last_ms: int) -> None:
        """Take `count` records (at least one), packed as `attributes` says; the first and the greatest timestamp."""
        self._attributes: Final = attributes
        self._payload = payload
        self._count: Final = count
        self._first_ms: Final = first_ms
        self._last_ms: Final = last_ms
        self._producer = (-1, -1, -1)
        self._buffer: bytearray | None = None

    def close(self) -> None:
        """Do nothing: no record can be added."""

    def closed(self) -> bool:
        return True

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._producer = (producer_id, producer_epoch, base_sequence)

    def _build(self) -> bytearray:
        if self._buffer is None:
            body = _BODY.pack(
                self._attributes, self._count - 1, self._first_ms, self._last_ms, *self._producer, self._count
            )
            batch = bytearray(_HEAD.size)
            batch += body
            batch += self._payload
            self._payload = b""
            crc = calc_crc32c(memoryview(batch)[_HEAD.size :])
            _HEAD.pack_into(batch, 0, 0, len(batch) - _HEAD.size + 9, 0, 2, crc)
            self._buffer = batch
        return self._buffer

    def record_count(self) -> int:
        return self._count

    def size(self) -> int:
        return len(self._build())
