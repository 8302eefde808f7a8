"""`python -m collector salt FOLDER`: create the salts of today and tomorrow, delete expired ones.

For hosts that share the salt by a copy: one host (or a scheduled job) runs it daily and distributes the folder.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from collector.process import daily_salt
from stage import version


def main(argv: Sequence[str]) -> int:
    """Fill the folder; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m collector salt",
        description="Create the salts of today and tomorrow in FOLDER, and delete expired ones.",
    )
    version.add_option(parser)
    parser.add_argument("folder", type=Path, help="folder of the salts")
    folder: Path = parser.parse_args(argv).folder
    today = datetime.now(UTC).date()
    try:
        for day in (today, today + timedelta(days=1)):
            daily_salt.take(folder, day, os.urandom)
        daily_salt.delete_expired(folder, today)
    except OSError as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0
