"""`python -m deploy.local.clean`: delete what `make run` has stored, to start over. Keys, sites and links stay."""

import argparse
import fcntl
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from deploy.local import settings

STORED: Final = ("spool", "clickhouse", "log")
"""Folders that hold events, and the logs."""


def clean(folder: Path) -> list[str]:
    """Delete the stored data; return the names of what was there.

    Raises:
        BlockingIOError: a `make run` uses the folder.
        OSError: something cannot be deleted.
    """
    if not folder.is_dir():
        return []
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found = [name for name in STORED if (folder / name).is_dir()]
        for name in found:
            shutil.rmtree(folder / name)
        return found
    finally:
        os.close(lock)


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Clean the folder of `make run`; return 0, or 2 if it cannot be done now."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.local.clean",
        description="Delete the data that `make run` has stored. Its link key, token, sites and links stay.",
    )
    parser.parse_args(argv)
    try:
        folder = Path(settings.read(environ).dir).resolve()
        found = clean(folder)
    except BlockingIOError:
        print("stop `make run` first", file=sys.stderr)
        return 2
    except (ValueError, OSError) as problem:
        print(problem, file=sys.stderr)
        return 2
    print(f"{folder}: deleted {', '.join(found)}" if found else f"{folder}: nothing was stored")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
