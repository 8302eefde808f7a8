"""One event of a POST as it was sent: a struct with the names of the table of fields, of any JSON types.

A module of its own, for a struct cannot be compiled (deploy/native.py).
"""

from typing import Any, Final

import msgspec

from collector.contract.fields import TABLE

SentEvent: Any = msgspec.defstruct(
    "SentEvent",
    [*((field.name, Any, None) for field in TABLE), ("props", Any, None)],
    forbid_unknown_fields=True,
    omit_defaults=True,
    gc=False,
)
"""A field that was not sent is None."""


class _Events(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    events: list[SentEvent]


decode_one: Final = msgspec.json.Decoder(SentEvent).decode
decode_list: Final = msgspec.json.Decoder(list[SentEvent]).decode
decode_events: Final = msgspec.json.Decoder(_Events).decode
decode_any: Final = msgspec.json.Decoder().decode
encode: Final = msgspec.json.Encoder().encode
"""Writes the fields that are not None, in the order of the table."""
