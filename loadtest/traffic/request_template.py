"""A request as bytes with slots: made once, sent many times with new ids. Pure.

A hit carries its id in one of four ways: conversions as the sender's own `id`, by which Pharos makes events one; events
of the mix's tag as that `id` too, in the tag's form; clicks as an ad platform's click id, which links pass on; all
others as the property `lt`. Pharos does not look at the latter two, so that a hit counted twice shows as two rows.
"""

import random
import re
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

ID_PREFIX: Final = "lt"
ID_SLOT: Final = "~id~~~~~~~~~~~~~~~~~~~"
"""The place of a hit's id; as wide as an id, so that the length of a body stays right."""
UUID_SLOT: Final = "~uuid~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~"
"""The place of an id in the tag's form: a UUID of version 7, 36 wide."""
PID_SLOT: Final = "~pid~~~~~~~~~~~~~~~~~~~~~~~~~~~~"
"""The place of the visitor cookie that an earlier answer has set; 32 wide."""

Slot = Literal["id", "uuid", "cookie"]
RequestKind = Literal[
    "browse", "tag", "tag_batch", "purchase", "server", "click", "mail", "bot", "refused", "nonsense", "worst", "pixel"
]
"""What kind of arrival a request belongs to; the profiles give their weights."""


def hit_id(run: str, sender: int, number: int) -> str:
    """Return the id of a run's hit: 22 characters, "lt", the run (8 hex), the sender (2 hex), the number (8 hex)."""
    return f"{ID_PREFIX}{run}-{sender:02x}-{number:08x}"


def uuid_middle(run: str) -> str:
    """Return the part of `hit_uuid` between the time and the sender: 12 characters."""
    return f"7{run[:3]}-8{run[3:6]}-{run[6:]}"


def hit_uuid(run: str, sender: int, number: int, at_ms: int) -> str:
    """Return the same id as a UUID of version 7: the time, then run, sender and number in its other 74 bits."""
    return f"{at_ms >> 16:08x}-{at_ms & 0xFFFF:04x}-{uuid_middle(run)}{sender:02x}{number:08x}"


def uuid7(rng: random.Random, at_ms: int) -> str:
    """Return a UUID of version 7 with this time and random bits."""
    bits = f"{rng.getrandbits(74):019x}"
    return f"{at_ms >> 16:08x}-{at_ms & 0xFFFF:04x}-7{bits[1:4]}-{8 | int(bits[0]) & 3:x}{bits[4:7]}-{bits[7:]}"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request before it becomes bytes; the slots are the places of ids and of the learned cookie."""

    kind: RequestKind
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

    kind: RequestKind
    parts: tuple[bytes, ...]
    slots: tuple[Slot, ...]
    """What each slot takes, in order."""
    status: int
    expected: tuple[bool, ...]
    visit: int
    learns: bool
    answer: bytes = b""
    """Body of the answer of a POST that all is well with."""

    def render(self, ids: Sequence[bytes], pid: bytes) -> bytes:
        """Return the request with these ids (as many as `expected`) and, where it has a slot, this cookie."""
        fill = iter(ids)
        pieces = [self.parts[0]]
        for slot, part in zip(self.slots, self.parts[1:], strict=True):
            pieces.append(pid if slot == "cookie" else next(fill))
            pieces.append(part)
        return b"".join(pieces)


_SLOTS: Final[dict[bytes, Slot]] = {ID_SLOT.encode(): "id", UUID_SLOT.encode(): "uuid", PID_SLOT.encode(): "cookie"}
_ANY_SLOT: Final = re.compile(b"(" + b"|".join(map(re.escape, _SLOTS)) + b")")


def wire(request: Request, host: str) -> Template:
    """Return the request as HTTP/1.1 bytes, keep-alive, with its slots open."""
    lines = [f"{request.method} {request.target} HTTP/1.1", f"Host: {host}", *(f"{k}: {v}" for k, v in request.headers)]
    body = request.body.encode()
    if request.method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    raw = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    pieces = _ANY_SLOT.split(raw)
    answer = b'{"accepted":%d,"refused":[]}' % len(request.expected) if request.method == "POST" else b""
    return Template(
        kind=request.kind,
        parts=tuple(pieces[::2]),
        slots=tuple(_SLOTS[slot] for slot in pieces[1::2]),
        status=request.status,
        expected=request.expected,
        visit=request.visit,
        learns=request.learns,
        answer=answer,
    )
