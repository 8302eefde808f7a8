"""`python -m collector link add|list`: edit `links.toml`, and print what it has."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from collector.commands import toml_file
from collector.commands.qr import write_qr
from collector.commands.site import VARIABLE as SITES_VARIABLE
from collector.commands.site import add_file_option
from collector.commands.toml_file import CannotEdit
from collector.policy import link_file, paths, sites
from collector.policy.link_file import Links
from collector.policy.links import BadLinks
from collector.policy.sites import BadSites
from stage import version

VARIABLE: Final = "PHAROS_COLLECTOR_LINKS"
PATHS_VARIABLE: Final = "PHAROS_COLLECTOR_PATHS"
_UTM: Final = ("source", "medium", "campaign", "term", "content")


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the command; return the exit code: 0, 1 if a file cannot be used or changed, 2 for wrong usage."""
    given = _parser(environ).parse_args(argv)
    if not given.links or not given.sites:
        print(f"give --links and --sites, or set {VARIABLE} and {SITES_VARIABLE}", file=sys.stderr)
        return 2
    path = Path(given.links)
    base = f"{given.base.rstrip('/')}/{paths.parse(environ.get(PATHS_VARIABLE, '')).get('c', 'c')}"
    try:
        known = sites.parse(Path(given.sites).read_bytes())
    except (BadSites, OSError) as problem:
        print(f"{given.sites}: {problem.strerror if isinstance(problem, OSError) else problem}", file=sys.stderr)
        return 1

    def judge(text: bytes) -> Links:
        return link_file.parse(text, known)

    try:
        if given.command == "add":
            return _add(path, given, base, judge)
        for code, link in judge(path.read_bytes()).items():
            utm = " ".join(f"{name}={text}" for name, text in link.utm)
            print("  ".join(part for part in (f"{base}/{code}", f"site={link.site}", link.to, utm) if part))
    except CannotEdit as problem:
        print(problem, file=sys.stderr)
        return 1
    except (BadLinks, OSError) as problem:
        print(f"{path}: {problem.strerror if isinstance(problem, OSError) else problem}", file=sys.stderr)
        return 1
    return 0


def _parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m collector link",
        description="Edit links.toml. A running collector uses the change within a second.",
    )
    version.add_option(parser)
    commands = parser.add_subparsers(dest="command", required=True, metavar="add|list")
    add = commands.add_parser("add", help="add a named link, and print its address")
    add.add_argument("code", help="the end of its address, /c/CODE: letters, digits, '_', '.', '-'")
    add.add_argument("url", help="where it leads: an http or https URL")
    add.add_argument("--site", required=True, help="key of the site that the click counts for")
    for name in _UTM:
        add.add_argument(f"--{name}", default="", help=f"utm_{name} of the destination")
    add.add_argument("--qr", type=Path, metavar="FILE.png", help="write the QR code to a file (.png or .svg)")
    listing = commands.add_parser("list", help="print the links, one a line")
    for one in (add, listing):
        one.add_argument("--base", default="", help="the collector's public address, such as https://px.example.com")
        default = environ.get(VARIABLE, "")
        one.add_argument("--links", default=default, metavar="FILE", help=f"links.toml (default: {VARIABLE})")
        add_file_option(one, environ)
    return parser


def _add(path: Path, given: argparse.Namespace, base: str, judge: Callable[[bytes], Links]) -> int:
    if given.qr and not given.base:
        print("--qr needs --base: a QR code holds a whole address", file=sys.stderr)
        return 2
    fields = {"site": given.site, "to": given.url} | {name: text for name in _UTM if (text := getattr(given, name))}
    toml_file.add_table(path, "links", given.code, fields, judge)
    print(f"added {given.code} to {path}", file=sys.stderr)
    link = f"{base}/{given.code}"
    if given.qr and not write_qr(link, given.qr):
        return 1
    print(link)
    return 0
