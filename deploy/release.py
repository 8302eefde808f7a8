"""Print the release notes of one version, from CHANGELOG.md: `python -m deploy.release 0.1.0`."""

import argparse
import re
import sys
from pathlib import Path

from stage import version

CHANGELOG = Path(__file__).parent.parent / "CHANGELOG.md"


def notes(text: str, number: str) -> str:
    """Return the section of `number` without its heading.

    Raises:
        ValueError: there is no such section, or it is empty.
    """
    found = re.search(rf"^## {re.escape(number)}(?![\w.])[^\n]*\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None or not found[1].strip():
        raise ValueError(f"CHANGELOG.md has no section '## {number}'")
    return found[1].strip() + "\n"


def main() -> int:
    """Print them; 1 where there are none."""
    parser = argparse.ArgumentParser(prog="python -m deploy.release", description="Print the notes of a version.")
    version.add_option(parser)
    parser.add_argument("number", help="such as 0.1.0")
    try:
        print(notes(CHANGELOG.read_text(encoding="utf-8"), parser.parse_args().number), end="")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
