"""Whether two hosts belong to one site: the public suffix list's answer."""

import re
from typing import Final

from publicsuffixlist import PublicSuffixList

from enricher.rules.cache import remember_texts

_ADDRESS: Final = re.compile(r"[\d.]+|.*:.*")


class Hosts:
    """The list, read once: 50 ms."""

    def __init__(self) -> None:
        self._list = PublicSuffixList()
        self.sites = remember_texts(self._site, 4)

    def site_of(self, host: str) -> str:
        """Return the registrable domain of `host` ("shop.example.co.uk" gives "example.co.uk").

        An address, a single label and a public suffix stand for themselves; so do `localhost` and the empty host.
        """
        return self.sites[host]

    def _site(self, host: str) -> str:
        if not host or _ADDRESS.fullmatch(host):
            return host
        try:
            return self._list.privatesuffix(host) or host
        except UnicodeError:
            return host
