"""Who a hit may be tied to: from the site's policy, our own cookies, the privacy signals and the consent parameter.

The first line that applies decides the consent.
    1. opt-out cookie `_pno`                       -> nothing is recorded
    2. `Sec-GPC: 1`, `DNT: 1` where the site obeys -> refused
    3. the request's own consent parameter         -> `1` given; any other value: refused
    4. consent cookie `_pcs`                       -> `1` given, `0` refused
    5. the site's setting                          -> `required` and `off`: unknown; `assumed`: assumed
Identity is allowed when consent is given or assumed, or when the site has consent `off` and the visitor did not refuse.
"""

from functools import lru_cache
from typing import Final, Literal, NamedTuple

from collector.contract import Consent, VisitorKind
from collector.policy.cookies import GIVEN, HAS_ID, OPTED_OUT, REFUSED, SENT_CONSENT, SENT_ID, TWO_IDS
from collector.policy.sites import Site

COOKIE_MAX_AGE_S: Final = 34_128_000
"""395 days: under the 400 days to which browsers cut a cookie's life."""

GPC: Final = 1
"""`Sec-GPC: 1`."""
DNT: Final = 2
"""`DNT: 1`."""
SIGNALS: Final = 4
"""Every sum of the bits above is less than this."""

VISITOR: Final = "0123456789abcdef" * 2
"""In `Identity.set_cookies`: the place of the visitor's id."""

Source = Literal["cookie", "fresh", "cookieless", ""]


class Identity(NamedTuple):
    """What may be written about the visitor, and what the answer sets; the visitor's id itself is left open."""

    source: Source
    """Where the visitor's id comes from: the cookie that was sent, fresh random bits, the daily hash, or nowhere."""
    visitor_kind: VisitorKind
    consent: Consent
    set_cookies: tuple[str, ...]
    """Whole values for `Set-Cookie`, one header each; VISITOR is in the place of the id."""
    recorded: bool
    """False: the hit is counted in metrics only, with `refusal` as its reason."""
    refusal: Literal["", "opted_out", "no_consent"] = ""
    allowed: bool = False
    """Whether the visitor may be identified; if not, the sender's own `user_id` may not be written either."""


def identify(site: Site, *, cookies: int, signals: int, consent_param: str, domain: str) -> Identity:
    """Decide by the rule above. Any values give an Identity.

    `cookies` is the state that `cookies.read` returns, `signals` the sum of GPC and DNT, `consent_param` the request's
    own consent parameter, empty if not sent. `domain` is the cookies' domain from the settings, empty for the
    collector's own host.
    """
    if cookies & OPTED_OUT:
        sent = [("_pid", cookies & SENT_ID), ("_pcs", cookies & SENT_CONSENT)]
        expired = forget(domain, *(name for name, present in sent if present))
        return Identity("", "none", "refused", (opt_out_cookie(domain), *expired), False, "opted_out")

    consent: Consent
    if (signals & GPC and site.gpc == "refuse") or (signals & DNT and site.dnt == "refuse"):
        consent = "refused"
    elif consent_param:
        consent = "given" if consent_param == "1" else "refused"
    elif cookies & GIVEN:
        consent = "given"
    elif cookies & REFUSED:
        consent = "refused"
    else:
        consent = "assumed" if site.consent == "assumed" else "unknown"

    if consent in ("given", "assumed") or (consent == "unknown" and site.consent == "off"):
        if site.identity == "cookie":
            attributes = _attributes(domain)
            set_cookies = [f"_pid={VISITOR}{attributes}"]
            if domain and cookies & TWO_IDS:
                set_cookies.append(_expired("_pid", ""))
            if consent == "given" and site.consent != "off":
                set_cookies += _choice("1", domain)
            source: Source = "cookie" if cookies & HAS_ID else "fresh"
            return Identity(source, "cookie", consent, tuple(set_cookies), True, "", True)
        if site.identity == "cookieless":
            return Identity("cookieless", "cookieless", consent, (), True, "", True)
        return Identity("", "none", consent, (), True, "", True)

    set_cookies = []
    if consent == "refused":
        # A browser repeats its signal with every request; only the visitor's own choice needs a cookie.
        if site.identity == "cookie" and (cookies & REFUSED or (consent_param and consent_param != "1")):
            set_cookies += _choice("0", domain)
        if cookies & SENT_ID:
            set_cookies += forget(domain, "_pid")
    if site.without_consent == "drop":
        return Identity("", "none", consent, tuple(set_cookies), False, "no_consent")
    if site.without_consent == "cookieless" and site.identity != "none":
        return Identity("cookieless", "cookieless", consent, tuple(set_cookies), True)
    return Identity("", "none", consent, tuple(set_cookies), True)


def opt_out_cookie(domain: str) -> str:
    """Return the `Set-Cookie` value that opts the visitor out."""
    return f"_pno=1{_attributes(domain)}"


def forget(domain: str, *names: str) -> tuple[str, ...]:
    """Return the `Set-Cookie` values that delete these cookies of ours: of the domain, and of the host only.

    A cookie of the host only is left from a time before the domain was set. It would apply again.
    """
    scopes = (domain, "") if domain else ("",)
    return tuple(_expired(name, scope) for name in names for scope in scopes)


def _choice(value: str, domain: str) -> list[str]:
    """Return the `Set-Cookie` values that keep the visitor's own choice, and delete an older one of the host only."""
    return [f"_pcs={value}{_attributes(domain)}", *([_expired("_pcs", "")] if domain else [])]


@lru_cache(maxsize=16)
def _attributes(domain: str) -> str:
    scope = f"; Domain={domain}" if domain else ""
    return f"; Max-Age={COOKIE_MAX_AGE_S}; Path=/{scope}; Secure; HttpOnly; SameSite=Lax"


def _expired(name: str, domain: str) -> str:
    scope = f"; Domain={domain}" if domain else ""
    return f"{name}=; Max-Age=0; Path=/{scope}; Secure; HttpOnly; SameSite=Lax"
