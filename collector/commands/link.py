"""`python -m collector link URL --site S ...`: print a signed link and its QR code. `link add|list`: named_link.py."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from collector.commands import named_link
from collector.commands.qr import write_qr
from collector.policy import links, paths
from stage import version

KEY_VARIABLE = "PHAROS_COLLECTOR_LINK_KEY"
PATHS_VARIABLE = "PHAROS_COLLECTOR_PATHS"


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Sign a link with the collector's key, or edit `links.toml`; return the exit code."""
    if argv[:1] in (["add"], ["list"]):
        return named_link.main(argv, environ)
    parser = argparse.ArgumentParser(
        prog="python -m collector link",
        description="Print a link that counts a click and redirects. `link add` and `link list`: named links.",
        epilog=f"The key comes from {KEY_VARIABLE}, /c's own name from {PATHS_VARIABLE}: the same as the collector's.",
    )
    version.add_option(parser)
    parser.add_argument("url", help="destination of the link: an http or https URL")
    parser.add_argument("--site", required=True, help="key of the site that the click counts for")
    parser.add_argument("--base", default="", help="the collector's public address, such as https://px.example.com")
    for name in ("source", "medium", "campaign", "term", "content"):
        parser.add_argument(f"--{name}", default="", help=f"utm_{name} of the destination")
    parser.add_argument("--qr", type=Path, metavar="FILE.png", help="write the QR code to a file (.png or .svg)")
    asked = parser.parse_args(argv)
    key = environ.get(KEY_VARIABLE, "")
    if not key:
        print(f"{KEY_VARIABLE}: must be set to sign links", file=sys.stderr)
        return 2
    utm = [
        (f"utm_{name}", text)
        for name in ("source", "medium", "campaign", "term", "content")
        if (text := getattr(asked, name))
    ]
    try:
        links.check(asked.url)
        query = links.sign(asked.site, links.with_parameters(asked.url, utm), key.encode())
        name = paths.parse(environ.get(PATHS_VARIABLE, "")).get("c", "c")
    except (links.BadLinks, paths.BadPaths) as problem:
        print(problem, file=sys.stderr)
        return 2
    link = f"{asked.base.rstrip('/')}/{name}?{query}"
    if asked.qr:
        if not asked.base:
            print("--qr needs --base: a QR code holds a whole address", file=sys.stderr)
            return 2
        if not write_qr(link, asked.qr):
            return 1
    print(link)
    return 0
