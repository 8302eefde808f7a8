"""Who sent the visitor: kind, name and search term of a referrer.

The longest host and path that a table knows decides; our table (`referrers.toml`) comes before the package's some
2,500 hosts. A referrer of the page's own site is `internal` even if a table knows it.

Long: the ways to know a sender are tried in one order.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

from enricher.rules.cache import remember_texts
from enricher.rules.redaction import mask_email
from enricher.rules.registrable_domain import Hosts
from enricher.rules.url import BadUrl, Pairs, clean

Kind = Literal["internal", "search", "social", "video", "email", "ai", "shopping", "other", "none"]
KINDS: Final[tuple[Kind, ...]] = ("ai", "search", "social", "video", "email", "shopping", "other")

_APP_SCHEMES: Final = frozenset({"android-app", "ios-app"})
_TERM_LONGEST: Final = 256
_HOST_LONGEST: Final = 512
"""Longest host, with a path, that is looked up in the tables."""


class KnownReferrer(NamedTuple):
    """A row of a table: what it knows of a host."""

    kind: Kind
    name: str
    terms: tuple[str, ...]


class Referrer(NamedTuple):
    """A referrer, classified without knowledge of the page that it leads to."""

    url: str
    """Masked."""
    host: str
    site: str
    """Registrable domain of `host`, to tell an internal one."""
    name: str
    kind: Kind
    term: str
    readable: bool
    """False if the text is not a usable URL."""


NO_REFERRER: Final = Referrer("", "", "", "", "none", "", True)
_UNREADABLE: Final = Referrer("", "", "", "", "other", "", False)

Known = dict[str, list[tuple[str, KnownReferrer]]]
"""Known referrers by host, each with its path prefix; the longest prefix first."""


_PORTALS: Final = re.compile(
    r"(?:.*\.)?(?:google|yahoo|yandex|naver|daum|baidu|bing|msn|aol|seznam|sogou|so|360|mail|rambler|zum|goo|qq|onet|lycos|"
    r"excite|ya|virgilio|libero|sapo|centrum|biglobe|search|ask|auone)\.(?:[a-z]{2,3})(?:\.[a-z]{2,3})?"
)
"""Hosts below which search engines have other services."""
_SEARCH_LABELS: Final = frozenset(
    {
        "www",
        "www1",
        "www2",
        "www3",
        "m",
        "wap",
        "touch",
        "mobile",
        "lite",
        "search",
        "websearch",
        "suche",
        "images",
        "image",
    }
    | {
        "img",
        "news",
        "lens",
        "cse",
        "encrypted",
        "ipv4",
        "ipv6",
        "cn",
        "global",
        "video",
        "videos",
        "start",
        "html",
        "espanol",
    }
    | {
        "malaysia",
        "maktoob",
        "en",
        "sp-web",
        "sp",
        "pc",
        "blogsearch",
        "books",
        "scholar",
        "home",
        "intl",
        "safe",
        "safesearch",
    }
)


def _is_service(host: str, portal: str) -> bool:
    """Return whether `host`, which is below `portal`, is another service than its search."""
    if not _PORTALS.fullmatch(portal):
        return False
    labels = host[: -len(portal) - 1].split(".")
    return not all(label in _SEARCH_LABELS or len(label) == 2 for label in labels)


def one_word(name: str) -> str:
    """Return a lower-case name without what its words are put together by: spaces, dashes, dots, underscores, "+"."""
    return name.translate(_NO_JOINTS)


_NO_JOINTS: Final = str.maketrans("", "", " -_.+")


class Referrers:
    """The tables of hosts and apps."""

    def __init__(self, hosts: Hosts, known: Known, apps: dict[str, KnownReferrer]) -> None:
        self._hosts = hosts
        self._known = known
        self._apps = apps
        self._kinds: dict[str, Kind] = {}
        self._names: dict[str, str] = {}
        self.sources = remember_texts(self._name_of, 1)
        for kind in reversed(KINDS):
            for sender in [sender for entries in known.values() for _, sender in entries] + list(apps.values()):
                if sender.kind == kind:
                    name = sender.name.lower()
                    self._kinds[name] = kind
                    self._names[one_word(name)] = name

    @property
    def size(self) -> int:
        """Hosts, with paths, that the tables know."""
        return sum(len(entries) for entries in self._known.values())

    def look_up(self, host: str, path: str) -> KnownReferrer | None:
        """Return the row of `host` (lower case), else of its nearest parent domain; None if no table knows one.

        A search portal's other services ("maps.google.de", "mail.yandex.kz") are not search: below a portal's host,
        only the hosts in _SEARCH_LABELS are.
        """
        parent = host
        while parent:
            for prefix, sender in self._known.get(parent, ()):
                if path.startswith(prefix):
                    if sender.kind != "search" or parent == host or not _is_service(host, parent):
                        return sender
                    return KnownReferrer("other", sender.name, ())
            parent = parent.partition(".")[2]
        return None

    def name_of(self, source: str) -> str:
        """Return the name of a source, cached: see `_name_of`."""
        return self.sources[source]

    def _name_of(self, source: str) -> str:
        """Return the lower-case name of a source that is known, else `source` itself.

        Known are hosts ("m.facebook.com", "facebook.com/groups"), and names however their words are put together
        ("stackoverflow", "Stack-Overflow", "product_hunt").
        """
        if len(source) > _HOST_LONGEST:
            return source
        if "." in source:
            host, slash, path = source.partition("/")
            sender = self.look_up(host, slash + path)
            if sender is not None:
                return sender.name.lower()
        word = one_word(source)
        name = self._names.get(word)
        if name is None and source.isalnum():
            for prefix, sender in self._known.get(f"{word}.com", ()):
                if not prefix:
                    return sender.name.lower()
        return source if name is None else name

    def kind_of(self, source: str) -> Kind:
        """Return the kind of a normalised source ("google"); `other` if no table knows it."""
        return self._kinds.get(source, "other")

    def classify(self, text: str) -> Referrer:
        """Classify a referrer as sent; never fails. An unreadable one is `other`, without a host, and is not stored."""
        if not text:
            return NO_REFERRER
        try:
            url = clean(text)
        except BadUrl:
            return _UNREADABLE
        if url.scheme in _APP_SCHEMES:
            sender = self._apps.get(url.host) or self.look_up(url.host, url.path)
            return Referrer(
                url.text,
                url.host,
                url.host,
                sender.name if sender else "",
                sender.kind if sender else "other",
                "",
                True,
            )
        if not url.host:
            return Referrer(url.text, "", "", "", "other", "", True)
        site = self._hosts.site_of(url.host)
        sender = self.look_up(url.host, url.path)
        if sender is None:
            return Referrer(url.text, url.host, site, "", "other", "", True)
        return Referrer(url.text, url.host, site, sender.name, sender.kind, _term(url.params, sender.terms), True)


def _term(params: Pairs, names: tuple[str, ...]) -> str:
    for wanted in names:
        for name, value in params:
            if name == wanted and value:
                return mask_email(" ".join(value.split()))[:_TERM_LONGEST]
    return ""


def load(table: Mapping[str, Any], listed: Mapping[str, Any], hosts: Hosts) -> Referrers:
    """Build the tables from the content of `referrers.toml` and of the package's list, which
    our own rows override."""
    found: dict[tuple[str, str], KnownReferrer] = {}
    apps: dict[str, KnownReferrer] = {}
    for kind in KINDS:
        for name, entry in table.get(kind, {}).items():
            if isinstance(entry, str):  # hosts alone
                entry = {"hosts": entry.split()}
            sender = KnownReferrer(kind, name, tuple(entry.get("terms", ())))
            for host in entry["hosts"]:
                _add(found, host, sender)
            for app in entry.get("app", ()):
                apps[app] = sender
    for group, senders in listed.items():
        for name, entry in senders.items():
            name = table["package_names"].get(name, name)
            sender = KnownReferrer(table["package_kinds"][group], name, tuple(entry.get("parameters", ())))
            for host in entry["domains"]:
                _add(found, host, sender)
    known: Known = {}
    for (host, path), sender in found.items():
        known.setdefault(host, []).append((path, sender))
    for entries in known.values():
        entries.sort(key=lambda entry: -len(entry[0]))
    return Referrers(hosts, known, apps)


def _add(found: dict[tuple[str, str], KnownReferrer], host: str, sender: KnownReferrer) -> None:
    name, slash, path = host.lower().partition("/")
    found.setdefault((name.removeprefix("www."), slash + path if path else ""), sender)
