"""`python -m collector check [SITES.toml] [LINKS.toml]`: judge both files before a collector uses them."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from collector.policy import paths
from collector.process.site_files import BadFile, SiteFiles
from stage import version

PATHS_VARIABLE = "PHAROS_COLLECTOR_PATHS"


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Print one line; return the exit code: 0 if the files are good, 1 if one is broken, 2 for wrong usage."""
    parser = argparse.ArgumentParser(
        prog="python -m collector check",
        description="Read sites.toml and links.toml as the collector does. Changes nothing; exit 1 if one is broken.",
        epilog=f"The own names of paths in {PATHS_VARIABLE} are checked, too.",
    )
    version.add_option(parser)
    default = environ.get("PHAROS_COLLECTOR_SITES", "")
    parser.add_argument("sites", nargs="?", default=default, help="default: PHAROS_COLLECTOR_SITES")
    parser.add_argument("links", nargs="?", default="", help="default: PHAROS_COLLECTOR_LINKS, if SITES is not given")
    given = parser.parse_args(argv)
    if not given.sites:
        print("give a sites.toml, or set PHAROS_COLLECTOR_SITES", file=sys.stderr)
        return 2
    links = given.links or (environ.get("PHAROS_COLLECTOR_LINKS", "") if given.sites == default else "")
    try:
        rules = SiteFiles(Path(given.sites), Path(links) if links else None).read()
        names = paths.parse(environ.get(PATHS_VARIABLE, ""))
    except BadFile as problem:
        print(problem, file=sys.stderr)
        return 1
    except paths.BadPaths as problem:
        print(f"{PATHS_VARIABLE}: {problem}", file=sys.stderr)
        return 1
    counts = (f"{len(rules.sites)} sites", f"{len(rules.links)} links" if links else "")
    print("good: " + ", ".join(filter(None, (*counts, f"{len(names)} own paths" if names else ""))))
    return 0
