"""Builds a row from values and pieces. A piece is some neighbouring columns, encoded before.

The bytes are those of `contract.encode_row`: one encoder makes both, and it copies a piece unchanged.
"""

from typing import Final, TypeAlias

import msgspec

Piece: TypeAlias = msgspec.Raw
"""Some neighbouring columns of a row, encoded."""

Value = str | int | bool | dict[str, str] | tuple[str, ...]

_encoder: Final = msgspec.json.Encoder()
_encode: Final = _encoder.encode
_encode_into: Final = _encoder.encode_into
_LINE_FEED: Final = 10
_THOUSANDTHS: Final = [f"{number:03}" for number in range(1000)]
_line: Final = bytearray()
"""The buffer of the row that is being built, by one thread at a time; it grows to the longest row."""


def piece(*columns: Value) -> Piece:
    """Encode neighbouring columns, at least one."""
    return Piece(_encode(columns)[1:-1])


def joined(*pieces: Piece) -> Piece:
    """Return neighbouring pieces as one."""
    return Piece(b",".join(pieces))


def start(of: Piece, size: int) -> Piece:
    """Return the first columns of a piece, which take `size` bytes."""
    return Piece(bytes(of)[:size])


def row(columns: tuple[Value | Piece, ...]) -> bytes:
    """Return the row of these columns, with its line feed; the order is that of `contract.COLUMNS`."""
    _encode_into(columns, _line)
    _line.append(_LINE_FEED)
    return bytes(_line)


def seconds(moment_ms: int) -> str:
    """Return milliseconds as seconds with three decimals."""
    return f"{moment_ms // 1000}.{_THOUSANDTHS[moment_ms % 1000]}"
