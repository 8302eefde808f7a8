"""The answer to a request whose outcome is known: verdict, cookies, CORS, Retry-After. One place for every route.

An Answer is values; `head` makes bytes of it. aiohttp's handlers turn the same Answer into a response of theirs.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

import orjson

from collector.http import pixel
from collector.policy import cors
from collector.policy.consent import VISITOR
from collector.policy.outcome import CLICK, EVENTS, PIXEL, Dropped, Outcome
from collector.policy.refusal import Refusal
from collector.policy.ruleset import Ruleset
from collector.policy.sites import Site
from collector.policy.verdict import Verdict

Headers = tuple[tuple[str, str], ...]

STATUS: Final = {
    200: "200 OK",
    202: "202 Accepted",
    204: "204 No Content",
    302: "302 Found",
    400: "400 Bad Request",
    401: "401 Unauthorized",
    403: "403 Forbidden",
    404: "404 Not Found",
    413: "413 Content Too Large",
    500: "500 Internal Server Error",
    503: "503 Service Unavailable",
}
_OF_REFUSAL: Final = {
    Refusal.OPTED_OUT: 403,
    Refusal.NO_CONSENT: 403,
    Refusal.ORIGIN: 403,
    Refusal.UNAUTHORIZED: 401,
    Refusal.TOO_LARGE: 413,
    Refusal.SPOOL: 503,
}
"""The status of a POST of which nothing was accepted, by the first refusal; by any other: 400."""
_COUNTED: Final[Headers] = tuple(pixel.COUNTED_HEADERS.items())
_RETRY: Final[Headers] = (("Retry-After", str(pixel.RETRY_AFTER_S)),)
_OCTETS: Final = ("Content-Type", "application/octet-stream")
"""Of an answer without a body."""
_PLAIN_TEXT: Final = ("Content-Type", "text/plain; charset=utf-8")
_NOWHERE: Final = b"This link leads nowhere. Perhaps a part of it was lost.\n"


class Answer(NamedTuple):
    """Status, headers but for `Date` and `Content-Length`, and body. VISITOR is in the place of a visitor's id."""

    status: int
    headers: Headers
    body: bytes = b""


def of(outcome: Outcome, ruleset: Ruleset, *, unavailable: bool = False) -> Answer:
    """Return the answer to a request; `unavailable`: the spool does not take its hits."""
    route, verdicts, origin = outcome.route, outcome.verdicts, outcome.origin
    cookies = _cookies(verdicts)
    if route == CLICK:
        refusal = Refusal.SPOOL if unavailable else verdicts[0].refusal if verdicts else None
        if not outcome.location:
            status = 404 if refusal is Refusal.UNKNOWN_LINK else 403
            return Answer(status, (*_COUNTED, _verdict(refusal), _PLAIN_TEXT), _NOWHERE)
        # The person is redirected even if the hit is refused. No hit: the request of a link checker.
        verdict = (_verdict(refusal),) if verdicts else ()
        return Answer(302, (*_COUNTED, *verdict, _OCTETS, *cookies, ("Location", outcome.location)))
    if route == PIXEL:
        if unavailable:
            return Answer(503, (*_COUNTED, _verdict(Refusal.SPOOL), ("Content-Type", "text/plain"), *_RETRY))
        allowed = _cors(origin, verdicts, ruleset) if origin else ()
        shown = _verdict(verdicts[0].refusal, outcome.dropped)
        headers = (*_COUNTED, shown, ("Content-Type", "image/gif"), *allowed, *cookies)
        return Answer(200, headers, pixel.GIF)
    allowed = _cors(origin, verdicts, ruleset, own_site=outcome.own_site) if route == EVENTS else ()
    if unavailable:
        return _json(503, {"accepted": 0, "reason": Refusal.SPOOL}, Refusal.SPOOL, allowed)
    refused = [(at, verdict.refusal) for at, verdict in enumerate(verdicts) if verdict.refusal is not None]
    accepted = len(verdicts) - len(refused)
    reason = refused[0][1] if refused and not accepted else None
    said: dict[str, object] = {"accepted": accepted}
    if outcome.whole:
        said["reason"] = reason
        if outcome.detail:
            said["detail"] = outcome.detail
    else:
        said["refused"] = [{"index": at, "reason": why} for at, why in refused]
    if outcome.dropped:
        fields: dict[int, list[str]] = {}
        for place, _, field in outcome.dropped:
            fields.setdefault(place, []).append(field)
        said["dropped"] = [{"index": at, "fields": names} for at, names in fields.items()]
    status = 202 if reason is None else _OF_REFUSAL.get(reason, 400)
    return _json(status, said, reason, (*allowed, *cookies), outcome.dropped)


def to_preflight(origin: str, ruleset: Ruleset) -> Answer:
    """Return the answer to `OPTIONS` on a path that there is."""
    return Answer(204, tuple(cors.preflight(origin, ruleset.sites.values()).items()))


def head(answer: Answer, *, has_body: bool = True) -> bytes:
    """Return an answer's bytes from the status line to the last header before `Date`; `has_body` is False for HEAD."""
    lines = [f"HTTP/1.1 {STATUS[answer.status]}", *(f"{name}: {value}" for name, value in answer.headers)]
    if answer.status != 204 and (has_body or answer.body):
        lines.append(f"Content-Length: {len(answer.body)}")
    return "\r\n".join((*lines, "")).encode()


def _verdict(refusal: Refusal | None, dropped: Iterable[Dropped] = ()) -> tuple[str, str]:
    if refusal is not None:
        return "X-Pharos", f"refused; {refusal}"
    names = ", ".join(dict.fromkeys(each.field for each in dropped))
    return "X-Pharos", f"accepted; {names} dropped" if names else "accepted"


def _cors(origin: str, verdicts: Iterable[Verdict], ruleset: Ruleset, *, own_site: bool = False) -> Headers:
    concerned: list[Site] = [ruleset.sites[verdict.site] for verdict in verdicts if verdict.site]
    return tuple(cors.headers(origin, concerned, own_site=own_site).items())


def _cookies(verdicts: Iterable[Verdict]) -> Headers:
    """Return the cookies to set: of each name and scope the last."""
    last = {
        (cookie.partition("=")[0], "; Domain=" in cookie): cookie
        for verdict in verdicts
        for cookie in verdict.set_cookies
    }
    return tuple(("Set-Cookie", cookie) for cookie in last.values())


def _json(
    status: int,
    said: dict[str, object],
    refusal: Refusal | None,
    headers: Headers,
    dropped: Iterable[Dropped] = (),
) -> Answer:
    extra: Headers = _RETRY if status == 503 else (("WWW-Authenticate", "Bearer"),) if status == 401 else ()
    all_headers = (*_COUNTED, *headers, _verdict(refusal, dropped), ("Content-Type", "application/json"), *extra)
    return Answer(status, all_headers, orjson.dumps(said))


def with_visitor(answer: Answer, visitor: bytes) -> Headers:
    """Return an answer's headers with the visitor's id in its place, which is nowhere but in a cookie."""
    digits = visitor.decode("ascii")
    return tuple(
        (name, value.replace(VISITOR, digits) if name == "Set-Cookie" else value) for name, value in answer.headers
    )
