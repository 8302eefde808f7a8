"""What a site allows: one frozen Site for each table of `sites.toml`, with the defaults of docs/privacy.md."""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

Key = Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9][a-z0-9_.-]{0,63}\Z")]
"""A site key, short enough for a label and safe in a URL."""

Digest = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
"""SHA-256 of a secret, as lower-case hex."""


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
    origins: tuple[str, ...] = ()
    """Origins that may send with credentials, such as "https://shop.example"."""
    unlisted_origins: Literal["anonymous", "refuse"] = "anonymous"
    """Any other origin: `*` without credentials, or a refusal."""
    redirect_hosts: tuple[str, ...] = ()
    """Hosts that signed links may lead to; empty: any host that a good signature names."""
    tokens: tuple[Digest, ...] = ()
    """SHA-256 digests of the bearer tokens that may post to `/v1/events` for this site."""


Sites = Mapping[str, Site]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sites: dict[Key, Site]


def parse(text: bytes) -> Sites:
    """Read the text of a `sites.toml`.

    Raises:
        msgspec.DecodeError: not TOML, or (as ValidationError) an unknown or malformed setting, named by its path.
    """
    return msgspec.toml.decode(text, type=_File).sites
