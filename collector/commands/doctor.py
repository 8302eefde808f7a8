"""`python -m collector doctor`: check a live deployment from outside, and print what to fix."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence

import aiohttp

from collector.commands.doctor_findings import judge
from collector.commands.doctor_requests import look
from collector.policy.client_address import canonical
from stage import version


def _addresses(text: str) -> tuple[str, ...]:
    """Read the option --address."""
    found = tuple(canonical(part.strip()) or "" for part in text.split(","))
    if not all(found):
        raise argparse.ArgumentTypeError(f"not an address: {text}")
    return found


def main(argv: Sequence[str], show: Callable[[str], object] = print) -> int:
    """Print every finding; return 0 if none is bad, 1 if one is bad or nothing answers, 2 for wrong usage."""
    parser = argparse.ArgumentParser(
        prog="python -m collector doctor", description="Check a live deployment from outside."
    )
    version.add_option(parser)
    parser.add_argument("--url", required=True, help="the collector as browsers reach it: https://px.example.com")
    parser.add_argument("--site", required=True, help="key of a site; a few hits called `doctor` are sent to it")
    parser.add_argument("--origin", default="", help="an origin that the site lists: https://www.example.com")
    parser.add_argument("--page", default="", help="a page of the site; its addresses are compared as Safari does")
    parser.add_argument("--ca", default=None, help="PEM file of the certificate authority, if it is not a public one")
    parser.add_argument(
        "--address", type=_addresses, default=(), help="our public addresses, comma-separated, if a NAT hides them"
    )
    given = parser.parse_args(argv)
    try:
        seen = asyncio.run(look(given.url, given.site, given.origin, given.page, given.ca, given.address))
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        print(f"{given.url}: {error or type(error).__name__}", file=sys.stderr)
        return 1
    bad = 0
    for finding in judge(seen):
        bad += finding.level == "bad"
        show(f"{finding.level:4}  {finding.topic:9}  {finding.says}")
        if finding.fix and finding.level != "ok":
            show(f"{'':17}{finding.fix}")
    return 1 if bad else 0
