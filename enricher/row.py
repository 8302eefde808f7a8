"""How a row is put together: of values, and of pieces, which are columns that go together, encoded beforehand.

Rule: the bytes are those of `contract.encode_row`. One encoder makes both; a piece it copies as it stands.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

Piece: TypeAlias = msgspec.Raw
"""Some neighbouring columns of a row, as they stand in it."""

Value = str | int | bool | dict[str, str]

_encoder: Final = msgspec.json.Encoder()
_encode: Final = _encoder.encode
_encode_lines: Final = _encoder.encode_lines


def piece(*columns: Value) -> Piece:
    """Encode neighbouring columns, at least one."""
    return Piece(_encode(columns)[1:-1])


def joined(*pieces: Piece) -> Piece:
    """Return neighbouring pieces as one."""
    return Piece(b",".join(pieces))


def start(of: Piece, size: int) -> Piece:
    """Return the first columns of a piece, which take `size` bytes."""
    return Piece(bytes(of)[:size])


def rows(*columns: Sequence[Value | Piece]) -> list[bytes]:
    """Return the rows of these columns, each with its line feed; they stand in the order of `contract.COLUMNS`."""
    return _encode_lines(list(zip(*columns, strict=True))).splitlines(keepends=True)
