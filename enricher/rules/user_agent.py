"""Which browser, on which system, on what kind of device: read from the User-Agent and the client hints.

A client hint wins over the User-Agent, which browsers freeze on purpose. The rest is data: `browsers.toml`,
`systems.toml` and `devices.toml`, whose patterns come before those of ua-parser, all in one matcher in native code.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, Literal, NamedTuple, get_args

import ua_parser_rs
from ua_parser import load_builtins

from enricher.rules.cache import remember_texts

LONGEST: Final = 2048
"""Characters of a User-Agent that are read; no browser sends more."""

Device = Literal["desktop", "smartphone", "tablet", "tv", "console", "wearable", "car", "other", ""]
DEVICES: Final[dict[str, Device]] = {device: device for device in get_args(Device)}

Pattern = tuple[str, str | None, str | None, str | None, str | None, str | None]
"""A matcher's row: regex, name, up to four version parts; None takes the regex's first group, its second, and so on."""


class Hints(NamedTuple):
    """The low-entropy client hints as received; empty if not sent."""

    brands: str
    """`Sec-CH-UA`. Example: '"Chromium";v="142", "Not_A Brand";v="99"'."""
    mobile: str
    """`Sec-CH-UA-Mobile`. Example: "?0"."""
    platform: str
    """`Sec-CH-UA-Platform`. Example: '"Windows"'."""


class Agent(NamedTuple):
    """Browser, system and device; empty means "not known"."""

    browser: str
    browser_version: str
    """Major, or major.minor. Example: "145.0"."""
    os: str
    os_version: str
    """Up to three parts. Example: "15.1"."""
    device: Device


NO_HINTS: Final = Hints("", "", "")
NO_REFERRER: Final = Agent("", "", "", "", "")

_BRAND: Final = re.compile(r'"([^"]{1,64})"\s*;\s*v="(\d{1,4})[^"]{0,32}"')


_NEVER_PHONES: Final = frozenset({"macOS", "iPadOS"})


class UserAgents:
    """The tables, compiled."""

    def __init__(self, browsers: Iterable[Pattern], systems: Iterable[Pattern], tables: "Tables") -> None:
        self._browsers = ua_parser_rs.UserAgentExtractor(browsers)
        self._systems = ua_parser_rs.OSExtractor(systems)
        self._devices = ua_parser_rs.UserAgentExtractor(
            (pattern, device, None, None, None, None) for pattern, device in tables.devices
        )
        self._tables = tables
        self.brands = remember_texts(self._brand, 2)
        self.platforms = remember_texts(lambda sent: tables.platforms.get(sent.strip(' "').lower(), ""), 1)

    def parse(self, user_agent: str, hints: Hints = NO_HINTS) -> Agent:
        """Return the browser, system and device of `user_agent`; never fails."""
        return self.parse_all([(user_agent, hints)])[0]

    def parse_all(self, senders: Sequence[tuple[str, Hints]]) -> list[Agent]:
        """Parse many, one matcher after another, so that its tables stay in the processor's cache."""
        agents = [(agent[:LONGEST], hints) for agent, hints in senders]
        browsers = [self._browser(agent, hints.brands) for agent, hints in agents]
        systems = [self._system(agent, hints.platform) for agent, hints in agents]
        devices = [
            self._device(agent, hints, system) for (agent, hints), (system, _) in zip(agents, systems, strict=True)
        ]
        return [
            tuple.__new__(Agent, (*browser, *system, device))
            for browser, system, device in zip(browsers, systems, devices, strict=True)
        ]

    def _browser(self, agent: str, brands: str) -> tuple[str, str]:
        found = self._browsers.extract(agent)
        name = version = ""
        if found and (family := found.family):
            name = self._tables.browser_names.get(family, family)
            version = _version(found.major, found.minor)
        if brands:
            hinted, major = self.brands[brands]
            if hinted and not (hinted == name and version.partition(".")[0] == major):
                return hinted, major
        return name, version

    def _brand(self, brands: str) -> tuple[str, str]:
        """Return the browser that `Sec-CH-UA` names and its major version; empty if it names none."""
        sent = {_plain(brand): major for brand, major in _BRAND.findall(brands)}
        for brand, name in self._tables.brands:
            if brand in sent:
                return name, sent[brand]
        return "", ""

    def _system(self, agent: str, platform: str) -> tuple[str, str]:
        found = self._systems.extract(agent)
        name = version = ""
        if found and (family := found.family):
            name = self._tables.system_names.get(family, family)
            version = _version(found.major, found.minor, found.patch)
            version = self._tables.system_versions.get(f"{family} {version}", version)
        if platform:
            hinted = self.platforms[platform]
            if hinted and hinted != name and not (hinted == "Linux" and name in self._tables.linux_based):
                return hinted, ""
        return name, version

    def _device(self, agent: str, hints: Hints, system: str) -> Device:
        found = self._devices.extract(agent)
        device = DEVICES[found.family or ""] if found else ""
        if hints.mobile == "?1" and device in {"", "desktop", "tablet"} and system not in _NEVER_PHONES:
            return "smartphone"
        if hints.platform and system == "Android" and device in {"", "desktop"}:
            return "tablet"
        return device or DEVICES[self._tables.system_devices.get(system, "")]


