"""The named links of `links.toml`. A struct of its own module, since mypyc cannot compile it."""

import re
import tomllib
from collections.abc import Mapping

import msgspec

from collector.policy.links import BadLinks, wrong_with
from collector.policy.sites import Sites


class Link(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[links.CODE]` of `links.toml`."""

    site: str
    """Key of the site that the click counts for."""
    to: str
    """Where it leads: an http or https URL."""
    source: str = ""
    medium: str = ""
    campaign: str = ""
    term: str = ""
    content: str = ""

    @property
    def utm(self) -> tuple[tuple[str, str], ...]:
        """The campaign parameters that are set, as pairs for the destination's query."""
        names = ("source", "medium", "campaign", "term", "content")
        return tuple((f"utm_{name}", text) for name in names if (text := getattr(self, name)))


Links = Mapping[str, Link]

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def parse(text: bytes, sites: Sites) -> Links:
    """Read the text of a `links.toml`.

    Raises:
        BadLinks: not UTF-8 or TOML, a bad code, an unknown site, an unknown or malformed setting, a bad destination.
    """
    try:
        decoded = text.decode()
        tables = tomllib.loads(decoded)
    except ValueError as error:
        raise BadLinks(f"not TOML: {error}") from error
    for name in tables.keys() - {"links"}:
        raise BadLinks(f"line {_line(decoded, name)}: unknown table or key {name!r}; a link is a table [links.CODE]")
    listed = tables.get("links", {})
    if not isinstance(listed, dict):
        raise BadLinks("line 1: links must be tables [links.CODE]")
    links: dict[str, Link] = {}
    for code, table in listed.items():
        where = f"line {_line(decoded, code)}: link {code!r}"
        if not _CODE.fullmatch(code):
            raise BadLinks(f"{where}: a code is 1-64 of A-Z, a-z, 0-9, '_', '.', '-'")
        try:
            link = msgspec.convert(table, Link)
        except msgspec.ValidationError as error:
            raise BadLinks(f"{where}: {error}") from error
        if link.site not in sites:
            raise BadLinks(f"{where}: site {link.site!r} is not in sites.toml")
        if reason := wrong_with(link.to):
            raise BadLinks(f"{where}: {reason}")
        links[code] = link
    return links


def _line(text: str, code: str) -> int:
    head = re.search(rf"^\s*\[*\s*(?:links\s*\.\s*)?[\"']?{re.escape(code)}[\"']?\s*[\].=]", text, re.MULTILINE)
    return text.count("\n", 0, head.end() if head else 0) + 1
