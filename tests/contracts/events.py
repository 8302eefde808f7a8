"""Random events as strangers send them: queries and bodies from a grammar of awkward pieces."""

import json
import random
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote, quote_plus

from collector.contract.fields import TABLE

NOW_MS: Final = 1_795_334_400_000
_HUGE: Final = "@huge@"
"""A text that becomes a number which no machine holds."""

ADDRESSES: Final = (
    "http", "https", "HTTPS", "ftp", "android-app", "about", "mailto", "view-source", ":", ":/", "://", "//", "/",
    "\\", "?", "#", "@", "[", "]", "[::1]", "%", "%2F", "%252F", "%3A", "%E4", "%00", "%zz", "shop", ".example", ".",
    "shop.example", "xn--mnchen-3ya.de", "münchen.de", "ß", "a" * 253, "ü" * 64, "80", ":443", ":65536", ":0x1",
    "²", ":٣", " ", "\t", "\n", "\x7f", "\ufffd", "undefined", "user:pass", "a=1&b=2", "blank",
)  # fmt: skip
_GOOD: Final[dict[str, tuple[Any, ...]]] = {
    "site": ("demo",),
    "event": ("purchase", "a.b:c-d_9", ""),
    "url": ("https://shop.example/p?x=1", "/p", "about:blank", "HTTPS://A.example", "http://[::1]:80/"),
    "referrer": ("https://www.google.com/", "android-app://com.example", ""),
    "title": ("A title", "😀", 404),
    "id": ("order-1", 4711, "😀" * 256),
    "value": ("9.90", "33.333333", "-0.00005", "+12", "1000", 0.1 + 0.2, 5, "99999999999999.99999", "000"),
    "currency": ("EUR", "eur"),
    "user_id": ("u-1", 42, "a@b"),
    "consent": ("1", "0", True, False, 1, "no"),
    "time": (NOW_MS, NOW_MS // 1000, f"0{NOW_MS}", "2026-11-22T08:00:00Z", "2026-11-22t07:59:59.5z",
             "2026-11-22 09:00:00+01:00", "2026-11-22T08:00:00,25+00:00", "20261122T080000+00:00"),
    "age": (0, 5, "259200000", 12.0),
    "webdriver": ("1", "0", True, 1),
    "visitor_id": ("v-1", "9f86d081884c7d659a2feaa0c55ad015"),
    "ip": ("203.0.113.9", "203.0.113.9:80, 10.0.0.1", "2001:db8::1"),
    "user_agent": ("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "curl/8"),
    "sent_at": (NOW_MS, NOW_MS + 86_400_000, "2026-11-22T08:00:00Z"),
}  # fmt: skip
_ODD: Final[tuple[Any, ...]] = (
    "", " ", "\t", "\x00", "-", "+", ".", "1.", ".5", "1,5", "1e3", "-1", "٣", "9" * 15, "NaN", "Infinity", "€", "EURO",
    "a@b.example", " a@b.example ", "undefined", "null", "x" * 257, "x" * 8193, "é" * 8192, "\ud83d", "%", "%zz", "%41",
    "{{page_url}}", "yesterday", "2026-11-22", "2026-11-22T08:00:00", "9999-12-31T23:59:59-23:59", "1", "17953344",
    "9" * 14, "0001-01-01T00:00:00+14:00", 0, -1, 1.5, 1e300, 2**70, True, False, None, [], {}, [1], {"a": 1}, _HUGE,
)  # fmt: skip
_NAMES: Final = (
    "plan", "größe", "", "x" * 64, "x" * 65, "é" * 64, "a=b", "a&b", "\ud83d", "%", "A+B", "amp;", *map(str, range(40)),
)  # fmt: skip
_FIELDS: Final = tuple(field for field in TABLE if field.name != "site")


def _value(rng: random.Random, name: str) -> Any:
    if name in ("url", "referrer") and rng.random() < 0.4:
        return "".join(rng.choices(ADDRESSES, k=rng.randrange(1, 8)))
    return rng.choice(_GOOD[name] if rng.random() < 0.6 else _ODD)


def _props(rng: random.Random) -> Any:
    if rng.random() < 0.05:
        return rng.choice(_ODD)
    names = rng.choices(_NAMES, k=rng.choice((1, 2, 3, 31, 32, 33, 60)))
    return {name: rng.choice(("x", "y" * 1024, "y" * 1025, 1, 1.5, True, *_ODD)) for name in names}


def event(rng: random.Random, *, server: bool) -> dict[str, Any]:
    """Return an event as an object of JSON values; its site is `demo`."""
    fields = [field for field in _FIELDS if server or not field.server_only]
    chosen = rng.sample(fields, rng.randrange(len(fields)))
    sent = {"site": "demo", **{field.name: _value(rng, field.name) for field in chosen}}
    if rng.random() < 0.4:
        sent["props"] = _props(rng)
    return sent


def body(sent: object) -> bytes:
    """Return the bytes of a body."""
    return json.dumps(sent).replace(f'"{_HUGE}"', "1e999").encode()


def query(rng: random.Random) -> str:
    """Return the query of a pixel, as the collector takes it from a request line: visible ASCII."""
    sent = event(rng, server=False)
    props = sent.pop("props", None)
    pairs = [(field.query, sent[field.name]) for field in TABLE if field.name in sent]
    if isinstance(props, dict):
        pairs += [(f"x.{name}", value) for name, value in props.items()]
    pairs += rng.choices(pairs, k=rng.choice((0, 0, 1)))  # a field that is repeated, perhaps with another value
    if rng.random() < 0.2:
        field = rng.choice([field for field in _FIELDS if field.query])
        pairs.append((field.query, _value(rng, field.name)))
    rng.shuffle(pairs)
    return "&".join(f"{_name(rng, name)}={_escaped(rng, value)}" for name, value in pairs)


def _name(rng: random.Random, name: str) -> str:
    escaped = quote(name.encode("utf-8", "replace"))
    if rng.random() < 0.1:
        escaped = f"%{ord(escaped[0]):02X}{escaped[1:]}" if escaped[0] != "%" else escaped
    return f"amp;{escaped}" if rng.random() < 0.1 else escaped


def _escaped(rng: random.Random, value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    ways: tuple[Callable[[str], str], ...] = (
        lambda text: quote(text.encode("utf-8", "replace"), safe=""),
        lambda text: quote_plus(text.encode("utf-8", "replace")),
        lambda text: quote(text.encode("cp1252", "replace")),
        lambda text: quote(quote(text.encode("utf-8", "replace"), safe="")),
        lambda text: "".join(each for each in text if "!" <= each <= "~" and each not in "&#"),
    )
    return rng.choices(ways, (6, 2, 1, 1, 2))[0](text)
