"""The version of Pharos, and the option `--version` of its commands."""

import argparse
import platform
from typing import Final

VERSION: Final = "0.1.0"

LINE: Final = f"pharos {VERSION}, Python {platform.python_version()}"
"""What `--version` prints."""


def add_option(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the option `--version`, which prints LINE and exits with 0."""
    parser.add_argument("--version", action="version", version=LINE, help="show the version")
