"""Which origin may read an answer, and whether with credentials.

Echoed, with credentials, is an origin that a site lists, and a page of the collector's own site where the caller knows
of one. Any other origin reads without credentials (`*`), which browsers never combine with cookies.
"""

from collections.abc import Iterable
from typing import Final

from collector.policy.sites import Site

PREFLIGHT_MAX_AGE_S = 600


OWN_SITE: Final = frozenset({"same-site", "same-origin"})
"""Values of `Sec-Fetch-Site`, which the browser writes and no page can, of a page that shares the collector's site."""


def headers(origin: str, sites: Iterable[Site], *, own_site: bool = False) -> dict[str, str]:
    """Return the CORS headers of an answer that concerns these sites.

    `origin` is the header, empty if not sent. With `own_site` the page is of the collector's own site: its cookies
    travel, and the page must see whether the answer is a 503.
    """
    concerned = list(sites)
    if origin and (own_site or (concerned and all(origin in site.origins for site in concerned))):
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Credentials": "true",
            "Access-Control-Expose-Headers": "X-Pharos",
            "Vary": "Origin",
        }
    return {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "X-Pharos", "Vary": "Origin"}


def preflight(origin: str, sites: Iterable[Site]) -> dict[str, str]:
    """Return the headers of the 204 to a preflight, which names no site: listed by any of them is listed."""
    return {
        **headers(origin, [site for site in sites if origin in site.origins][:1]),
        "Access-Control-Allow-Methods": "GET, HEAD, POST",
        "Access-Control-Allow-Headers": "Content-Type, Content-Encoding",
        "Access-Control-Max-Age": str(PREFLIGHT_MAX_AGE_S),
    }


def is_refused(origin: str, site: Site) -> bool:
    """Whether the site asks to refuse what a page of this origin sends; a request without `Origin` is no page's."""
    return bool(origin) and site.unlisted_origins == "refuse" and origin not in site.origins
