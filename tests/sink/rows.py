"""Events for the sink's tests: numbered, so that a test can tell which are missing or doubled."""

import uuid

from enricher.contract import Event, encode_row

SPACE = uuid.UUID("5f0c9b3e-6f43-4b7a-9d3b-1f2e3d4c5b6a")
NOVEMBER_MS = 1_795_334_400_000


def event(number: int, *, site: str = "shop", at_ms: int = NOVEMBER_MS, **fields: object) -> Event:
    """Return event `number`; the same number is the same event."""
    at = f"{(at_ms + number) / 1000:.3f}"
    return Event(
        event_id=str(uuid.uuid5(SPACE, str(number))),
        site=site,
        event="pageview",
        kind="tag",
        received_at=at,
        occurred_at=at,
        version=1,
        client_event_id=str(number),
        url=f"https://shop.example/p/{number % 100}",
        host="shop.example",
        path=f"/p/{number % 100}",
        **fields,  # type: ignore[arg-type]
    )


def row(number: int, **fields: object) -> bytes:
    """Return event `number` as its record."""
    return encode_row(event(number, **fields))  # type: ignore[arg-type]


BAD = b'["not a uuid","shop","pageview","tag","1795334400.123","1795334400.123",1]\n'
"""A row that ClickHouse refuses: its event_id is none."""
