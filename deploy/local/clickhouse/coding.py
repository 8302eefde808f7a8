"""The wire of ClickHouse's HTTP interface: content codings, native compressed blocks, content types, statuses."""

import struct
from collections.abc import Iterator
from typing import Any, Final, Protocol

import clickhouse_cityhash.cityhash
import cramjam

CODINGS: Final = ("lz4", "zstd", "gzip", "br", "deflate")
"""What we read and write, the cheapest first; a client's list is served in this order."""

_BLOCK: Final = struct.Struct("<BII")
_LZ4, _ZSTD, _PLAIN = 0x82, 0x90, 0x02
_BLOCK_BYTES: Final = 1 << 20
_BLOCK_MAX_BYTES: Final = 1 << 30


class Compressor(Protocol):
    """Compresses one response, piece by piece."""

    def add(self, data: bytes) -> bytes:
        """Return what can be sent after `data`, all of it decodable by the receiver."""

    def end(self) -> bytes:
        """Return the last bytes."""


class _Coded:
    def __init__(self, coder: Any) -> None:
        self._coder = coder

    def add(self, data: bytes) -> bytes:
        self._coder.compress(data)
        return bytes(self._coder.flush())

    def end(self) -> bytes:
        return bytes(self._coder.finish())


class _Blocks:
    """`compress=1`: blocks of ClickHouse's native protocol, checksum first (CityHash128 of version 1.0.2)."""

    def add(self, data: bytes) -> bytes:
        view = memoryview(data)
        return b"".join(_block(bytes(view[at : at + _BLOCK_BYTES])) for at in range(0, len(data), _BLOCK_BYTES))

    def end(self) -> bytes:
        return b""


class _Plain:
    def add(self, data: bytes) -> bytes:
        return data

    def end(self) -> bytes:
        return b""


def choose(accepted: str) -> str:
    """Return the coding to answer with, given an `Accept-Encoding`; empty: do not encode."""
    offered = {
        part.split(";")[0].strip().lower() for part in accepted.split(",") if not part.replace(" ", "").endswith(";q=0")
    }
    return next((coding for coding in CODINGS if coding in offered), "")


def compressor(coding: str, *, native: bool) -> Compressor:
    """Return the compressor of a content coding (empty: none), or of native blocks."""
    if native:
        return _Blocks()
    match coding:
        case "lz4":
            return _Coded(cramjam.lz4.Compressor())
        case "zstd":
            return _Coded(cramjam.zstd.Compressor(level=1))
        case "gzip":
            return _Coded(cramjam.gzip.Compressor(level=1))
        case "br":
            return _Coded(cramjam.brotli.Compressor(level=3))
        case "deflate":
            return _Coded(cramjam.zlib.Compressor(level=1))
    return _Plain()


def inflate(coding: str, body: bytes) -> bytes:
    """Return a request's body without its content coding.

    Raises:
        LookupError: the coding is not in CODINGS.
        ValueError: the body is not in that coding.
    """
    readers = {
        "lz4": cramjam.lz4.decompress,
        "zstd": cramjam.zstd.decompress,
        "gzip": cramjam.gzip.decompress,
        "br": cramjam.brotli.decompress,
        "deflate": cramjam.zlib.decompress,
    }
    try:
        return bytes(readers[coding](body))
    except cramjam.DecompressionError as broken:
        raise ValueError(str(broken)) from broken


def _block(data: bytes) -> bytes:
    packed = bytes(cramjam.lz4.compress_block(data, store_size=False))
    content = _BLOCK.pack(_LZ4, len(packed) + _BLOCK.size, len(data)) + packed
    return _checksum(content) + content


def _checksum(content: bytes) -> bytes:
    # CityHash128 as one number; ClickHouse writes its low half first, each half little-endian.
    whole = clickhouse_cityhash.cityhash.CityHash128(content)
    return struct.pack("<QQ", whole >> 64, whole & 0xFFFFFFFFFFFFFFFF)


def blocks(body: bytes) -> Iterator[bytes]:
    """Yield the contents of native compressed blocks (`decompress=1`).

    Raises:
        ValueError: cut off, a wrong checksum, or a method we do not know.
    """
    at = 0
    while at < len(body):
        head = body[at : at + 16 + _BLOCK.size]
        if len(head) < 16 + _BLOCK.size:
            raise ValueError("cut off in a block's head")
        method, packed_bytes, plain_bytes = _BLOCK.unpack(head[16:])
        content = body[at + 16 : at + 16 + packed_bytes]
        if packed_bytes < _BLOCK.size or len(content) < packed_bytes or plain_bytes > _BLOCK_MAX_BYTES:
            raise ValueError("cut off in a block")
        if _checksum(content) != head[:16]:
            raise ValueError("checksum does not match")
        yield _unpack(method, content[_BLOCK.size :], plain_bytes)
        at += 16 + packed_bytes


