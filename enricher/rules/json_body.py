"""The fields of a JSON body and their types. `sent_fields.py` reads their values.

The struct has a module of its own, because `sent_fields.py` is compiled (deploy/native.py) and a struct cannot be.
"""

from typing import Annotated, Final

import msgspec

MAX_PROPS: Final = 32
MAX_PROP_NAME: Final = 64
MAX_PROP_VALUE: Final = 1024

_PropName = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_PROP_NAME)]
_PropValue = Annotated[str, msgspec.Meta(max_length=MAX_PROP_VALUE)] | int | float | bool | None


class Body(msgspec.Struct, frozen=True, gc=False):
    """One event; a field that is absent or null was not sent."""

    event: str | None = None
    url: str | None = None
    referrer: str | None = None
    title: str | None = None
    id: str | int | None = None
    user_id: str | int | None = None
    value: str | int | float | None = None
    currency: str | None = None
    time: str | int | float | None = None
    props: Annotated[dict[_PropName, _PropValue], msgspec.Meta(max_length=MAX_PROPS)] | None = None
    link_code: str | None = None
    click_id: str | None = None


decode: Final = msgspec.json.Decoder(Body).decode
"""Decode a body's text; raises msgspec.ValidationError, naming the field, or msgspec.DecodeError."""
