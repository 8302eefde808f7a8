"""The requests of the collector's benchmark: a file for wrk of each kind, and of the mix."""

import hmac
import itertools
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from loadtest.bench import wrk
from loadtest.bench.collector_process import SURFACE
from loadtest.traffic import mix
from loadtest.traffic.request_template import Request

DISTINCT: Final = 60_000
"""Requests of a file, all different: more than the collector remembers of anything."""
TEN: Final = 10
LINK_KEY: Final = "key-of-signed-links"


def _is_one_event(request: Request) -> bool:
    return request.target == "/e" and len(request.expected) == 1


def _in_tens(posts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a POST for every ten, with the head of the first and the events of all."""
    waiting = iter(posts)
    while ten := list(itertools.islice(waiting, TEN)):
        head = ten[0].partition(b"\r\n\r\n")[0]
        events = [msgspec.json.decode(post.partition(b"\r\n\r\n")[2]) for post in ten]
        body = msgspec.json.encode([event for sent in events for event in (sent if isinstance(sent, list) else [sent])])
        head = re.sub(rb"(?i)(\r\ncontent-length: )[0-9]+", rb"\g<1>%d" % len(body), head)
        yield head + b"\r\n\r\n" + body


def _signed(clicks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the clicks as clicks on signed links, to ever another page, with the same click ids appended."""
    for number, click in enumerate(clicks):
        url = f"https://shop.example/landing?page={number}"
        signature = hmac.digest(LINK_KEY.encode(), f"bench\n{url}".encode(), "sha256")[:16]
        query = f"s=bench&u={quote(url, safe='')}&k={urlsafe_b64encode(signature).rstrip(b'=').decode()}&"
        yield click.replace(b"/c/bench?", b"/c?" + query.encode(), 1)


def _of(kind: str, count: int) -> Iterator[bytes]:
    return mix.raw(1, SURFACE, count, shares={kind: 1})


def _posts(count: int) -> Iterator[bytes]:
    return mix.raw(1, SURFACE, count, shares={"tag": 1}, keep=_is_one_event)


KINDS: Final[dict[str, Callable[[int], Iterator[bytes]]]] = {
    "pixel": lambda count: _of("pixel", count),
    "post": _posts,
    "post of ten": lambda count: _in_tens(_posts(count)),
    "named link": lambda count: _of("click", count),
    "signed link": lambda count: _signed(_of("click", count)),
    "mix": lambda count: mix.raw(1, SURFACE, count),
}
"""By name: what yields a given number of requests."""


class Files:
    """The files in one folder, each written when it is first asked for."""

    def __init__(self, folder: Path, count: int) -> None:
        """`count` is the number of requests of each file; of tens a tenth."""
        self._folder: Final = folder
        self._count: Final = count

    def path(self, kind: str) -> Path:
        """Return the file of a kind."""
        path = self._folder / f"requests of {kind}"
        if not path.exists():
            wrk.write(KINDS[kind](self._count), path)
        return path
