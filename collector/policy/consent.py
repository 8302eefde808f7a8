"""Who a hit may be tied to: from the site's policy, our own cookies, the privacy signals and the consent parameter.

Rule: the first line that applies decides the consent.
    1. opt-out cookie `_pno`                       -> nothing is recorded
    2. `Sec-GPC: 1`, `DNT: 1` where the site obeys -> refused
    3. the request's own consent parameter         -> `1` given; anything else that was sent: refused
    4. consent cookie `_pcs`                       -> `1` given, `0` refused
    5. the site's setting                          -> `required` and `off`: unknown; `assumed`: assumed
Identity is allowed when consent is given or assumed, or when the site has consent `off` and nobody refused.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from collector.contract import Consent, VisitorKind
from collector.policy.sites import Site

COOKIE_MAX_AGE_S: Final = 34_128_000
"""395 days: under the 400 days to which browsers cut a cookie's life."""


class Identity(NamedTuple):
    """What may be written about the visitor, and what the answer sets."""

    visitor_id: str
    """32 lower-case hex digits, or empty."""
    visitor_kind: VisitorKind
    consent: Consent
    set_cookies: tuple[str, ...]
    """Whole values for `Set-Cookie`, one header each."""
    recorded: bool
    """False: the hit is counted in metrics only, with `refusal` as its reason."""
    refusal: Literal["", "opted_out", "no_consent"] = ""
    allowed: bool = False
    """Whether the visitor may be identified; where not, the sender's own `user_id` may not be written either."""


_ID_VALUE = re.compile(r"[0-9a-f]{32}(?![^; \t])")
_VALUE = re.compile(r"[^; \t]*")


def identify(
    site: Site,
    *,
    cookies: str,
    gpc: bool,
    dnt: bool,
    consent_param: str,
    fresh_id: str,
    domain: str,
    cookieless: Callable[[], str],
) -> Identity:
    """Decide by the rule above. Total: any text in `cookies` and `consent_param` gives an Identity.

    `cookies` is the `Cookie` header as received; only `_pid`, `_pcs` and `_pno` are looked at. `fresh_id` is 128 random
    bits in hex, used where a cookie is due and none came. `domain` is the cookies' domain from the settings, empty for
    the collector's own host. `cookieless` is called only where the daily hash is to be used.
    """
    ours = "_p" in cookies
    if ours and "_pno=" in cookies and _value(cookies, "_pno=") == "1":
        gone = [_expired(name, domain) for name in ("_pid", "_pcs") if _value(cookies, name + "=")]
        return Identity("", "none", "refused", (opt_out_cookie(domain), *gone), False, "opted_out")

    remembered = _value(cookies, "_pcs=") if ours and "_pcs=" in cookies else ""
    consent: Consent
    if (gpc and site.gpc == "refuse") or (dnt and site.dnt == "refuse"):
        consent = "refused"
    elif consent_param:
        consent = "given" if consent_param == "1" else "refused"
    elif remembered == "1":
        consent = "given"
    elif remembered == "0":
        consent = "refused"
    else:
        consent = "assumed" if site.consent == "assumed" else "unknown"

    if consent in ("given", "assumed") or (consent == "unknown" and site.consent == "off"):
        if site.identity == "cookie":
            visitor = (_visitor(cookies) if ours else "") or fresh_id
            attributes = _attributes(domain)
            renewed = f"_pid={visitor}{attributes}"
            if consent == "given" and site.consent != "off":
                return Identity(visitor, "cookie", consent, (renewed, f"_pcs=1{attributes}"), True, "", True)
            return Identity(visitor, "cookie", consent, (renewed,), True, "", True)
        if site.identity == "cookieless":
            return Identity(cookieless(), "cookieless", consent, (), True, "", True)
        return Identity("", "none", consent, (), True, "", True)

    set_cookies: list[str] = []
    if consent == "refused":
        # A signal of the browser is said again with every request; only the visitor's own word needs remembering.
        if site.identity == "cookie" and (remembered == "0" or (consent_param and consent_param != "1")):
            set_cookies.append(f"_pcs=0{_attributes(domain)}")
        if ours and _value(cookies, "_pid="):
            set_cookies.append(_expired("_pid", domain))
    if site.without_consent == "drop":
        return Identity("", "none", consent, tuple(set_cookies), False, "no_consent")
    if site.without_consent == "cookieless" and site.identity != "none":
        return Identity(cookieless(), "cookieless", consent, tuple(set_cookies), True)
    return Identity("", "none", consent, tuple(set_cookies), True)


def opt_out_cookie(domain: str) -> str:
    """Return the `Set-Cookie` value that opts the visitor out."""
    return f"_pno=1{_attributes(domain)}"


def forget(domain: str, *names: str) -> tuple[str, ...]:
    """Return the `Set-Cookie` values that delete these cookies of ours."""
    return tuple(_expired(name, domain) for name in names)


def _visitor(cookies: str) -> str:
    start = _start(cookies, "_pid=")
    found = _ID_VALUE.match(cookies, start) if start >= 0 else None
    return found.group() if found else ""


def _value(cookies: str, name: str) -> str:
    start = _start(cookies, name)
    found = _VALUE.match(cookies, start) if start >= 0 else None
    return found.group() if found else ""


def _start(cookies: str, name: str) -> int:
    """Where the value of the first cookie `name` (which ends in "=") begins, or -1."""
    at = cookies.find(name)
    while at > 0 and cookies[at - 1] not in "; \t":
        at = cookies.find(name, at + 1)
    return at if at < 0 else at + len(name)


@lru_cache(maxsize=16)
def _attributes(domain: str) -> str:
    scope = f"; Domain={domain}" if domain else ""
    return f"; Max-Age={COOKIE_MAX_AGE_S}; Path=/{scope}; Secure; HttpOnly; SameSite=Lax"


def _expired(name: str, domain: str) -> str:
    scope = f"; Domain={domain}" if domain else ""
    return f"{name}=; Max-Age=0; Path=/{scope}; Secure; HttpOnly; SameSite=Lax"