def _unpack(method: int, packed: bytes, plain_bytes: int) -> bytes:
    try:
        if method == _LZ4:
            return bytes(cramjam.lz4.decompress_block(packed, output_len=plain_bytes))
        if method == _ZSTD:
            return bytes(cramjam.zstd.decompress(packed, output_len=plain_bytes))
    except cramjam.DecompressionError as broken:
        raise ValueError(str(broken)) from broken
    if method == _PLAIN:
        return packed
    raise ValueError(f"compression method 0x{method:02x} is not known")


def content_type(format_name: str) -> str:
    """Return the `Content-Type` that ClickHouse gives a result in this format."""
    name = format_name.lower()
    if name.startswith(("tabseparated", "tsv")):
        return "text/tab-separated-values; charset=UTF-8"
    if name.startswith("csv"):
        return f"text/csv; charset=UTF-8; header={'present' if 'withnames' in name else 'absent'}"
    if "json" in name and ("eachrow" in name or name in ("jsonlines", "ndjson")):
        return "application/x-ndjson; charset=UTF-8"
    if name.startswith("json"):
        return "application/json; charset=UTF-8"
    if name.startswith(("native", "rowbinary", "parquet", "arrow", "orc", "avro", "msgpack", "npy")):
        return "application/octet-stream"
    if name == "xml":
        return "application/xml; charset=UTF-8"
    return "text/plain; charset=UTF-8"


STREAMED: Final = frozenset(
    """native tabseparated tsv tabseparatedraw tsvraw csv rowbinary jsoneachrow jsonlines ndjson jsoncompacteachrow
    jsonstringseachrow""".split()  # noqa: SIM905
)
"""Formats without head or foot, in lower case: blocks formatted one by one make the whole result."""

_BAD_REQUEST: Final = frozenset(
    """BAD_ARGUMENTS CANNOT_COMPILE_REGEXP CANNOT_PARSE_TEXT CANNOT_PARSE_ESCAPE_SEQUENCE CANNOT_PARSE_QUOTED_STRING
    CANNOT_PARSE_DATE CANNOT_PARSE_DATETIME CANNOT_PARSE_NUMBER CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING CANNOT_PARSE_IPV4
    CANNOT_PARSE_IPV6 CANNOT_PARSE_INPUT_ASSERTION_FAILED CANNOT_PARSE_UUID DUPLICATE_COLUMN ILLEGAL_COLUMN
    ILLEGAL_TYPE_OF_ARGUMENT THERE_IS_NO_COLUMN UNKNOWN_ELEMENT_IN_AST UNKNOWN_TYPE_OF_AST_NODE TOO_DEEP_AST TOO_BIG_AST
    UNEXPECTED_AST_STRUCTURE VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE SYNTAX_ERROR INCORRECT_DATA
    TYPE_MISMATCH""".split()  # noqa: SIM905
)
_NOT_FOUND: Final = frozenset(
    """UNKNOWN_TABLE UNKNOWN_FUNCTION UNKNOWN_IDENTIFIER UNKNOWN_TYPE UNKNOWN_STORAGE UNKNOWN_DATABASE UNKNOWN_SETTING
    UNKNOWN_DIRECTION_OF_SORTING UNKNOWN_AGGREGATE_FUNCTION UNKNOWN_FORMAT UNKNOWN_DATABASE_ENGINE
    UNKNOWN_TYPE_OF_QUERY""".split()  # noqa: SIM905
)
_OTHERS: Final = {
    "REQUIRED_PASSWORD": 401,
    "UNKNOWN_USER": 403,
    "WRONG_PASSWORD": 403,
    "AUTHENTICATION_FAILED": 403,
    "TIMEOUT_EXCEEDED": 408,
    "HTTP_LENGTH_REQUIRED": 411,
    "QUERY_IS_TOO_LARGE": 413,
    "NOT_IMPLEMENTED": 501,
    "SOCKET_TIMEOUT": 503,
    "CANNOT_OPEN_FILE": 503,
    "CANNOT_SCHEDULE_TASK": 503,
}


def status(name: str) -> int:
    """Return the HTTP status that ClickHouse gives an error of this name; 500 for those it does not single out."""
    if name in _BAD_REQUEST:
        return 400
    if name in _NOT_FOUND:
        return 404
    return _OTHERS.get(name, 500)
