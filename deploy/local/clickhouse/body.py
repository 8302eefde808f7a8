"""A statement's text as it arrives: the URL's `query`, a line feed, then the body, decoded and bounded."""

from collections.abc import Mapping
from typing import Final

from aiohttp import BodyPartReader, web

from deploy.local.clickhouse import coding
from deploy.local.clickhouse.engine import QueryError
from deploy.local.clickhouse.statement import HEAD_BYTES

STATEMENT_MAX_BYTES: Final = 16 << 20
"""Of a statement that is not an INSERT with rows; those are bounded by nothing but ClickHouse."""
PIECE_BYTES: Final = 1 << 20
CODED_BODY_MAX_BYTES: Final = 256 << 20
"""Of a compressed body, which is inflated in memory."""


class Body:
    """A statement's text: the URL's `query`, a line feed, then the body, decoded."""

    def __init__(
        self, before: bytes, request: web.Request, whole: bytes | None, parameters: Mapping[str, str] | None = None
    ) -> None:
        self._before = before
        self._stream = request.content
        self._whole = whole
        self.ended = False
        self.parameters: Final = parameters or {}
        """Those that came in the body and not in the URL, by name."""

    @classmethod
    async def of(cls, request: web.Request) -> "Body":
        before = request.query.get("query", "").encode()
        name = request.headers.get("Content-Encoding", "").lower()
        native = request.query.get("decompress") in ("1", "true")
        if request.content_type.startswith("multipart/"):
            fields = await _fields(request)
            return cls(fields.pop("query", before.decode()).encode(), request, b"", fields)
        whole = None
        if name not in ("", "identity") or native:
            packed = await _limited(request, CODED_BODY_MAX_BYTES)
            try:
                plain = coding.inflate(name, packed) if name not in ("", "identity") else packed
                whole = b"".join(coding.blocks(plain)) if native else plain
            except LookupError:
                raise QueryError.named(48, "NOT_IMPLEMENTED", f"Unknown Content-Encoding {name}") from None
            except ValueError as broken:
                raise QueryError.named(271, "CANNOT_DECOMPRESS", f"Cannot decompress the body: {broken}") from broken
        if before and (request.can_read_body or whole):
            before += b"\n"
        return cls(before, request, whole)

    async def head(self) -> bytes:
        """Return at least the first HEAD_BYTES, or everything."""
        text = self._before
        while len(text) < HEAD_BYTES and not self.ended:
            text += await self.piece()
        return text

    async def piece(self) -> bytes:
        """Return the next bytes; empty only at the end."""
        if self.ended:
            return b""
        if self._whole is not None:
            self.ended = True
            return self._whole
        data = await self._stream.read(PIECE_BYTES)
        self.ended = not data
        return data

    async def rest(self, head: bytes) -> str:
        """Return the whole statement as text."""
        parts, length = [head], len(head)
        while not self.ended:
            parts.append(await self.piece())
            length += len(parts[-1])
            if length > STATEMENT_MAX_BYTES:
                raise _too_large()
        return b"".join(parts).decode("utf-8", "replace")


async def _fields(request: web.Request) -> dict[str, str]:
    """Return the statement and its parameters: clickhouse-connect sends long ones like this, and not in the URL."""
    found: dict[str, str] = {}
    length = 0
    async for part in await request.multipart():
        name = (part.name or "") if isinstance(part, BodyPartReader) and part.filename is None else ""
        if not isinstance(part, BodyPartReader) or (name != "query" and not name.startswith("param_")):
            raise QueryError.named(48, "NOT_IMPLEMENTED", "External tables are not supported here")
        text = bytearray()
        while piece := await part.read_chunk():
            length += len(piece)
            if length > STATEMENT_MAX_BYTES:
                raise _too_large()
            text += piece
        found[name.removeprefix("param_")] = text.decode("utf-8", "replace")
    return found


def _too_large() -> QueryError:
    return QueryError.named(66, "QUERY_IS_TOO_LARGE", f"Statement is longer than {STATEMENT_MAX_BYTES} bytes")


async def _limited(request: web.Request, most: int) -> bytes:
    parts, length = [], 0
    async for piece in request.content.iter_chunked(PIECE_BYTES):
        length += len(piece)
        if length > most:
            raise QueryError.named(229, "QUERY_IS_TOO_LARGE", f"Compressed body is longer than {most} bytes")
        parts.append(piece)
    return b"".join(parts)
