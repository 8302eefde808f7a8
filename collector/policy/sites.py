"""What a site allows: one frozen Site for each table of `sites.toml`, with the defaults of docs/privacy.md.

An error names the line and the reason.
"""

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Final, Literal, cast
from zoneinfo import available_timezones

import msgspec

_ORIGIN: Final = r"\Ahttps?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?\Z"
Origin = Annotated[str, msgspec.Meta(pattern=_ORIGIN)]
"""As a browser sends it: scheme, host, port if it is not the scheme's own; no path, no final slash, no wildcard."""

_HOST: Final = r"\A[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\Z"
HostName = Annotated[str, msgspec.Meta(pattern=_HOST)]
"""A host in lower case, in its ASCII form (`xn--`)."""

_DIGEST: Final = r"\A[0-9a-f]{64}\Z"
Digest = Annotated[str, msgspec.Meta(pattern=_DIGEST)]
"""SHA-256 of a secret, as lower-case hex."""

_EVENT: Final = r"\A[A-Za-z0-9_.:-]{1,64}\Z"
EventName = Annotated[str, msgspec.Meta(pattern=_EVENT)]

MAX_VALUE: Final = 1_000_000_000_000
"""A site's default: more than a shop's largest order in any currency."""
MaxValue = Annotated[int, msgspec.Meta(gt=0, le=99_999_999_999_999)]
"""In whole units of the event's currency; Decimal(18, 4) holds it, and everything below it."""


class Site(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One site's policy. The safest value is the default."""

    identity: Literal["cookie", "cookieless", "none"] = "cookie"
    """`cookie`: first-party cookie `_pid`; `cookieless`: a hash that changes daily; `none`."""
    consent: Literal["required", "assumed", "off"] = "required"
    """`required`: no identity before consent; `assumed`: until refused; `off`: consent is not asked."""
    gpc: Literal["refuse", "ignore"] = "refuse"
    """`Sec-GPC: 1` counts as consent refused, or is ignored."""
    dnt: Literal["refuse", "ignore"] = "refuse"
    """`DNT: 1` counts as consent refused, or is ignored."""
    without_consent: Literal["count", "cookieless", "drop"] = "count"
    """`count`: an event without identity; `cookieless`: with the daily hash; `drop`: counted in metrics only."""
    ip: Literal["truncate", "full", "none"] = "truncate"
    """`truncate` to /24 or /48, keep `full`, or keep `none`."""
    origins: tuple[Origin, ...] = ()
    """Origins that may send with credentials, such as "https://shop.example"."""
    unlisted_origins: Literal["anonymous", "refuse"] = "anonymous"
    """Any other origin: `*` without credentials, or a refusal."""
    redirect_hosts: tuple[HostName, ...] = ()
    """Hosts that signed links may lead to; empty: any host that a good signature names."""
    hosts: tuple[HostName, ...] = ()
    """The site's hosts, each with its subdomains, in addition to that of a page: referrers from them are internal
    (in the enricher), and a linker may lead to them."""
    ignored_referrers: tuple[HostName, ...] = ()
    """Hosts of others, such as payment providers, whose referrers are internal too. Read by the enricher."""
    tokens: tuple[Digest, ...] = ()
    """SHA-256 digests of the bearer tokens that may post to `/v1/events` for this site."""
    token_events: tuple[EventName, ...] = ()
    """Events that are taken from `/v1/events` only; a pixel, the tag or a mail may not send them."""
    max_value: MaxValue = MAX_VALUE
    """An event's value above it, or below its negative, is dropped; the event is kept."""
    time_zone: str = "UTC"
    """IANA name of the zone in which the site's days are counted. Read by the sink, for views and the report."""


Sites = Mapping[str, Site]

_KEY: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_FIELD: Final = re.compile(r"`\$\.?(\w+)|field `(\w+)`")


class BadSites(ValueError):
    """Why a `sites.toml` is not taken: one line, with the number of the line at fault."""


def parse(text: bytes) -> Sites:
    """Read the text of a `sites.toml`.

    Raises:
        BadSites: not UTF-8 or not TOML, no site at all, a bad site key, or an unknown or malformed setting.
    """
    try:
        decoded = text.decode()
        tables = tomllib.loads(decoded)
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise BadSites(f"line {line}: not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise BadSites(f"not TOML: {error}") from error
    for name in tables.keys() - {"sites"}:
        raise BadSites(f"line {_line(decoded, name)}: unknown table or key {name!r}; a site is a table [sites.KEY]")
    sites = tables.get("sites", {})
    if not isinstance(sites, dict) or not sites:
        raise BadSites("line 1: no site; each must be a table [sites.KEY]")
    return {key: _site(decoded, key, cast(object, table)) for key, table in sites.items()}


def _site(text: str, key: str, table: object) -> Site:
    if not _KEY.fullmatch(key):
        raise BadSites(
            f"line {_line(text, key)}: site key {key!r} must be 1-64 of a-z, 0-9, '_', '.', '-', "
            "and start with a letter or digit"
        )
    try:
        site = msgspec.convert(table, Site)
    except msgspec.ValidationError as error:
        field = _FIELD.search(str(error))
        name = (field[1] or field[2]) if field else ""
        raise BadSites(f"line {_line(text, key, name)}: site {key!r}: {_reason(str(error))}") from error
    if site.time_zone not in _zones():
        raise BadSites(
            f"line {_line(text, key, 'time_zone')}: site {key!r}: time_zone {site.time_zone!r} is no IANA time zone, "
            "such as 'Europe/Berlin'"
        )
    return site


@cache
def _zones() -> frozenset[str]:
    return frozenset({"UTC", *available_timezones()})


def _reason(error: str) -> str:
    """Say a broken pattern in words."""
    for pattern, words in (
        (_ORIGIN, "an origin as browsers send it, such as 'https://shop.example', without path or final slash"),
        (_HOST, "a host in lower case, such as 'shop.example'"),
        (_EVENT, "an event's name: 1-64 of A-Z, a-z, 0-9, '_', '.', ':', '-'"),
        (_DIGEST, "the SHA-256 digest of a token: 64 lower-case hex digits"),
    ):
        error = error.replace(f"`str` matching regex {pattern!r}", words)
    return error


def _line(text: str, key: str, field: str = "") -> int:
    """The number of the line that holds `key`'s table, or in it `field`; 1 where it is written in some other way."""
    table = rf"^\s*\[*\s*(?:sites\s*\.\s*)?[\"']?{re.escape(key)}[\"']?\s*[\].=]"
    head = re.search(table, text, re.MULTILINE)
    at = head.end() if head else 0
    if head and field:
        inside = re.compile(rf"(?:^|[{{,])\s*[\"']?{field}[\"']?\s*=", re.MULTILINE).search(text, head.end())
        at = inside.end() - 1 if inside else at
    return text.count("\n", 0, at) + 1
