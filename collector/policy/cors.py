"""Pure: which origin may read an answer, and whether with credentials.

Rule: only an origin that a site lists is echoed, and only it gets credentials. Anyone else reads as nobody (`*`), which
browsers never combine with cookies.
"""

from collections.abc import Iterable

from collector.policy.sites import Site

PREFLIGHT_MAX_AGE_S = 600


def headers(origin: str, sites: Iterable[Site]) -> dict[str, str]:
    """Return the CORS headers of an answer that concerns these sites; `origin` is the header, empty if not sent."""
    concerned = list(sites)
    if origin and concerned and all(origin in site.origins for site in concerned):
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
