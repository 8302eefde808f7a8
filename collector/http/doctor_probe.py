"""`GET /doctor`: tell a deployment check whose address the collector would take for its own, and by which source.

It answers only requests with the doctor's mark, and only about that request: the kind of source, and the address,
truncated as for storage. Other requests get the 404 of any other path. A browser sends such a header to another origin
only after a preflight, which this path refuses. Nothing is counted, logged or kept.
"""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec
from aiohttp import web

from collector.http import static
from collector.http.aiohttp_request import INGEST, fields_of, peer_of
from collector.http.pixel import COUNTED_HEADERS
from collector.policy.client_address import PRESETS, Address, canonical, client_address, truncate

PATH: Final = "/doctor"
MARK: Final = "X-Pharos-Doctor"

_SINGLE: Final = tuple(sorted({cdn.header for cdn in PRESETS.values()} - {"x-forwarded-for"}))
"""Headers in which some CDN tells the client's address."""


class SeenAs(msgspec.Struct, frozen=True):
    """The answer to the doctor."""

    source: Literal["peer", "header", "untrusted", "broken"]
    """`peer`: no header; `header`: that of a trusted proxy; otherwise why the header is not used."""
    address: str
    """The address that a hit would have, cut to /24 or /48; empty where a header was not believed."""
    others: tuple[str, ...]
    """Headers of CDNs that came along with another address than this one."""


def judged(address: Address, header: str, fields: Mapping[str, str]) -> SeenAs:
    """Return the answer about a request with the found `address`; `header` names the header that is read."""
    source = address.fault or ("header" if fields.get(header) else "peer")
    others = tuple(
        name
        for name in _SINGLE
        if name != header and name in fields and _bare(name, fields[name]) != address.ip and not address.fault
    )
    return SeenAs(source, "" if address.fault else truncate(address.ip, "truncate"), others)


def _bare(name: str, value: str) -> str:
    """Return the address in a CDN's header, in the form in which the collector has it."""
    form = next(cdn.form for cdn in PRESETS.values() if cdn.header == name)
    value = value.strip(" \t")
    return canonical(value.rpartition(":")[0] if form == "single_with_port" else value) or ""


async def tell(sent: web.Request) -> web.Response:
    """Answer the doctor; for anybody else there is nothing here."""
    if MARK not in sent.headers:
        return await static.nothing(sent)
    ruleset = sent.app[INGEST].ruleset
    fields = fields_of(sent.headers)
    address = client_address(peer_of(sent), fields.get(ruleset.forwarded_header, ""), ruleset.trusted)
    told = msgspec.json.encode(judged(address, ruleset.forwarded_header, fields))
    return web.Response(body=told, content_type="application/json", headers=COUNTED_HEADERS)
