"""The full path in this process, over a real spool: asked by an HTTP client, its hits read back as written."""

import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from collector.contract import Hit, decode
from collector.http import app
from collector.http.ingest import Ingest
from collector.metrics import Tally
from collector.policy import link_file, sites
from collector.policy.client_address import Trusted
from collector.policy.ruleset import Ruleset
from collector.process import frontend
from collector.process.daily_salt import DailySalt
from collector.spool.block import unpack
from collector.spool.inventory import Chunk, Limits
from collector.spool.spool import Spool

TOKEN = "correct horse battery staple"
OTHER_TOKEN = "of another site"
LINK_KEY = b"the operator's link key"

SITES = f"""
[sites.shop]                    # the defaults: consent required
origins = ["https://shop.example"]
tokens = ["{sha256(TOKEN.encode()).hexdigest()}"]
redirect_hosts = ["shop.example"]
[sites.demo]
consent = "assumed"
tokens = ["{sha256(OTHER_TOKEN.encode()).hexdigest()}"]
[sites.hash]
identity = "cookieless"
consent = "off"
[sites.strict]
without_consent = "drop"
[sites.closed]
consent = "assumed"
origins = ["https://shop.example"]
unlisted_origins = "refuse"
[sites.capped]
consent = "assumed"
max_value = 1000
tokens = ["{sha256(TOKEN.encode()).hexdigest()}"]
[sites.guarded]
consent = "assumed"
origins = ["https://shop.example"]
token_events = ["purchase", "open", "click", "Sale"]
tokens = ["{sha256(TOKEN.encode()).hexdigest()}"]
[sites.full]
consent = "assumed"
ip = "full"
[sites.linked]
origins = ["https://shop.example"]
hosts = ["other.localhost", "shop.de"]
[sites.noip]
consent = "assumed"
ip = "none"
"""

LINKS = """
[links.yt-launch]
site = "demo"
to = "https://shop.example/p/1?color=blue#reviews"
source = "youtube"
medium = "video"
campaign = "launch"
[links.strict]
site = "strict"
to = "https://shop.example/"
"""


class Surface:
    """A running full path."""

    def __init__(self, client: "TestClient[web.Request, web.Application]", ingest: Ingest, folder: Path) -> None:
        self.client = client
        self.ingest = ingest
        self.folder = folder
        self.hits: list[Hit] = []

    def spool_bytes(self) -> bytes:
        """Return everything that the spool has on disk."""
        return b"".join(path.read_bytes() for path in sorted(self.folder.rglob("*")) if path.is_file())

    def counted(self, site: str, result: str) -> float:
        """Return `hits_total` of a site and result."""
        self.ingest.count()
        return self.ingest.tally.values.get(("hits_total", site, result), 0)

    def dropped(self) -> dict[tuple[str, ...], float]:
        """Return `dropped_fields_total` by site and field."""
        self.ingest.count()
        return {key[1:]: n for key, n in self.ingest.tally.values.items() if key[0] == "dropped_fields_total" and n}


@asynccontextmanager
async def running(folder: Path, most_bytes: int = 1 << 30) -> AsyncIterator[Surface]:
    """Run the full path with SITES and LINKS; the test client is the trusted proxy 127.0.0.1."""
    known = sites.parse(SITES.encode())
    ruleset = Ruleset(
        sites=known,
        trusted=Trusted(["127.0.0.1"]),
        cookieless=DailySalt(folder / "salt", Ingest.now_ms, os.urandom, lambda why: None),
        links=link_file.parse(LINKS.encode(), known),
        link_keys=(LINK_KEY,),
    )
    spool = Spool(folder / "spool", Limits(most_bytes, 0, 1 << 20, 300, 0))
    tally = Tally()
    with ThreadPoolExecutor(1) as disk:

        def written(chunks: list[Chunk]) -> None:
            surface.hits.extend(decode(payload) for chunk in chunks for payload in unpack(chunk.block))

        ingest = frontend.ingest(ruleset, spool, "never", disk, written, tally)
        server = TestServer(app.build(ingest), skip_url_asserts=True)
        await server.start_server(auto_decompress=False)
        async with TestClient(server, auto_decompress=False) as client:
            surface = Surface(client, ingest, folder / "spool")
            yield surface
        ingest.commit.flush()
    spool.close()
