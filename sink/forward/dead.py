"""What the forwarder writes to `forward.dead`: an event that a platform refused for good, with the platform's words."""

from typing import Final

import msgspec


class DeadForward(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="v", tag=1):
    """One refused event. It has no data of a person: the event can be found in ClickHouse by its id."""

    destination: str
    """Example: "meta-shop"."""
    site: str
    event_id: str
    """Example: "019aa0b1-c2d3-7e4f-8a9b-acbdcedfe0f1"."""
    reason: str
    """`refused` by the platform, or `not_stored`: ClickHouse did not have the event within the time that one waits."""
    detail: str = ""
    """The platform's words, on one line."""
    at: int
    """When, milliseconds since the epoch."""


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(DeadForward)


def encode(dead: DeadForward) -> bytes:
    """Return the record's bytes: a JSON object."""
    return _encoder.encode(dead)


def decode(record: bytes) -> DeadForward:
    """Read a record; raises msgspec.DecodeError."""
    return _decoder.decode(record)
