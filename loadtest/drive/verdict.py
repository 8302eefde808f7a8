"""What an answer says of each hit of its request. Pure."""

import contextlib
import re
from typing import Final

import msgspec

from loadtest.traffic.request_template import Template

UNANSWERED: Final = 1
"""Sent, but the connection broke or the time ran out: it may be stored or not."""
ACCEPTED: Final = 2
REFUSED: Final = 3
"""Refused, as was to be expected of it."""
WRONGLY_REFUSED: Final = 4
WRONGLY_ACCEPTED: Final = 5
FAILED: Final = 6
"""Answered with a status that no hit should see, such as 503."""

NAMES: Final = ("", "unanswered", "accepted", "refused", "wrongly refused", "wrongly accepted", "failed")
"""By the outcome's number."""

_SAID = re.compile(rb"\r\nx-pharos: *(accepted|[^\r]*)", re.IGNORECASE)


class Verdict(msgspec.Struct, frozen=True):
    """A verdict."""

    outcomes: list[int]
    """One of the numbers above for each hit."""
    wrong: str
    """What was answered, in words, where that is not as it should be; else empty."""


def judge(template: Template, data: bytes, end: int) -> Verdict:
    """Judge by the answer's status, its `X-Pharos`, or its JSON body; `data[:end]` is its head.

    A pixel without `X-Pharos` (any other server) counts as accepted when its status is the expected one.
    """
    status = int(data[9:12]) if data[9:12].isdigit() else 0
    said = _SAID.search(data, 0, end + 2)
    if status >= 500 or status == 0:
        outcomes = [FAILED] * len(template.expected)
    elif template.answer:
        outcomes = _posted(template, status, data[end + 4 :])
    else:
        accepted = status == template.status and (status in (200, 302) if said is None else said[1] == b"accepted")
        outcomes = [_outcome(accepted, expected) for expected in template.expected]
    if max(outcomes) < WRONGLY_REFUSED:
        return Verdict(outcomes, "")
    words = (said[1] if said else data[end + 4 : end + 84]).decode("latin-1").partition("\r")[0]
    return Verdict(outcomes, f"{template.kind}: {status} {words if words.isprintable() else ''}".strip())


def _posted(template: Template, status: int, body: bytes) -> list[int]:
    """Return the outcome of each event of a POST, from the answer's list of refusals."""
    if status == template.status and body == template.answer:
        return [_outcome(True, expected) for expected in template.expected]
    refused = set(range(len(template.expected)))
    if status == template.status:
        with contextlib.suppress(msgspec.DecodeError, KeyError, TypeError):
            refused = {entry["index"] for entry in msgspec.json.decode(body)["refused"]}
    return [_outcome(index not in refused, expected) for index, expected in enumerate(template.expected)]


def _outcome(accepted: bool, expected: bool) -> int:
    if accepted:
        return ACCEPTED if expected else WRONGLY_ACCEPTED
    return WRONGLY_REFUSED if expected else REFUSED
