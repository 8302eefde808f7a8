"""`/opt-out` and `/opt-in`: the visitor's own switch, two small pages that need no script.

Any page may lead a visitor to opt out, but a page of another site cannot undo an opt-out: it only leads to the
link that does.
"""

from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from collector.contract.hit import PURPOSE_HEADERS, is_prefetch
from collector.http import pixel
from collector.http.aiohttp_request import INGEST
from collector.policy import cookies
from collector.policy.consent import forget, opt_out_cookie

_STYLE: Final = (
    "body{font:1.1rem/1.6 system-ui,sans-serif;max-width:36rem;margin:3rem auto;padding:0 1rem;"
    "color:#1b1b1b;background:#fff}a{color:#0b57d0}"
    "@media(prefers-color-scheme:dark){body{color:#eee;background:#161616}a{color:#9cc2ff}}"
)
_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


async def opt_out(sent: web.Request) -> web.Response:
    """Opt this browser out. A page that a browser only prefetches changes nothing."""
    if _is_prefetch(sent):
        return _not_prefetched()
    ingest = sent.app[INGEST]
    domain = ingest.ruleset.domain
    visitor = cookies.read("; ".join(sent.headers.getall("Cookie", []))).visitor
    written = await ingest.accept(ingest.outcomes().opt_out(visitor))
    # An id that could not be suppressed stays in the browser: the next hit with it suppresses it.
    forgotten = ("_pid", "_pcs") if written else ("_pcs",)
    return _page(
        "You are not counted any more",
        "This browser has opted out of measurement. Nothing it does is recorded, until you change your mind "
        "or delete its cookies.",
        "/opt-in",
        "Take part again",
        (opt_out_cookie(domain), *forget(domain, *forgotten)),
    )


async def opt_in(sent: web.Request) -> web.Response:
    """Undo the opt-out of this browser, where the visitor asks for it here or on a page of the same site."""
    if _is_prefetch(sent):
        return _not_prefetched()
    if not _asked_here(sent):
        return _page(
            "Do you want to be counted again?",
            "Nothing has changed yet: another site may have led you here.",
            "/opt-in",
            "Yes, count my visits",
            (),
        )
    return _page(
        "You are counted again",
        "The opt-out of this browser is gone. Your visits are counted as the site's policy and your consent allow.",
        "/opt-out",
        "Opt out",
        forget(sent.app[INGEST].ruleset.domain, "_pno"),
    )


def _asked_here(sent: web.Request) -> bool:
    """Return whether the visitor came from this site or typed the address, as far as the browser says."""
    site = sent.headers.get("Sec-Fetch-Site", "")
    if site:
        return site != "cross-site"
    try:
        return urlsplit(sent.headers.get("Referer", "")).netloc.lower() == sent.host.lower() != ""
    except ValueError:
        return False


def _is_prefetch(sent: web.Request) -> bool:
    return any(is_prefetch(value) for name in PURPOSE_HEADERS for value in sent.headers.getall(name, ()))


def _not_prefetched() -> web.Response:
    """Return an answer that no browser keeps for later: the visitor's own request must come here."""
    return web.Response(status=403, headers={**pixel.COUNTED_HEADERS, "Vary": "Sec-Purpose"})


def _page(title: str, text: str, target: str, action: str, set_cookies: tuple[str, ...]) -> web.Response:
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1><p>{escape(text)}</p>"
        f'<p><a href="{target}" rel="nofollow">{escape(action)}</a></p></main></body></html>\n'
    )
    headers = {**pixel.COUNTED_HEADERS, "Content-Security-Policy": _POLICY, "Referrer-Policy": "same-origin"}
    response = web.Response(text=html, content_type="text/html", charset="utf-8", headers=headers)
    for cookie in set_cookies:
        response.headers.add("Set-Cookie", cookie)
    return response
