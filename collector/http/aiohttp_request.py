"""What a handler reads from aiohttp's request, and the response that it makes of an Answer."""

from typing import Final

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from collector.http import answer as answers
from collector.http import request_id
from collector.http.answer import Answer
from collector.http.body_budget import Bodies
from collector.http.ingest import Ingest
from collector.policy import cookies
from collector.policy.client import client, text_json
from collector.policy.client_address import believed
from collector.policy.outcome import Outcome, Outcomes, Sent

INGEST: Final = web.AppKey("ingest", Ingest)
BODIES: Final = web.AppKey("bodies", Bodies)
_REQUEST_ID: Final = web.RequestKey("request_id", str)


def fields_of(headers: CIMultiDictProxy[str]) -> dict[str, str]:
    """Return headers by lower-case names, repeated ones joined by commas (cookies by semicolons), values as text."""
    fields: dict[str, str] = {}
    for name, value in headers.items():
        name = name.lower()
        if not value.isascii():
            value = text_of(value.encode("utf-8", "surrogateescape"))
        before = fields.get(name)
        fields[name] = value if before is None else f"{before}{'; ' if name == 'cookie' else ','}{value}"
    return fields


def text_of(raw: bytes) -> str:
    """Return a header's value as text: UTF-8, or Latin-1 where it is not."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def peer_of(request: web.BaseRequest) -> str:
    """Return the connection's other end, or an empty string."""
    transport = request.transport
    peer = transport.get_extra_info("peername") if transport is not None else None
    return str(peer[0]) if isinstance(peer, tuple) else ""


def sent_of(request: web.Request, outcomes: Outcomes) -> Sent:
    """Return a request as its headers and connection describe it."""
    fields, peer, ruleset = fields_of(request.headers), peer_of(request), outcomes.ruleset
    return outcomes.sent(
        client(fields, ruleset.geo_headers if believed(peer, ruleset.trusted) else ("", "", "")),
        text_json("referer", fields.get("referer", "")),
        cookies.read(fields.get("cookie", "")),
        peer,
        fields.get(ruleset.forwarded_header, ""),
    )


async def accepted(request: web.Request, outcome: Outcome) -> web.Response:
    """Have an outcome's records written, then return the response to it."""
    ingest = request.app[INGEST]
    ruleset = ingest.ruleset
    unavailable = not await ingest.accept(outcome)
    return response(answers.of(outcome, ruleset, unavailable=unavailable), outcome.visitor)


def response(answer: Answer, visitor: bytes = b"") -> web.Response:
    """Return an Answer as aiohttp's response."""
    headers = CIMultiDict(answers.with_visitor(answer, visitor))
    return web.Response(status=answer.status, headers=headers, body=answer.body)


def request_id_of(request: web.Request) -> str:
    """Return the request's id, the same at each call."""
    known = request.get(_REQUEST_ID)
    if known is None:
        ruleset = request.app[INGEST].ruleset
        value = request.headers.get(ruleset.request_id_header, "")
        known = request_id.chosen(value, believed=believed(peer_of(request), ruleset.trusted))
        request[_REQUEST_ID] = known
    return known
