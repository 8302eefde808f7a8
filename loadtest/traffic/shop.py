"""The site of the mix: thousands of pages, click ids that never repeat, and visitors with one browser each. Pure."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Final

from loadtest.traffic.request_template import ID_SLOT, PID_SLOT
from loadtest.traffic.visitors import Surface, Visitors

_WORDS: Final = ("blue", "enamel", "travel", "tall", "little", "striped", "speckled", "winter", "garden", "harbour")
_THINGS: Final = ("mug", "poster", "bowl", "plate", "teapot", "tray", "print", "candle")


@cache
def settings() -> dict[str, Any]:
    """Return mix.toml."""
    return tomllib.loads((Path(__file__).parent / "mix.toml").read_text())


class Site(Visitors):
    """The visitors of the mix, on a site of thousands of pages with click ids that never repeat."""

    def __init__(self, seed: int, surface: Surface, audited: bool) -> None:
        super().__init__("mix", seed, surface, settings()["visitors"])
        self.audited = audited
        self.servers = settings()["server"]["user_agents"]

    def page(self) -> str:
        if self.rng.random() < 0.4:
            return super().page()
        number = min(int(self.rng.paretovariate(0.9)), 5_000)
        name = f"{_WORDS[number % 10]}-{_THINGS[number % 8]}-{number}"
        return f"{self.surface.page_origin}/products/{name}"

    def landing(self) -> str:
        page = super().landing()
        for name in ("gclid=", "fbclid=", "msclkid=", "ttclid="):
            if name in page:  # the last parameter of its campaign
                return page[: page.index(name) + len(name)] + f"{self.rng.getrandbits(160):040x}"
        return page

    def title(self, page: str) -> str:
        return page.rpartition("/")[2].partition("?")[0].replace("-", " ").capitalize() or "Lighthouse shop"

    def mark(self) -> str:
        return f"&x.lt={ID_SLOT}" if self.audited else ""


class Visitor:
    """One visitor with one browser: what the requests of a visit have in common."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.agent = next(site.browsers)
        self.language = next(site.languages)
        self.new = site.rng.random() < site.new_share
        self.visit = next(site.visits) if self.new else -1
        self.cookie = "" if self.new else site.cookie()
        self.consent = "1" if site.rng.random() < settings()["tag"]["consent"] else ""
        self.asked = False

    def next_cookie(self) -> tuple[str, dict[str, Any]]:
        """Return the cookie of the next request, and what the request must know of it."""
        first, self.asked = not self.asked, True
        cookie = self.cookie or ("" if first else PID_SLOT)
        return cookie, {"visit": self.visit, "learns": self.new and first}
