"""The begin of a record of `hits.enriched`: what says whether it concerns a destination. Pure."""

import uuid
from typing import Final

import msgspec

from sink.forward.pending import Key

_LATEST_MS: Final = 4_102_444_800_000
"""The year 2100: no event is later."""


class HeadError(ValueError):
    """The record is no event, and the sink makes a dead letter of it."""


class Head(msgspec.Struct, array_like=True):
    """The first fields of a row."""

    event_id: str
    site: str
    event: str
    kind: str
    received_at: str
    occurred_at: str

    @property
    def key(self) -> Key:
        """Return the event's key."""
        return Key(self.site, self.event_id)

    def occurred_ms(self) -> int:
        """Return when the event occurred, in milliseconds since the epoch.

        Raises:
            HeadError: its time or its id is none; one such id would fail the look-up of all that are asked with it.
        """
        try:
            at_ms = float(self.occurred_at) * 1000
            right = 0 <= at_ms < _LATEST_MS and str(uuid.UUID(self.event_id)) == self.event_id
        except ValueError:
            right = False
        if not right:
            raise HeadError("no event's id and time")
        return round(at_ms)


_decoder: Final = msgspec.json.Decoder(Head)


def read(record: bytes) -> Head:
    """Read a record's head.

    Raises:
        HeadError: it is no row.
    """
    try:
        return _decoder.decode(record)
    except msgspec.DecodeError:
        raise HeadError("no row") from None
