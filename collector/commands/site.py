"""`python -m collector site add|token|list`: edit `sites.toml`, and print what it has."""

import argparse
import secrets
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Final, get_args, get_type_hints
from urllib.parse import urlsplit

from collector.commands import toml_file
from collector.commands.toml_file import CannotEdit
from collector.policy import sites
from collector.policy.sites import BadSites, Site
from stage import version

VARIABLE: Final = "PHAROS_COLLECTOR_SITES"
_CHOICES: Final = ("identity", "consent", "gpc", "dnt", "without_consent", "ip", "unlisted_origins")
_THIS_MACHINE: Final = ("localhost", "127.0.0.1", "::1")
_LISTS: Final = {
    "origin": "origins",
    "host": "hosts",
    "ignored_referrer": "ignored_referrers",
    "redirect_host": "redirect_hosts",
}


def snippet(base: str, site: str) -> str:
    """Return the lines that put the tag of `site` on a page; `base` is the collector's public address.

    Only pages of this machine reach a collector of this machine, and the tag counts those only with `data-hosts`.
    """
    hosts = ' data-hosts="*"' if urlsplit(base).hostname in _THIS_MACHINE else ""
    base, site = escape(base.rstrip("/")), escape(site)
    return (
        "<script>window.pharos=window.pharos||function(){(pharos.q=pharos.q||[]).push(arguments)}</script>\n"
        f'<script async src="{base}/t.js" data-site="{site}"{hosts}></script>\n'
        f'<noscript><img src="{base}/p.gif?s={site}" alt="" width="1" height="1"\n'
        '  referrerpolicy="no-referrer-when-downgrade"></noscript>'
    )


def add_file_option(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    """Add the option that names `sites.toml`."""
    default = environ.get(VARIABLE, "")
    parser.add_argument("--sites", default=default, metavar="FILE", help=f"sites.toml (default: {VARIABLE})")


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the command; return the exit code: 0, 1 if the file cannot be used or changed, 2 for wrong usage."""
    given = _parser(environ).parse_args(argv)
    if not given.sites:
        print(f"give --sites FILE, or set {VARIABLE}", file=sys.stderr)
        return 2
    path = Path(given.sites)
    try:
        match given.command:
            case "add":
                _add(path, given)
            case "token":
                _token(path, given.site, replace=given.replace)
            case _:
                _list(path)
    except CannotEdit as problem:
        print(problem, file=sys.stderr)
        return 1
    except (BadSites, OSError) as problem:
        print(f"{path}: {problem.strerror if isinstance(problem, OSError) else problem}", file=sys.stderr)
        return 1
    return 0


def _parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m collector site",
        description="Edit sites.toml. A running collector uses the change within a second.",
    )
    version.add_option(parser)
    commands = parser.add_subparsers(dest="command", required=True, metavar="add|token|list")
    add = commands.add_parser("add", help="add a site; its other settings have the defaults of docs/privacy.md")
    add.add_argument("site", help="the new site's key: a-z, 0-9, '_', '.', '-'")
    hints = get_type_hints(Site)
    for name in _CHOICES:
        add.add_argument(f"--{name.replace('_', '-')}", choices=get_args(hints[name]))
    for name, field in _LISTS.items():
        add.add_argument(f"--{name.replace('_', '-')}", action="append", default=[], dest=field, help="may be repeated")
    add.add_argument("--time-zone", metavar="ZONE", help="of the site's days, such as Europe/Berlin (default: UTC)")
    add.add_argument("--base", default="", help="the collector's public address: also print the site's snippet")
    token = commands.add_parser("token", help="make a token for /v1/events; the file gets its digest only")
    token.add_argument("site", help="the site's key")
    token.add_argument("--replace", action="store_true", help="the site's earlier tokens end")
    listing = commands.add_parser("list", help="print the sites, one a line")
    for one in (add, token, listing):
        add_file_option(one, environ)
    return parser


def _add(path: Path, given: argparse.Namespace) -> None:
    fields = {name: value for name in (*_CHOICES, *_LISTS.values(), "time_zone") if (value := getattr(given, name))}
    toml_file.add_table(path, "sites", given.site, fields, sites.parse)
    print(f"added {given.site} to {path}", file=sys.stderr)
    if given.base:
        print(snippet(given.base, given.site))


def _token(path: Path, site: str, *, replace: bool) -> None:
    known = sites.parse(path.read_bytes()).get(site)
    if known is None:
        raise CannotEdit(f"{path}: there is no site {site!r}")
    token = secrets.token_hex(32)
    digest = sha256(token.encode()).hexdigest()
    tokens = [*(() if replace else known.tokens), digest]
    toml_file.set_fields(path, "sites", site, {"tokens": tokens}, sites.parse)
    print(f"the digest is in {path}; this is the only time that the token is shown:", file=sys.stderr)
    print(token)


def _list(path: Path) -> None:
    for key, site in sites.parse(path.read_bytes()).items():
        print(
            f"{key:20}  identity={site.identity}  consent={site.consent}  time_zone={site.time_zone}  "
            f"tokens={len(site.tokens)}"
        )
