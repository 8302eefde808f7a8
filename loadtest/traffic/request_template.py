"""A request as bytes with slots: made once, sent many times with new ids. Pure.

A hit carries its id in one of three ways: conversions as the sender's own `id`, by which Pharos makes events one;
clicks as an ad platform's click id, the one thing of a link's query that is passed on; everything else as the property
`lt`. Pharos does not look at the latter two, so that a hit counted twice shows as two rows.
"""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

ID_PREFIX: Final = "lt"
ID_SLOT: Final = "~id~~~~~~~~~~~~~~~~~~~"
"""Stands where a hit's id goes; as wide as one, so that a body's length holds."""
PID_SLOT: Final = "~pid~~~~~~~~~~~~~~~~~~~~~~~~~~~~"
"""Stands where the visitor cookie goes that an earlier answer has set; 32 wide."""

RequestKind = Literal[
    "browse", "tag", "tag_batch", "purchase", "server", "click", "mail", "bot", "refused", "nonsense", "worst", "pixel"
]
"""What kind of arrival a request belongs to; the profiles give their weights."""


def hit_id(run: str, sender: int, number: int) -> str:
    """Return the id of a run's hit: 22 characters, "lt", the run (8 hex), the sender (2 hex), the number (8 hex)."""
    return f"{ID_PREFIX}{run}-{sender:02x}-{number:08x}"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request before it becomes bytes; ID_SLOT and PID_SLOT stand where ids and the learned cookie go."""

    sort: RequestKind
    method: Literal["GET", "POST"] = "GET"
    target: str
    """Path and query."""
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""
    status: int = 200
    """The status that a working collector answers with."""
    expected: tuple[bool, ...] = (True,)
    """For each id slot, in order: whether the hit is to be accepted."""
    visit: int = -1
    """Visits of new visitors are numbered: the first answer's cookie goes along with the visit's next requests."""
    learns: bool = False
    """This request's answer sets the cookie."""


class Template(msgspec.Struct, frozen=True):
    """A request as bytes: `parts` with a slot between each two."""

    sort: RequestKind
    parts: tuple[bytes, ...]
    slots: tuple[bool, ...]
    """For each slot: True for an id, False for the cookie."""
    status: int
    expected: tuple[bool, ...]
    visit: int
    learns: bool
    answer: bytes = b""
    """Body of the answer of a POST that all is well with."""

    def render(self, ids: Sequence[bytes], pid: bytes) -> bytes:
        """Return the request with these ids (as many as `expected`) and, where it has a slot, this cookie."""
        if len(self.slots) == 1 and self.slots[0]:
            return self.parts[0] + ids[0] + self.parts[1]
        fill = iter(ids)
        pieces = [self.parts[0]]
        for slot, part in zip(self.slots, self.parts[1:], strict=True):
            pieces.append(next(fill) if slot else pid)
            pieces.append(part)
        return b"".join(pieces)


def wire(request: Request, host: str) -> Template:
    """Return the request as HTTP/1.1 bytes, keep-alive, with its slots open."""
    lines = [f"{request.method} {request.target} HTTP/1.1", f"Host: {host}", *(f"{k}: {v}" for k, v in request.headers)]
    body = request.body.encode()
    if request.method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    raw = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    parts, slots = [], []
    for piece in raw.split(ID_SLOT.encode()):
        inner = piece.split(PID_SLOT.encode())
        parts.extend(inner)
        slots.extend([False] * (len(inner) - 1) + [True])
    answer = b'{"accepted":%d,"refused":[]}' % len(request.expected) if request.method == "POST" else b""
    return Template(
        sort=request.sort,
        parts=tuple(parts),
        slots=tuple(slots[:-1]),
        status=request.status,
        expected=request.expected,
        visit=request.visit,
        learns=request.learns,
        answer=answer,
    )
