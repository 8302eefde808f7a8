"""What a handler of the full lane reads from aiohttp's request: the worker's intake, the headers as text, the peer."""

from typing import Final

from aiohttp import web
from multidict import CIMultiDictProxy

from collector.http import request_id
from collector.http.body_budget import Bodies
from collector.http.ingest import Intake
from collector.policy import outcome
from collector.policy.client_address import believed

INTAKE: Final = web.AppKey("intake", Intake)
BODIES: Final = web.AppKey("bodies", Bodies)
_REQUEST_ID: Final = web.RequestKey("request_id", str)


def fields_of(headers: CIMultiDictProxy[str]) -> dict[str, str]:
    """Return headers as `request.client` wants them: lower-case names, repeated ones joined, text as text."""
    fields: dict[str, str] = {}
    for name, value in headers.items():
        name = name.lower()
        if not value.isascii():
            value = outcome.text_of(value.encode("utf-8", "surrogateescape"))
        before = fields.get(name)
        fields[name] = value if before is None else f"{before}{'; ' if name == 'cookie' else ','}{value}"
    return fields


def peer_of(sent: web.BaseRequest) -> str:
    """Return the connection's other end, or an empty string."""
    transport = sent.transport
    peer = transport.get_extra_info("peername") if transport is not None else None
    return str(peer[0]) if isinstance(peer, tuple) else ""


def client_of(sent: web.Request) -> outcome.Client:
    """Return what the headers say of the client; an address header that is not believed is counted."""
    intake = sent.app[INTAKE]
    peer = peer_of(sent)
    client = outcome.client(fields_of(sent.headers), intake.ruleset, peer)
    intake.doubt(peer, client.forwarded)
    return client


def request_id_of(sent: web.Request) -> str:
    """Return the request's id, the same at each call."""
    known = sent.get(_REQUEST_ID)
    if known is None:
        ruleset = sent.app[INTAKE].ruleset
        said = sent.headers.get(ruleset.request_id_header, "")
        known = sent[_REQUEST_ID] = request_id.chosen(said, believed=believed(peer_of(sent), ruleset.trusted))
    return known
