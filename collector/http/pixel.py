"""The pixel's bytes and the headers of every answer that counts a hit."""

from typing import Final

GIF: Final = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00"
    b"!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
"""43 bytes: one transparent pixel."""

COUNTED_HEADERS: Final = {
    "Cache-Control": "no-store, no-cache, must-revalidate, private, max-age=0",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
    "Timing-Allow-Origin": "*",
}
"""On every answer that counts (or refuses) a hit: never cached, no validators."""

RETRY_AFTER_S: Final = 5
"""What a 503 asks the sender to wait."""
