"""How a row is put together: of values, and of pieces, which are columns that go together, encoded beforehand.

Rule: the bytes are those of `contract.encode_row`. One encoder makes both; a piece it copies as it stands.
"""

from typing import Final, TypeAlias

import msgspec

Piece: TypeAlias = msgspec.Raw
"""Some neighbouring columns of a row, as they stand in it."""

Value = str | int | bool | dict[str, str]

_encoder: Final = msgspec.json.Encoder()
_encode: Final = _encoder.encode
_encode_into: Final = _encoder.encode_into
_LINE_FEED: Final = 10
_THOUSANDTHS: Final = [f"{number:03}" for number in range(1000)]
_line: Final = bytearray()
"""Where a row is put together, by one thread at a time; big enough before long."""


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
    """Return the row of these columns, with its line feed; they stand in the order of `contract.COLUMNS`."""
    _encode_into(columns, _line)
    _line.append(_LINE_FEED)
    return bytes(_line)


def seconds(moment_ms: int) -> str:
    """Return milliseconds as seconds with three decimals."""
    return f"{moment_ms // 1000}.{_THOUSANDTHS[moment_ms % 1000]}"
