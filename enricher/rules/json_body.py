"""The fields of a JSON body and their types. `sent_fields.py` reads their values.

The struct has a module of its own, because `sent_fields.py` is compiled (deploy/native.py) and a struct cannot be.
"""

import json
from typing import Annotated, Any, Final, Union

import msgspec

from collector.contract.fields import MAX_PROP_NAME, MAX_PROP_VALUE, MAX_PROPS, TABLE, Field

_PropName = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_PROP_NAME)]
_PropValue = Annotated[str, msgspec.Meta(max_length=MAX_PROP_VALUE)] | int | float | bool | None
_INTEGER_DIGITS: Final = 20
"""Longest integer that is read as one; a longer one is read as a float, which takes linear time."""


def _type(field: Field) -> Any:
    """Return the JSON types that are read: text, which the collector writes, and the numbers that it takes."""
    return Union[(*(kind for kind in field.types if kind is not bool), None)]


Body: Final = msgspec.defstruct(
    "Body",
    [
        *((field.name, _type(field), None) for field in TABLE if field.stored),
        ("props", Annotated[dict[_PropName, _PropValue], msgspec.Meta(max_length=MAX_PROPS)] | None, None),
        ("link_code", str | None, None),
        ("click_id", str | None, None),
    ],
    frozen=True,
    gc=False,
)
"""One event: the stored fields of the contract's table in its order, then `props`, `link_code` and `click_id`.

A field that is absent or null was not sent."""


decode: Final = msgspec.json.Decoder(Body).decode
"""Decode a body's text; raises msgspec.ValidationError, naming the field, or msgspec.DecodeError."""


class NotAnEvent(ValueError):
    """The text is not a JSON object."""


def decode_usable(text: str) -> tuple[msgspec.Struct, tuple[str, ...]]:
    """Decode what is usable of a body that `decode` refuses; return it with the names of the fields that are not.

    An unusable property costs only itself, and is named "props". Half of a surrogate pair becomes U+FFFD.

    Raises:
        NotAnEvent: the text is not a JSON object.
    """
    try:
        sent = json.loads(text, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise NotAnEvent("not JSON") from error
    if not isinstance(sent, dict):
        raise NotAnEvent("not a JSON object")
    usable: dict[str, Any] = {}
    dropped: list[str] = []
    for name in Body.__struct_fields__:
        value = sent.get(name)
        if name == "props":
            value, whole = _usable_props(value)
            if not whole:
                dropped.append(name)
        elif isinstance(value, str):
            value = _without_surrogates(value)
        if value is None:
            continue
        try:
            msgspec.convert({name: value}, Body)
        except msgspec.ValidationError:
            dropped.append(name)
        else:
            usable[name] = value
    return msgspec.convert(usable, Body), tuple(dropped)


def _usable_props(sent: object) -> tuple[dict[str, Any] | None, bool]:
    """Return the usable properties, and whether these are all; an empty array is an empty object, as PHP writes it."""
    if sent is None or sent == []:
        return None, True
    if not isinstance(sent, dict):
        return None, False
    usable: dict[str, Any] = {}
    for name, value in sent.items():
        name = _without_surrogates(name)
        if isinstance(value, str):
            value = _without_surrogates(value)
        try:
            msgspec.convert({"props": {name: value}}, Body)
        except msgspec.ValidationError:
            continue
        if len(usable) < MAX_PROPS:
            usable[name] = value
    return usable, len(usable) == len(sent)


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _INTEGER_DIGITS else float(digits)


def _without_surrogates(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
