"""The registrable domain of a host, by the public suffix list: two hosts with one such domain are one site."""

import re
from collections.abc import Iterable
from typing import Final

from publicsuffixlist import PublicSuffixList

from enricher.rules.cache import remember_texts

_ADDRESS: Final = re.compile(r"[\d.]+|.*:.*")


class Hosts:
    """The public suffix list."""

    def __init__(self, lines: Iterable[str]) -> None:
        """Read the lines of the list: 50 ms."""
        self._list = PublicSuffixList(lines)
        self.sites = remember_texts(self._site, 4)

    def site_of(self, host: str) -> str:
        """Return the registrable domain of `host` ("shop.example.co.uk" gives "example.co.uk").

        Returns `host` itself if it is an address, a single label such as `localhost`, a public suffix, or empty.
        """
        return self.sites[host]

    def _site(self, host: str) -> str:
        if not host or _ADDRESS.fullmatch(host):
            return host
        try:
            return self._list.privatesuffix(host) or host
        except UnicodeError:
            return host
