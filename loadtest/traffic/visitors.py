"""What visitors of a site look like: their pages, campaigns, browsers and cookies, drawn by weight. Pure and seeded.

Everything random comes from the seed, everything real from `traffic.toml` and `user_agents.toml`.
"""

import itertools
import random
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from loadtest.traffic import user_agents


class Surface(msgspec.Struct, frozen=True, kw_only=True):
    """What the target knows, so that traffic asks for nothing it has not got."""

    site: str = "demo"
    """Key of a configured site."""
    host: str = "127.0.0.1"
    """The Host header."""
    page_origin: str = "http://localhost:8088"
    """Origin of the pages that carry the pixel."""
    token: str = ""
    """Bearer token of the site for `/v1/events`; empty: server hits become tag hits."""
    link_code: str = ""
    """A code of the links file; empty: clicks are page views."""


@cache
def data() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "traffic.toml").read_text())


def draws(table: dict[str, float], rng: random.Random) -> Iterator[str]:
    """Yield names without end, by their weights."""
    names, weights = list(table), list(itertools.accumulate(table.values()))
    while True:
        yield from rng.choices(names, cum_weights=weights, k=256)


class Visitors:
    """The draws of one profile: `settings` are its shares of new visitors and campaigns, and those of kinds."""

    def __init__(self, name: str, seed: int, surface: Surface, settings: Mapping[str, float]) -> None:
        found, shares = data(), dict(settings)
        self.rng = rng = random.Random(f"{name} {seed}")
        self.surface = surface
        self.new_share: float = shares.pop("new_visitors")
        self.campaign_share: float = shares.pop("campaign")
        self.kinds = draws(shares, rng)
        self.pages = draws(found["pages"], rng)
        self.referrers = draws(found["referrers"], rng)
        self.campaigns = draws(found["campaigns"], rng)
        self.languages = draws(found["languages"], rng)
        self.lists = draws(found["lists"], rng)
        self.browsers = user_agents.stream(seed)
        self.mail_clients = user_agents.weighted("mail", seed)
        self.bots = user_agents.weighted("bots", seed)
        self.visits = itertools.count()

    def page(self) -> str:
        return self.surface.page_origin + next(self.pages)

    def landing(self) -> str:
        page = self.page()
        if self.rng.random() < self.campaign_share:
            page += ("&" if "?" in page else "?") + next(self.campaigns)
        return page

    def headers(self, agent: str, page: str) -> list[tuple[str, str]]:
        headers = [
            ("User-Agent", agent),
            ("Accept", "image/avif,image/webp,*/*;q=0.8"),
            ("Accept-Encoding", "gzip, br"),
        ]
        headers.append(("Accept-Language", next(self.languages)))
        brands, mobile, platform = user_agents.client_hints(agent)
        if brands:
            headers += [("Sec-CH-UA", brands), ("Sec-CH-UA-Mobile", mobile), ("Sec-CH-UA-Platform", platform)]
        headers.append(("Referer", page))
        return headers

    def cookie(self) -> str:
        return f"{self.rng.getrandbits(128):032x}"