class Tables(NamedTuple):
    """The content of browsers.toml, systems.toml and devices.toml that is not a browser or system pattern."""

    browser_names: dict[str, str]
    brands: list[tuple[str, str]]
    system_names: dict[str, str]
    system_versions: dict[str, str]
    platforms: dict[str, str]
    linux_based: frozenset[str]
    devices: list[tuple[str, str]]
    system_devices: dict[str, str]


def _plain(brand: str) -> str:
    """Return a brand without its spaces, in lower case."""
    return brand.replace(" ", "").lower()


def _version(major: str | None, minor: str | None, patch: str | None = None) -> str:
    """Join the known parts, up to the first that is missing."""
    if not (major and minor):
        return major or ""
    return f"{major}.{minor}.{patch}" if patch else f"{major}.{minor}"


_WITHIN: Final = r"Android[^)]*?; *[^)]*?"
_MODEL: Final = (
    r"\b(?:Android|Adr)[^;)]*; *(?:HarmonyOS; *)?(?:(?:Mobile|Tablet); *)?(?:[a-z]{2,3}(?:[-_][A-Za-z-]{2,8})?; *)?"
)


def _place(rule: dict[str, str]) -> str:
    """Return a device rule's regex, anchored at the place that the rule names."""
    if "model" in rule:
        return f"{_MODEL}(?:{rule['model']})"
    return f"{_WITHIN}(?:{rule['within']})" if "within" in rule else rule["pattern"]


def _rows(table: list[dict[str, str]]) -> list[Pattern]:
    # The matcher takes the versions from the second group on; the first would be the name.
    return [(f"(){row['pattern']}", row["name"], None, None, None, None) for row in table]


def load(browsers: Mapping[str, Any], systems: Mapping[str, Any], devices: Mapping[str, Any]) -> UserAgents:
    """Build the matchers from the content of the three tables and ua-parser's patterns.

    Raises:
        ValueError: `devices` names a device that is not in DEVICES.
    """
    wrong = {rule["device"] for rule in devices["rule"]} - DEVICES.keys()
    if wrong:
        raise ValueError(f"devices.toml: no such device: {sorted(wrong)}")
    tables = Tables(
        browser_names=browsers["names"],
        brands=[(_plain(brand), name) for brand, name in browsers["brands"]],
        system_names=systems["names"],
        system_versions=systems["versions"],
        platforms=systems["platforms"],
        linux_based=frozenset(systems["linux_based"]),
        devices=[
            ("|".join(f"(?:{_place(rule)})" for rule in rules), device)  # one pattern reads an agent once
            for device, rules in groupby(devices["rule"], key=itemgetter("device"))
        ],
        system_devices=devices["by_system"],
    )
    agents, operating_systems, _ = load_builtins()
    return UserAgents(
        _rows(browsers["pattern"]) + [_builtin(each) for each in agents],
        _rows(systems["pattern"]) + [_builtin(each) for each in operating_systems],
        tables,
    )


def _builtin(matcher: object) -> Pattern:
    regex, family, *versions = (
        getattr(matcher, part) for part in ("regex", "family", "major", "minor", "patch", "patch_minor")
    )
    return (regex, family, *versions)
