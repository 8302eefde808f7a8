"""A JSON body's form: the long names, and what each may be. Whether it can be meant is for `said.py` to say.

Rule: the struct stands apart from the code that reads it, which is also compiled (deploy/native.py); a struct is not.
"""

from typing import Annotated, Final

import msgspec

MAX_PROPS: Final = 32
MAX_PROP_NAME: Final = 64
MAX_PROP_VALUE: Final = 1024

_PropName = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_PROP_NAME)]
_PropValue = Annotated[str, msgspec.Meta(max_length=MAX_PROP_VALUE)] | int | float | bool | None


class Body(msgspec.Struct, frozen=True, gc=False):
    """One event; what is absent or null is not said."""

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
"""Read a body's text; raises msgspec.ValidationError, naming the field, or msgspec.DecodeError."""
