"""Both paths of the collector in this process, each behind a socket, asked with raw bytes."""

import asyncio
import contextlib
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import uvloop

from collector import contract
from collector.contract import Hit
from collector.metrics import Tally
from collector.policy import link_file, sites
from collector.policy.client_address import Trusted
from collector.policy.ruleset import Ruleset
from collector.process import frontend
from collector.process.frontend import Bounds, Frontend
from collector.spool.block import unpack
from collector.spool.inventory import Chunk, Limits
from collector.spool.spool import Spool
from collector.spool.writer import Fsync
from tests.collector.running import SITES

TOKEN = "correct horse battery staple"
LINK_KEY = b"the operator's link key"
_SITES = sites.parse(
    SITES.encode()
    + f"""
[sites.listed]
consent = "assumed"
origins = ["https://shop.example"]
tokens = ["{sha256(TOKEN.encode()).hexdigest()}"]
redirect_hosts = ["shop.example"]
[sites.capped]
consent = "assumed"
max_value = 1000
tokens = ["{sha256(TOKEN.encode()).hexdigest()}"]
[sites.guarded]
consent = "assumed"
origins = ["https://shop.example"]
token_events = ["purchase", "pageview", "9.90", "EUR"]
tokens = ["{sha256(TOKEN.encode()).hexdigest()}"]
[sites.closed]
consent = "assumed"
origins = ["https://shop.example"]
unlisted_origins = "refuse"
""".encode()
)
_LINKS = b"""
[links.yt-launch]
site = "demo"
to = "https://shop.example/p/1?color=blue#reviews"
source = "youtube"
medium = "video"
[links.strict]
site = "strict"
to = "https://shop.example"
[links.shop]
site = "shop"
to = "https://shop.example/?_pid=%30"
"""
RULESET = Ruleset(
    _SITES,
    domain="example.com",
    trusted=Trusted(["127.0.0.0/8"]),
    geo_headers=("cf-ipcountry", "", "cf-ipcity"),
    links=link_file.parse(_LINKS, _SITES),
    link_keys=(LINK_KEY,),
    cookieless=lambda site, ip, user_agent: f"{abs(hash((site, ip, user_agent))):032x}"[-32:],
)


_MADE = re.compile(r"\A[0-9a-f]{16}\Z")


class Answer(NamedTuple):
    """One answer, in a form that can be compared."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")


class One:
    """One path behind a port."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        folder: Path,
        *,
        blind: bool,
        ruleset: Ruleset = RULESET,
        fsync: Fsync = "never",
        body_timeout_s: float = 0.2,
    ) -> None:
        self.loop = loop
        self.written: list[bytes] = []
        self.tally = Tally()
        self.spool = Spool(folder, Limits(most_bytes=1 << 30))
        self._disk = ThreadPoolExecutor(1)
        bounds = Bounds(connections=100, body_timeout_s=body_timeout_s)
        listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = listener.getsockname()[1]
        self._frontend = loop.run_until_complete(self._serve(ruleset, fsync, bounds, listener))
        self.ingest, self.app, self.connections = self._frontend.ingest, self._frontend.app, self._frontend.connections
        if blind:
            self.ingest.fast.close()

    async def _serve(self, ruleset: Ruleset, fsync: Fsync, bounds: Bounds, listener: socket.socket) -> Frontend:
        ingest = frontend.ingest(ruleset, self.spool, fsync, self._disk, self._note, self.tally)
        served = Frontend(ingest, bounds)
        await served.listen(listener)
        return served

    def _note(self, chunks: list[Chunk]) -> None:
        self.written.extend(payload for chunk in chunks for payload in unpack(chunk.block))

    def hits(self) -> list[Hit]:
        """Return the hits written since the last call."""
        hits = [contract.decode(payload) for payload in self.written]
        self.written.clear()
        return hits

    def fast(self) -> int:
        """Return how many requests the fast path has answered so far."""
        self.connections.count()
        return int(self.tally.values.get(("requests_total", "fast"), 0))

    async def _ask(self, pieces: list[bytes], half_close: bool, wait_s: float) -> tuple[list[Answer], bool]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        received = bytearray()
        closed = False
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            if half_close:
                writer.write_eof()
            with contextlib.suppress(TimeoutError):
                while not closed:
                    async with asyncio.timeout(wait_s):
                        more = await reader.read(1 << 20)
                    received += more
                    closed = not more
                    if not closed and not half_close and complete(bytes(received), self._expected):
                        break
        except ConnectionError:
            closed = True
        finally:
            writer.transport.abort()
        return answers(bytes(received)), closed

    _expected = 1

    def ask(
        self, *pieces: bytes, expected: int = 1, half_close: bool = False, wait_s: float = 5
    ) -> tuple[list[Answer], bool]:
        """Send the pieces on a new connection; return the answers, and whether the connection was closed on us.

        Returns as soon as `expected` answers are there, the connection closes, or nothing comes for `wait_s`.
        """
        self._expected = expected
        return self.loop.run_until_complete(self._ask(list(pieces), half_close, wait_s))

    def close(self) -> None:
        self.loop.run_until_complete(self._frontend.close())
        self.spool.close()
        self._disk.shutdown()


def answers(received: bytes) -> list[Answer]:
    """Take apart the answers in a stream, whole ones only. Bodies must not begin like an answer."""
    found = []
    while received:
        head, gap, rest = received.partition(b"\r\n\r\n")
        if not gap:
            break
        lines = head.decode("latin-1").split("\r\n")
        named = (line.partition(": ") for line in lines[1:])
        # Of a fresh id only the form can be compared.
        headers = tuple(sorted((name.lower(), _MADE.sub("(made)", value)) for name, _, value in named))
        length = next((int(value) for name, value in headers if name == "content-length"), 0)
        # An answer to HEAD has a length and no body: the next bytes are the next answer.
        body = b"" if not rest or rest.startswith(b"HTTP/1.1 ") else rest[:length]
        if body and len(body) < length:
            break
        found.append(Answer(int(lines[0].split()[1]), tuple(h for h in headers if h[0] != "date"), body))
        received = rest[len(body) :]
    return found


def complete(received: bytes, expected: int) -> bool:
    """Tell whether that many answers are there."""
    return received.count(b"HTTP/1.1 ") >= expected and len(answers(received)) >= expected


@contextlib.contextmanager
def both(
    folder: Path, ruleset: Ruleset = RULESET, fsync: Fsync = "never", body_timeout_s: float = 0.2
) -> Iterator[tuple[One, One]]:
    """Yield the collector with its fast path, and one that goes the full way with everything."""
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    paths = []
    try:
        for name, blind in (("fast", False), ("full", True)):
            paths.append(
                One(loop, folder / name, blind=blind, ruleset=ruleset, fsync=fsync, body_timeout_s=body_timeout_s)
            )
        yield paths[0], paths[1]
    finally:
        for one in paths:
            one.close()
        asyncio.set_event_loop(None)
        loop.close()
