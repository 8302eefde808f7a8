"""Which hosts are a site's own, or are to be ignored as referrers: by `sites.toml`, the collector's file."""

from collections.abc import Iterable, Mapping
from typing import Final

FIELDS: Final = ("hosts", "ignored_referrers")
"""Fields of a site's table. The collector checks the file; here only these two are read."""


class OwnHosts:
    """Hosts whose referrers are internal, each with its subdomains."""

    def __init__(self, hosts: Iterable[str]) -> None:
        """Take host names in lower case, in their ASCII form."""
        self._hosts = frozenset(hosts)

    def contains(self, host: str) -> bool:
        """Return whether `host` (lower case) is one of them, or below one."""
        while host:
            if host in self._hosts:
                return True
            host = host.partition(".")[2]
        return False


def load(table: Mapping[str, object]) -> dict[str, OwnHosts]:
    """Read the content of `sites.toml`; sites that name no hosts are left out.

    Raises:
        ValueError: a site's hosts are not a list of texts; the message names the site.
    """
    sites = table.get("sites")
    found: dict[str, OwnHosts] = {}
    for key, site in sites.items() if isinstance(sites, dict) else ():
        hosts: list[str] = []
        for field in FIELDS:
            sent = site.get(field, []) if isinstance(site, dict) else []
            if not isinstance(sent, list) or not all(isinstance(each, str) for each in sent):
                raise ValueError(f"site {key!r}: {field} is not a list of host names")
            hosts += sent
        if hosts:
            found[key] = OwnHosts(hosts)
    return found
